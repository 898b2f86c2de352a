"""The scenario of tests/clients by the client that openapi-generator generates for Python."""

import json
import sys
import time
import uuid
from pathlib import Path

from joserfc.errors import JoseError
from lostcard_client import AccessApi, ApiClient, ApiException, BatchRequest, CheckRequest, ChecksApi, Configuration, JwkSet, LossReportRequest
from lostcard_client import Problem, ReasonName, RegistryApi
from lostcard_client.exceptions import ForbiddenException, UnauthorizedException, UnprocessableEntityException
from receipt import base64url, opens, verify

scenario = json.loads(Path(sys.argv[1]).read_text())
base_url: str = scenario["base_url"]
access = AccessApi(ApiClient(Configuration(host=base_url)))


def with_token(token: str) -> ApiClient:
    return ApiClient(Configuration(host=base_url, access_token=token))


def sign_in(client_id: str, client_secret: str) -> ApiClient:
    token = access.create_token(grant_type="client_credentials", client_id=client_id, client_secret=client_secret)
    assert token.token_type == "Bearer", token
    return with_token(token.access_token)


def problem_of(refusal: ApiException) -> Problem:
    assert isinstance(refusal.data, Problem), refusal
    return refusal.data


hotel, station, limited = (sign_in(**scenario[who]) for who in ("hotel", "station", "limited"))
checks = ChecksApi(hotel)
print("ok token")

for expected in scenario["checks"]:
    checked = checks.create_check(CheckRequest.model_validate(expected))
    assert (checked.verdict, checked.advice) == (expected["verdict"], expected["advice"]), checked
print("ok verdicts")

items = [CheckRequest.model_validate(item) for item in scenario["batch"]["items"]]
batch = checks.create_check_batch(BatchRequest(checks=[item.to_dict() for item in items]))
verdicts = [result.check and result.check.verdict for result in batch.results]
assert verdicts == scenario["batch"]["expected"], verdicts
bad = batch.results[scenario["batch"]["bad_index"]]
assert bad.index == scenario["batch"]["bad_index"] and bad.problem, bad
assert bad.problem.code == "invalid_value" and bad.problem.errors and bad.problem.errors[0].pointer == "/id_number", bad
print("ok batch")

card = CheckRequest.model_validate(scenario["checks"][1])
try:
    ChecksApi(with_token("made-up")).create_check(card)
    raise AssertionError("a made-up token was taken")
except UnauthorizedException as refusal:
    assert problem_of(refusal).code == "invalid_token"
print("ok unauthorized")

report = LossReportRequest.model_validate(scenario["report"])
try:
    RegistryApi(hotel).create_loss_report(report)
    raise AssertionError("a hotel filed a report")
except ForbiddenException as refusal:
    assert problem_of(refusal).code == "insufficient_scope"
print("ok forbidden")

try:
    checks.create_check(CheckRequest(purpose=card.purpose, id_number=scenario["wrong_check_character"]))
    raise AssertionError("a wrong check character was taken")
except UnprocessableEntityException as refusal:
    errors = problem_of(refusal).errors
    assert errors and (errors[0].pointer, errors[0].code) == ("/id_number", "wrong_check_character"), errors
print("ok unprocessable")

try:
    for _ in range(20):
        ChecksApi(limited).create_check(card)
    raise AssertionError("the limit is not spent")
except ApiException as refusal:
    assert refusal.status == 429 and problem_of(refusal).code == "limit_spent", refusal
    assert refusal.headers is not None
    seconds = int(refusal.headers["Retry-After"])
assert seconds >= 1
time.sleep(seconds)
assert ChecksApi(limited).create_check(card).verdict == "card_listed"
print("ok limited")

key = str(uuid.uuid4())
registry = RegistryApi(station)
first = registry.create_loss_report_with_http_info(report, idempotency_key=key)
again = registry.create_loss_report_with_http_info(report, idempotency_key=key)
assert first.status_code == 201 and first.data.report_id.version == 7 and first.headers and again.headers, first
# Here, but not in an exception, names of headers are as the service sends them: in small letters.
assert again.data == first.data and again.headers["location"] == first.headers["location"], again
report.reason = ReasonName.STOLEN
try:
    registry.create_loss_report(report, idempotency_key=key)
    raise AssertionError("a key was taken for two reports")
except UnprocessableEntityException as refusal:
    assert problem_of(refusal).code == "idempotency_key_reused"
print("ok idempotent")


def refused(text: str, keys: JwkSet) -> bool:
    try:
        verify(text, keys.to_dict(), base_url)
    except (ValueError, JoseError):
        return True
    return False


jwks = access.get_jwks()
checked = checks.create_check(card)
assert checked.receipt and checked.receipt_salt and card.id_number, checked
says = verify(checked.receipt, jwks.to_dict(), base_url)
assert (says.jti, says.verdict) == (str(checked.check_id), checked.verdict), says
assert opens(says, checked.receipt_salt, card.id_number, card.card_valid_from)
assert not opens(says, checked.receipt_salt, report.id_number, card.card_valid_from)
# Those of a batch have one head, and a path of hashes.
for result in batch.results:
    if result.check and result.check.receipt:
        assert verify(result.check.receipt, jwks.to_dict(), base_url).jti == str(result.check.check_id)
head, claims, path = checked.receipt.split("~")
forged = base64url(json.dumps({**vars(says), "verdict": "not_listed"}).encode())
assert refused("~".join([head, forged, path]), jwks)
assert refused("~".join(["e" + head, claims, path]), jwks)
print("ok receipt")
