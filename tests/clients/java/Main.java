// The scenario of tests/clients with the Java clients of openapi-generator: every call is a generated operation on generated types. What
// differs between its libraries is in each one's `Library`. Prints `ok STEP` for each step; an exception ends it.

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import lostcard.ApiClient;
import lostcard.ApiException;
import lostcard.api.AccessApi;
import lostcard.api.ChecksApi;
import lostcard.api.RegistryApi;
import lostcard.model.BatchAnswer;
import lostcard.model.BatchRequest;
import lostcard.model.BatchResult;
import lostcard.model.CheckAnswer;
import lostcard.model.CheckRequest;
import lostcard.model.JwkSet;
import lostcard.model.LossReportAnswer;
import lostcard.model.LossReportRequest;
import lostcard.model.Problem;
import lostcard.model.ReasonName;
import lostcard.model.VerdictName;

public final class Main {
    private final Map<?, ?> scenario;
    private final String baseUrl;
    private final AccessApi access;
    private final List<Map<?, ?>> cards = new ArrayList<>();
    private final LossReportRequest report;

    private Main(String text) {
        scenario = Library.read(text, Map.class);
        baseUrl = (String) scenario.get("base_url");
        access = new AccessApi(Library.client(baseUrl, null));
        for (Object card : (List<?>) scenario.get("checks")) {
            cards.add((Map<?, ?>) card);
        }
        report = Library.read(Library.write(scenario.get("report")), LossReportRequest.class);
    }

    /** A call that must be refused. */
    private interface Call {
        void run() throws ApiException;
    }

    public static void main(String[] arguments) throws Exception {
        new Main(new String(Files.readAllBytes(Paths.get(arguments[0])), StandardCharsets.UTF_8)).run();
    }

    private void run() throws Exception {
        ApiClient hotel = signIn("hotel");
        ApiClient station = signIn("station");
        ChecksApi limited = new ChecksApi(signIn("limited"));
        ChecksApi checks = new ChecksApi(hotel);
        System.out.println("ok token");
        verdicts(checks);
        System.out.println("ok verdicts");
        batch(checks);
        System.out.println("ok batch");
        ChecksApi unknown = new ChecksApi(Library.client(baseUrl, "made.up.token"));
        refused(401, "invalid_token", () -> unknown.createCheck(check(cards.get(0))));
        System.out.println("ok unauthorized");
        refused(403, "insufficient_scope", () -> new RegistryApi(hotel).createLossReport(report, "java-client-0"));
        System.out.println("ok forbidden");
        CheckRequest wrong = check(cards.get(0)).idNumber((String) scenario.get("wrong_check_character"));
        Problem problem = Library.problem(refused(422, "invalid_value", () -> checks.createCheck(wrong)));
        require(problem.getErrors().size() == 1, "one member is wrong");
        require(problem.getErrors().get(0).getPointer().equals("/id_number"), "the wrong member is named");
        require(problem.getErrors().get(0).getCode().equals("wrong_check_character"), "and what is wrong with it");
        System.out.println("ok unprocessable");
        limit(limited, check(cards.get(0)));
        System.out.println("ok limited");
        idempotent(new RegistryApi(station));
        System.out.println("ok idempotent");
        receipts(checks);
        System.out.println("ok receipt");
    }

    private ApiClient signIn(String who) throws ApiException {
        Map<?, ?> as = (Map<?, ?>) scenario.get(who);
        String id = (String) as.get("client_id");
        String secret = (String) as.get("client_secret");
        return Library.client(baseUrl, access.createToken("client_credentials", null, null, id, secret, null).getAccessToken());
    }

    /** A card of the scenario, without what is expected of it. */
    private static CheckRequest check(Map<?, ?> card) {
        Map<Object, Object> members = new HashMap<>(card);
        members.remove("verdict");
        members.remove("advice");
        return Library.read(Library.write(members), CheckRequest.class);
    }

    private void verdicts(ChecksApi checks) throws ApiException {
        for (Map<?, ?> card : cards) {
            CheckAnswer answer = checks.createCheck(check(card));
            require(answer.getVerdict().getValue().equals(card.get("verdict")), "another verdict: " + answer.getVerdict());
            require(answer.getAdvice().equals(card.get("advice")), "another advice: " + answer.getAdvice());
            require((answer.getListing() == null) == (answer.getVerdict() == VerdictName.NOT_LISTED), "a listing stands where one is listed");
        }
    }

