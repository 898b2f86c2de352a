"""The scenario of tests/clients by the client that openapi-python-client generates."""

import json
import sys
import time
import uuid
from http import HTTPStatus
from pathlib import Path

from joserfc.errors import JoseError
from lostcard_client import AuthenticatedClient, Client
from lostcard_client.api.access import create_token, get_jwks
from lostcard_client.api.checks import create_check, create_check_batch
from lostcard_client.api.registry import create_loss_report
from lostcard_client.models import BatchAnswer, BatchItem, BatchRequest, CheckAnswer, CheckRequest, JwkSet, LossReportAnswer, LossReportRequest
from lostcard_client.models import Problem, ReasonName, TokenAnswer, TokenRequest
from lostcard_client.types import Unset
from receipt import base64url, opens, verify

scenario = json.loads(Path(sys.argv[1]).read_text())
base_url: str = scenario["base_url"]
anyone = Client(base_url=base_url)


def with_token(token: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=base_url, token=token)


def sign_in(client_id: str, client_secret: str) -> AuthenticatedClient:
    body = TokenRequest(grant_type="client_credentials", client_id=client_id, client_secret=client_secret)
    token = create_token.sync(client=anyone, body=body)
    assert isinstance(token, TokenAnswer) and token.token_type == "Bearer", token
    return with_token(token.access_token)


def check(client: AuthenticatedClient, body: CheckRequest) -> CheckAnswer:
    answer = create_check.sync(client=client, body=body)
    assert isinstance(answer, CheckAnswer), answer
    return answer


hotel, station, limited = (sign_in(**scenario[who]) for who in ("hotel", "station", "limited"))
print("ok token")

for expected in scenario["checks"]:
    checked = check(hotel, CheckRequest.from_dict(expected))
    assert (checked.verdict, checked.advice) == (expected["verdict"], expected["advice"]), checked
print("ok verdicts")

items = [CheckRequest.from_dict(item) for item in scenario["batch"]["items"]]
batch = create_check_batch.sync(client=hotel, body=BatchRequest([BatchItem.from_dict(item.to_dict()) for item in items]))
assert isinstance(batch, BatchAnswer), batch
verdicts = [None if isinstance(result.check, Unset) else result.check.verdict for result in batch.results]
assert verdicts == scenario["batch"]["expected"], verdicts
bad = batch.results[scenario["batch"]["bad_index"]]
assert bad.index == scenario["batch"]["bad_index"] and isinstance(bad.problem, Problem), bad
assert bad.problem.code == "invalid_value" and bad.problem.errors and bad.problem.errors[0].pointer == "/id_number", bad
print("ok batch")

card = CheckRequest.from_dict(scenario["checks"][1])
stranger = create_check.sync_detailed(client=with_token("made-up"), body=card)
assert stranger.status_code == HTTPStatus.UNAUTHORIZED, stranger
assert isinstance(stranger.parsed, Problem) and stranger.parsed.code == "invalid_token", stranger
print("ok unauthorized")

report = LossReportRequest.from_dict(scenario["report"])
forbidden = create_loss_report.sync_detailed(client=hotel, body=report)
assert forbidden.status_code == HTTPStatus.FORBIDDEN, forbidden
assert isinstance(forbidden.parsed, Problem) and forbidden.parsed.code == "insufficient_scope", forbidden
print("ok forbidden")

misread = create_check.sync_detailed(client=hotel, body=CheckRequest(purpose=card.purpose, id_number=scenario["wrong_check_character"]))
assert misread.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, misread
assert isinstance(misread.parsed, Problem) and misread.parsed.errors, misread
assert misread.parsed.errors[0].pointer == "/id_number" and misread.parsed.errors[0].code == "wrong_check_character", misread
print("ok unprocessable")

answer = create_check.sync_detailed(client=limited, body=card)
for _ in range(20):
    if answer.status_code != HTTPStatus.OK:
        break
    answer = create_check.sync_detailed(client=limited, body=card)
assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS, answer
assert isinstance(answer.parsed, Problem) and answer.parsed.code == "limit_spent", answer
seconds = int(answer.headers["Retry-After"])
assert seconds >= 1
time.sleep(seconds)
assert check(limited, card).verdict == "card_listed"
print("ok limited")

key = str(uuid.uuid4())
first = create_loss_report.sync_detailed(client=station, body=report, idempotency_key=key)
again = create_loss_report.sync_detailed(client=station, body=report, idempotency_key=key)
assert first.status_code == HTTPStatus.CREATED and isinstance(first.parsed, LossReportAnswer) and first.parsed.report_id.version == 7, first
assert again.parsed == first.parsed and again.headers["Location"] == first.headers["Location"], again
report.reason = ReasonName.STOLEN
other = create_loss_report.sync_detailed(client=station, body=report, idempotency_key=key)
assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, other
assert isinstance(other.parsed, Problem) and other.parsed.code == "idempotency_key_reused", other
print("ok idempotent")

jwks = get_jwks.sync(client=anyone)
assert isinstance(jwks, JwkSet), jwks


def refused(text: str, keys: JwkSet) -> bool:
    try:
        verify(text, keys.to_dict(), base_url)
    except (ValueError, JoseError):
        return True
    return False


checked = check(hotel, card)
assert checked.receipt and checked.receipt_salt and card.id_number and card.card_valid_from, checked
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
