"""Hooks of schemathesis: values that a schema cannot describe, failures that are none (each with its reason), and which operations
ever succeeded."""

import atexit
import datetime
import json
import os
import random
import re
import threading

import schemathesis
from hypothesis import strategies as st

TODAY = datetime.datetime.now(datetime.timezone.utc).date()
# The day that the service goes by: a new card starts on the day of its application at the earliest.
BEIJING_TODAY = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))).date().isoformat()
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
PROVINCES = ("11", "31", "41", "44", "51")


@st.composite
def id_numbers(draw):
    born = draw(st.dates(datetime.date(1930, 1, 1), datetime.date(2010, 1, 1)))
    first = f"{draw(st.sampled_from(PROVINCES))}0105{born:%Y%m%d}{draw(st.integers(1, 999)):03}"
    return first + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS)) % 11]


def dates(first, last):
    return st.integers(first, last).map(lambda days: (TODAY + datetime.timedelta(days)).isoformat())


# By the member's name: what a clerk would send.
FORMATS = {
    "id_number": ("id-number", id_numbers()),
    "card_valid_from": ("x-card-start", dates(-3650, -60)),
    "card_valid_until": ("x-card-end", dates(30, 3650)),
    "lost_on": ("x-past-day", dates(-50, 0)),
    "found_on": ("x-past-day", dates(-50, 0)),
    "journey_on": ("x-near-day", dates(0, 2)),
    "observed_at": ("x-past-instant", dates(-300, -2).map(lambda day: f"{day}T08:30:00Z")),
    "household_region": ("x-region", st.sampled_from(["410102", "110105", "310104"])),
    "applying_region": ("x-region", st.sampled_from(["410102", "110105", "310104"])),
    "region": ("x-region", st.sampled_from(["410102", "110105", "310104"])),
    "found_at_region": ("x-region", st.sampled_from(["410102", "110105", "310104"])),
    "applied_at_office": ("x-place-office", st.sampled_from(["310104-01", "110105-03"])),
    "household_office": ("x-place-office", st.sampled_from(["410102-01", "110105-03"])),
    "office": ("x-own-office", st.sampled_from(["110105-03", "110105", "310104-01"])),
}
for name, values in FORMATS.values():
    schemathesis.openapi.format(name, values)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for schema in raw_schema["components"]["schemas"].values():
        if schema.get("additionalProperties") is False:
            for name, member in schema.get("properties", {}).items():
                if name in FORMATS and "$ref" not in member:
                    member["format"] = FORMATS[name][0]
                    for keyword in ("pattern", "minLength", "maxLength"):
                        member.pop(keyword, None)


# Refusals (422) of bodies that fit their schemas, by the code of each member's error: what no schema says.
RULES = {
    "exactly_one": "number or digest, one of them: `oneOf` is left out because generators choke on it",
    "malformed_receipt": "a receipt is signed by this service: text that is made up is none",
    "malformed_certificate": "so is a certificate",
    "malformed_label": "a label may hold an identity number by chance",
    "malformed_office": "so may an office",
    "malformed_text": "control characters are refused",
    "malformed_salt": "32 bytes in base64url",
    "unknown_region": "a list of provinces that changes",
    "unknown_place": "so do offices by their place",
    "malformed_cursor": "a cursor is taken as it was given and no other way",
    "other_start": "a found card keeps the start that it was registered with",
    "start_needed": "a found card without a start needs it at its return",
    "scope_of_other_kind": "which scopes a client may have hangs on its organization",
    "element_invalid": "elements of a group are not made up",
    "malformed_code": "a code is given out",
    "malformed_key": "a JWK that is made up is no key",
    "malformed_keys": "JWKs that are made up are no keys",
    "malformed_pem": "nor is text a certificate",
    "malformed_rate": "numbers of 32 bits",
    "malformed_numbers": "up to ten million",
    "malformed_period": "up to ninety days",
    "not_authentic": "so is one of another service",
    "does_not_open": "a salt opens one receipt",
    "same_office": "a card cannot be sent to the office that holds it",
}
# Members that are right each for itself, and wrong with another one.
TOGETHER = {
    # A client that is known by its certificate is bound to it.
    ("POST /v1/admin/clients", "/bound", "unknown_value"),
}
# Rules between dates, and between a date and today.
DATES = {
    "before_first_cards", "starts_in_future", "starts_too_far_ahead", "ends_before_start", "lost_in_future",
    "lost_before_card_start", "found_in_future", "found_before_card_start", "observed_in_future", "observed_too_long_ago",
    "journey_in_past", "journey_after_expiry", "after_to", "range_too_long", "before_application", "out_of_range",
    "journey_too_far_ahead",
}
# schemathesis makes values of a format that is ours (FORMATS), but cannot tell text that is none: to it any text fits.
FORMS = {
    "malformed_date", "malformed_instant", "empty", "full_width", "not_ascii", "fifteen_digits", "wrong_length",
    "wrong_character", "unknown_province", "impossible_birth_date", "birth_before_1850", "future_birth_date", "wrong_check_character",
}