    private void batch(ChecksApi checks) throws ApiException {
        Map<?, ?> given = (Map<?, ?>) scenario.get("batch");
        List<CheckRequest> items = new ArrayList<>();
        for (Object item : (List<?>) given.get("items")) {
            items.add(check((Map<?, ?>) item));
        }
        BatchAnswer answer = checkAll(checks, items);
        List<String> found = new ArrayList<>();
        for (BatchResult result : answer.getResults()) {
            found.add(result.getCheck() == null ? null : result.getCheck().getVerdict().getValue());
        }
        require(found.equals(given.get("expected")), "other verdicts: " + found);
        BatchResult bad = answer.getResults().get(((Number) given.get("bad_index")).intValue());
        require(bad.getProblem() != null && bad.getProblem().getCode().equals("invalid_value"), "the bad item has its problem");
    }

    private static BatchAnswer checkAll(ChecksApi checks, List<CheckRequest> items) throws ApiException {
        List<Map<String, Object>> untyped = new ArrayList<>();
        for (CheckRequest item : items) {
            untyped.add(Library.item(item));
        }
        return checks.createCheckBatch(new BatchRequest().checks(untyped));
    }

    /** Spends the limit, waits as long as the service says, and is answered again. */
    private static void limit(ChecksApi limited, CheckRequest request) throws Exception {
        for (int tries = 0; tries < 20; tries++) {
            try {
                limited.createCheck(request);
            } catch (ApiException refusal) {
                require(Library.problem(refusal).getCode().equals("limit_spent"), "another refusal: " + refusal.getCode());
                Thread.sleep(1000 * Long.parseLong(Library.header(refusal, "Retry-After")));
                limited.createCheck(request);
                return;
            }
        }
        throw new IllegalStateException("the limit is never spent");
    }

    private void idempotent(RegistryApi registry) throws ApiException {
        LossReportAnswer first = registry.createLossReport(report, "java-client-1");
        require(first.equals(registry.createLossReport(report, "java-client-1")), "a repetition gets the first answer");
        report.setReason(ReasonName.STOLEN);
        refused(422, "idempotency_key_reused", () -> registry.createLossReport(report, "java-client-1"));
    }

    /** Verifies those of a check alone and of a batch: a path without hashes and paths with some. */
    private void receipts(ChecksApi checks) throws Exception {
        JwkSet keys = access.getJwks();
        String issuer = access.getServerMetadata().getIssuer();
        Map<?, ?> listed = null;
        for (Map<?, ?> card : cards) {
            listed = "card_listed".equals(card.get("verdict")) ? card : listed;
        }
        CheckRequest request = check(Objects.requireNonNull(listed));
        List<CheckAnswer> answers = new ArrayList<>();
        answers.add(checks.createCheck(request));
        for (BatchResult result : checkAll(checks, Arrays.asList(request, request, request)).getResults()) {
            answers.add(Objects.requireNonNull(result.getCheck()));
        }
        for (CheckAnswer answer : answers) {
            Receipt receipt = Receipt.verify(answer.getReceipt(), keys, issuer);
            require(receipt.claim("jti").equals(answer.getCheckId().toString()), "the receipt is of this check");
            require(receipt.claim("verdict").equals(answer.getVerdict().getValue()), "and of its verdict");
            String start = (String) listed.get("card_valid_from");
            require(receipt.opens(answer.getReceiptSalt(), request.getIdNumber(), start), "number, start and salt open it");
            require(!receipt.opens(answer.getReceiptSalt(), request.getIdNumber(), null), "and nothing else does");
            try {
                Receipt.verify(Receipt.tampered(answer.getReceipt()), keys, issuer);
            } catch (GeneralSecurityException refusal) {
                continue;
            }
            throw new IllegalStateException("a tampered receipt is taken");
        }
    }

    private static ApiException refused(int status, String code, Call call) {
        try {
            call.run();
        } catch (ApiException refusal) {
            Problem problem = Library.problem(refusal);
            require(refusal.getCode() == status && problem.getCode().equals(code), "another refusal: " + refusal.getResponseBody());
            return refusal;
        }
        throw new IllegalStateException(status + " " + code + " was expected");
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }
}
