// Checks over kept connections by the JDK's HTTP client as it is by default: its first request on a connection offers to continue in HTTP/2
// (`Connection: Upgrade, HTTP2-Settings`), and whatever is not answered as HTTP/1.1 then is a failure.
//
//   java Connections.java URL TOKEN BODY CALLS CONNECTIONS     prints how many of the calls failed, and how

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;

public final class Connections {
    private static final Map<String, AtomicInteger> FAILURES = new ConcurrentSkipListMap<>();

    private Connections() {}

    public static void main(String[] arguments) throws InterruptedException {
        int connections = Integer.parseInt(arguments[4]);
        int each = Integer.parseInt(arguments[3]) / connections;
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/checks"))
            .timeout(Duration.ofSeconds(20))
            .header("Authorization", "Bearer " + arguments[1])
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(arguments[2]))
            .build();
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < connections; at++) {
            // A client of its own has a connection of its own, for one request at a time.
            HttpClient client = HttpClient.newHttpClient();
            threads.add(new Thread(() -> {
                for (int call = 0; call < each; call++) {
                    check(client, request);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        int failed = FAILURES.values().stream().mapToInt(AtomicInteger::get).sum();
        System.out.println(failed + " of " + each * connections + " calls failed " + FAILURES);
        System.exit(failed == 0 ? 0 : 1);
    }

    private static void check(HttpClient client, HttpRequest request) {
        String failure = null;
        try {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                failure = "status " + answer.statusCode();
            }
        } catch (Exception error) {
            failure = error.toString();
        }
        if (failure != null) {
            FAILURES.computeIfAbsent(failure, unseen -> new AtomicInteger()).incrementAndGet();
        }
    }
}