def sent(response):
    body = response.request.body or ""
    return body.decode(errors="replace") if isinstance(body, bytes) else body


def is_no_failure(check, operation, response):
    """Whether this is none. `check` is the name of the failure's class."""
    try:
        body = response.json() or {}
    except ValueError:
        body = {}
    errors = body.get("errors", []) if isinstance(body, dict) else []
    codes = [error["code"] for error in errors if (operation, error["pointer"], error["code"]) not in TOGETHER]
    if check == "RejectedPositiveData":
        # Keys that are made up repeat; a repetition with another body is refused.
        if body.get("code") == "idempotency_key_reused":
            return True
        # To JSON Schema 1.0 is an integer; here an integer is written without a fraction.
        if response.status_code == 400 and re.search(r"[0-9]\.0\b", sent(response)):
            return True
        if response.status_code == 422 and errors:
            return all(code in RULES or code in DATES or code in FORMS for code in codes)
        # A blind key that is made up is in force nowhere.
        if body.get("code") == "blind_key_unknown":
            return True
        # Credentials that are made up are refused, and forms without any.
        if operation == "POST /oauth2/token":
            return response.status_code in (400, 401)
        # A cursor is taken as it was given and no other way.
        return operation.startswith("GET ") and "cursor" in body.get("detail", "")
    if check == "AcceptedNegativeData":
        # Refused, too: schemathesis does not count these statuses among the refusals.
        if response.status_code in (413, 414):
            return True
        # A bad item of a batch is answered in its place.
        return operation == "POST /v1/checks/batch" and any("problem" in result for result in body.get("results", []))
    if check == "EnsureResourceAvailability":
        # The application is there; a temporary card, which this takes back, was not handed out.
        return operation.endswith("/temporary-card/return")
    # In production it is not there, no matter who asks and how.
    if check in ("MissingHeaderNotRejected", "UnsupportedMethodResponse") and operation == "POST /v1/sandbox/reset":
        return response.status_code == 404
    if check == "UnsupportedMethodResponse":
        # Whatever the method, a query is refused first: nothing about a person may be in a URL.
        return response.status_code == 400 and "takes no query" in body.get("detail", "")
    return False


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not is_no_failure(type(failure).__name__, case.operation.label, response)


_lock = threading.Lock()
_counts = {}
# What succeeded before, for operations on things that no answer links to: (path parameters, members of the body).
_made = {"citizen": [], "application": [], "temporary_card": [], "replacement": [], "issue": [], "found_card": [], "report": [], "withdrawal": [], "pending": [], "organization": [],
         "of_organization": [], "of_pairing": [], "pairing": [], "client": [], "certificate": [], "keys": [], "request": [], "refusable": [], "of_undo": []}
NEEDS = {
    "POST /v1/citizen/loss-reports/{report_id}/withdrawal": "citizen",
    "POST /v1/replacement-applications/{application_id}/temporary-card": "application",
    "POST /v1/replacement-applications/{application_id}/temporary-card/return": "temporary_card",
    "POST /v1/replacement-applications/{application_id}/issue": "issue",
    "POST /v1/replacements/{replacement_id}/correction": "replacement",
    "POST /v1/found-cards/{found_card_id}/return": "found_card",
    "POST /v1/loss-reports/{report_id}/withdrawal": "report",
    "GET /v1/loss-reports/{report_id}/withdrawal": "withdrawal",
    "POST /v1/loss-reports/{report_id}/withdrawal/confirmation": "pending",
    "GET /v1/admin/organizations/{organization_id}": "organization",
    "PATCH /v1/admin/organizations/{organization_id}": "organization",
    "POST /v1/admin/clients": "of_organization",
    "GET /v1/admin/clients/{client_id}": "client",
    "POST /v1/admin/undo": "of_undo",
    "PATCH /v1/admin/clients/{client_id}": "client",
    "POST /v1/admin/clients/{client_id}/secrets": "client",
    "POST /v1/admin/clients/{client_id}/revocation": "client",
    "POST /v1/admin/clients/{client_id}/certificates": "certificate",
    "POST /v1/admin/clients/{client_id}/keys": "keys",
    "POST /v1/admin/pairings": "of_pairing",
    "GET /v1/admin/pairings/{pairing_id}": "pairing",
    "PATCH /v1/admin/pairings/{pairing_id}": "pairing",
    "GET /v1/admin/requests/{request_id}": "request",
    "POST /v1/admin/requests/{request_id}/approval": "request",
    "POST /v1/admin/requests/{request_id}/refusal": "refusable",
}


