// The scenario of tests/clients by the client that @hey-api/openapi-ts generates.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { type Client, createClient, createConfig } from "./lostcard/client/index.js";
import { createCheck, createCheckBatch, createLossReport, createToken, getJwks } from "./lostcard/index.js";
import type { AdviceCode, CheckRequest, LossReportRequest, TokenRequest, VerdictName } from "./lostcard/index.js";
import { opens, verify } from "./receipt.js";

type Credentials = Required<Pick<TokenRequest, "client_id" | "client_secret">>;

interface Scenario {
  base_url: string;
  hotel: Credentials;
  station: Credentials;
  limited: Credentials;
  checks: (CheckRequest & { id_number: string; verdict: VerdictName; advice: AdviceCode })[];
  wrong_check_character: string;
  batch: { items: CheckRequest[]; bad_index: number; expected: (VerdictName | null)[] };
  report: LossReportRequest;
}

const scenario = JSON.parse(await readFile(process.argv[2]!, "utf8")) as Scenario;
const open = createClient(createConfig({ baseUrl: scenario.base_url }));

const withToken = (token: string): Client => createClient(createConfig({ baseUrl: scenario.base_url, auth: token }));

async function signIn(credentials: Credentials): Promise<Client> {
  const { data, error } = await createToken({ client: open, body: { grant_type: "client_credentials", ...credentials } });
  assert(data, JSON.stringify(error));
  assert.equal(data.token_type, "Bearer");
  return withToken(data.access_token);
}

const hotel = await signIn(scenario.hotel);
const station = await signIn(scenario.station);
const limited = await signIn(scenario.limited);
console.log("ok token");

for (const { verdict, advice, ...body } of scenario.checks) {
  const { data } = await createCheck({ client: hotel, body });
  assert.equal(data?.verdict, verdict);
  assert.equal(data.advice, advice);
}
console.log("ok verdicts");

const { data: batch } = await createCheckBatch({ client: hotel, body: { checks: scenario.batch.items } });
assert(batch);
assert.deepEqual(batch.results.map(({ check }) => check?.verdict ?? null), scenario.batch.expected);
const bad = batch.results[scenario.batch.bad_index];
assert.equal(bad?.index, scenario.batch.bad_index);
assert.equal(bad.problem?.code, "invalid_value");
assert.equal(bad.problem.errors?.[0]?.pointer, "/id_number");
console.log("ok batch");

const { verdict: _verdict, advice: _advice, ...card } = scenario.checks[1]!;
const stranger = await createCheck({ client: withToken("made-up"), body: card });
assert.equal(stranger.response?.status, 401);
assert.equal(stranger.error?.code, "invalid_token");
console.log("ok unauthorized");

const forbidden = await createLossReport({ client: hotel, body: scenario.report });
assert.equal(forbidden.response?.status, 403);
assert.equal(forbidden.error?.code, "insufficient_scope");
console.log("ok forbidden");

const misread = await createCheck({ client: hotel, body: { ...card, id_number: scenario.wrong_check_character } });
assert.equal(misread.response?.status, 422);
assert.equal(misread.error?.errors?.[0]?.pointer, "/id_number");
assert.equal(misread.error.errors[0].code, "wrong_check_character");
console.log("ok unprocessable");

let answer = await createCheck({ client: limited, body: card });
for (let calls = 1; answer.data && calls < 20; calls += 1) answer = await createCheck({ client: limited, body: card });
assert.equal(answer.response?.status, 429);
assert.equal(answer.error?.code, "limit_spent");
const seconds = Number(answer.response.headers.get("Retry-After"));
assert(seconds >= 1);
await wait(seconds * 1000);
answer = await createCheck({ client: limited, body: card });
assert.equal(answer.data?.verdict, "card_listed");
console.log("ok limited");

const repeatable = { client: station, headers: { "Idempotency-Key": randomUUID() } };
const first = await createLossReport({ ...repeatable, body: scenario.report });
const again = await createLossReport({ ...repeatable, body: scenario.report });
assert.equal(first.response?.status, 201);
assert(first.data?.report_id);
assert.deepEqual(again.data, first.data);
assert.equal(again.response?.headers.get("Location"), first.response.headers.get("Location"));
const other = await createLossReport({ ...repeatable, body: { ...scenario.report, reason: "stolen" } });
assert.equal(other.response?.status, 422);
assert.equal(other.error?.code, "idempotency_key_reused");
console.log("ok idempotent");

const { data: jwks } = await getJwks({ client: open });
assert(jwks);
const { data: checked } = await createCheck({ client: hotel, body: card });
assert(checked?.receipt && checked.receipt_salt);
const says = await verify(checked.receipt, jwks, scenario.base_url);
assert.equal(says.jti, checked.check_id);
assert.equal(says.verdict, checked.verdict);
assert(opens(says, checked.receipt_salt, card.id_number, card.card_valid_from));
assert(!opens(says, checked.receipt_salt, scenario.report.id_number, card.card_valid_from));
// Those of a batch have one head, and a path of hashes.
for (const { check } of batch.results) {
  if (check?.receipt) assert.equal((await verify(check.receipt, jwks, scenario.base_url)).jti, check.check_id);
}
const [head, claims, path] = checked.receipt.split("~");
const forged = Buffer.from(JSON.stringify({ ...says, verdict: "not_listed" })).toString("base64url");
await assert.rejects(verify([head, forged, path].join("~"), jwks, scenario.base_url));
await assert.rejects(verify(["e" + head, claims, path].join("~"), jwks, scenario.base_url));
console.log("ok receipt");