# Of nobody, until 2126; and a key of RFC 8037.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIULjJXaEX62HlOkKvNSp4AKOnmZM4wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKZnJvbnQtZGVzazAgFw0yNjExMjkwNDA5MTNaGA8yMTI2MTEw
NTA0MDkxM1owFTETMBEGA1UEAwwKZnJvbnQtZGVzazBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABEaEc3t5c9cfdSVSfzv++ivml9QFh53iOAGonbMb1AfaxvbrJzj1
Qsf/nTAb1YKukuZkt4+1ozjWYRK+PvuqpbajUzBRMB0GA1UdDgQWBBSlLDx/wrBS
Hoqru9chre3VhE4uQzAfBgNVHSMEGDAWgBSlLDx/wrBSHoqru9chre3VhE4uQzAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDdSBFgZxmJH8PBvWFM
gRL2PlYEwT3PqfBKN2WGoRy2fQIgHzhiZD9laSC0qVywrRv2V4JngwAw1zRkJh8P
MnKzWMs=
-----END CERTIFICATE-----
"""
KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


def remember(case, response):
    if case.operation.label == "POST /v1/loss-reports/{report_id}/withdrawal" and response.status_code in (200, 202):
        _made["withdrawal"].append((dict(case.path_parameters), {}))
        if response.status_code == 202:
            _made["pending"].append((dict(case.path_parameters), {}))
    if case.operation.label == "POST /v1/admin/organizations" and response.status_code == 202:
        # Each is approved or refused, once.
        kind = "request" if len(_made["request"]) <= len(_made["refusable"]) else "refusable"
        _made[kind].append(({"request_id": response.json()["request_id"]}, {}))
    if response.status_code != 201:
        return
    answer = response.json()
    if case.operation.label == "POST /v1/admin/organizations" and answer["kind"] == "certifying":
        _made["organization"].append(({"organization_id": answer["organization_id"]}, {}))
        _made["of_organization"].append(({}, {"organization_id": answer["organization_id"], "scopes": ["checks"]}))
        _made["of_pairing"].append(({}, {"organization_id": answer["organization_id"], "scopes": ["checks"]}))
    if case.operation.label == "POST /v1/admin/pairings":
        _made["pairing"].append(({"pairing_id": answer["pairing_id"]}, {}))
    if case.operation.label == "POST /v1/admin/clients":
        path = {"client_id": answer["client_id"]}
        _made["client"].append((path, {}))
        # Of a time in which it has done nothing.
        _made["of_undo"].append(({}, path | {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}))
        _made["certificate"].append((path, {"certificate": CERTIFICATE}))
        _made["keys"].append((path, {"keys": [KEY]}))
    if case.operation.label == "POST /v1/citizen/loss-reports":
        _made["citizen"].append(({"report_id": answer["report_id"]}, {"id_number": json.loads(sent(response))["id_number"]}))
    elif case.operation.label == "POST /v1/loss-reports":
        _made["report"].append(({"report_id": answer["report_id"]}, {}))
    elif case.operation.label == "POST /v1/replacement-applications" and answer["state"] == "accepted":
        path = {"application_id": answer["application_id"]}
        _made["application"].append((path, {}))
        _made["issue"].append((path, {"card_valid_from": BEIJING_TODAY}))
    elif case.operation.label == "POST /v1/found-cards":
        start = json.loads(sent(response)).get("card_valid_from")
        _made["found_card"].append(({"found_card_id": answer["found_card_id"]}, {"card_valid_from": start} if start else {}))
    elif case.operation.label == "POST /v1/replacements":
        _made["replacement"].append(({"replacement_id": answer["replacement_id"]}, {}))
    elif case.operation.label.endswith("/temporary-card"):
        _made["temporary_card"].append((dict(case.path_parameters), {}))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Every well-formed request for one of these goes to a thing that exists."""
    made = _made.get(NEEDS.get(case.operation.label), [])
    ids = case.path_parameters or {}
    is_formed = isinstance(case.body, dict) or case.operation.method.upper() == "GET"
    if made and is_formed and all(len(str(value)) == 36 for value in ids.values()):
        path, members = random.choice(made)
        case.path_parameters = dict(path)
        # What is ended is of no use to the other calls.
        if isinstance(case.body, dict) and case.operation.method.upper() == "PATCH" and case.body.get("state") == "ended":
            is_pairing = "/pairings/" in case.operation.label
            case.body = {"name": "front desk"} if is_pairing else case.body | {"state": "suspended"}
        if isinstance(case.body, dict) and set(members) <= set(case.body):
            case.body = case.body | members


@schemathesis.hook
def after_call(context, case, response):
    with _lock:
        good, all_ = _counts.get(case.operation.label, (0, 0))
        remember(case, response)
        _counts[case.operation.label] = (good + (200 <= response.status_code < 300), all_ + 1)


@atexit.register
def write():
    if path := os.environ.get("CONFORMANCE_COUNTS"):
        with open(path, "w") as file:
            json.dump(_counts, file)
