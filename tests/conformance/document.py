"""The whole OpenAPI document against a live node, by schemathesis: every check, random requests, and each operation must have
succeeded at least once, or else the answers of success were never looked at."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from node import Node

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi/lostcard.json"
SECONDS = int(os.environ.get("CONFORMANCE_SECONDS", "150"))
EXAMPLES = 12
# Operations that need not succeed here, and why.
MAY_FAIL = {
    "POST /oauth2/token": "its credentials cannot be made up; the token of this run came from it",
    "POST /v1/admin/clients/{client_id}/release": "no client of this run is held",
    "POST /v1/admin/pairings/{pairing_id}/release": "no device of this run is locked",
    "POST /v1/pairings/registration": "a code cannot be made up; tests/api/devices.rs registers by one",
    "GET /v1/admin/persons/{person_id}": "nobody has signed in here; tests/api/persons_ended.rs reads and changes one",
    "PATCH /v1/admin/persons/{person_id}": "the same",
    "POST /v1/passkeys/registration-options": "persons do not sign in here; tests/api/passkeys.rs does all of it",
    "POST /v1/passkeys/registration": "the same",
    "POST /v1/passkeys/sign-in-options": "the same",
    "POST /v1/passkeys/sign-in": "the same",
    "POST /v1/blind/evaluations": "elements and sequences cannot be made up; tests/blind makes them",
    "POST /v1/receipts/audit": "a receipt of this node, with what opens it, cannot be made up; tests/api makes them",
    "GET /v1/blind/bases/{epoch}": "the epoch is that of a key; tests/blind asks for it",
    "GET /registry-log/{epoch}/checkpoint": "the epoch is that of a key; tests/log reads it",
    "GET /registry-log/{epoch}/tile/{tile}": "which tiles there are, a checkpoint says; tests/log reads them",
    "GET /registry-log/{epoch}/tile/entries/{bundle}": "the same",
    "GET /v1/admin/requests/{request_id}/export": "an export must be approved first; tests/api/approvals.rs reads one",
    "POST /v1/sandbox/reset": "this is a production; in a sandbox it would take away what the other calls made",
}

# Who agrees to what another client has asked for, by how the path ends.
SECOND_CLIENTS = {"confirmation": "colleague", "approval": "operator", "refusal": "operator"}


def main(binary):
    # So few that one client alone withdraws, that confirmations are tried.
    node = Node(binary, {"LOSTCARD_REGISTRY__WITHDRAWALS_PER_DAY": "3"})
    try:
        with tempfile.TemporaryDirectory() as folder:
            counts = Path(folder, "counts.json")
            config = Path(folder, "schemathesis.toml")
            config.write_text("".join(settings()))
            tokens = {f"CONFORMANCE_{scope.upper()}": node.token(client) for scope, client in node.clients.items()}
            tokens["CONFORMANCE_COLLEAGUE"] = node.token(node.colleague)
            tokens["CONFORMANCE_OPERATOR"] = node.token(node.operator)
            environment = os.environ | tokens | {
                "CONFORMANCE_COUNTS": str(counts), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
            command = [
                str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run", str(DOCUMENT),
                "--url", node.url, "--checks", "all", "--max-examples", str(EXAMPLES), "--max-time", str(SECONDS), "--no-color"]
            done = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                print(done.stdout)
            explained = counts.exists() and report(json.loads(counts.read_text()))
            if done.returncode != 0 or not explained:
                sys.exit("the service and its OpenAPI document do not agree: see above")
    finally:
        node.stop()


def settings():
    """Each operation is called by who may do it: its description names the scope. A second client confirms what the first asked for."""
    yield "[warnings]\nenabled = false\n"
    for path, item in json.loads(DOCUMENT.read_text())["paths"].items():
        for method, operation in item.items():
            named = re.search(r"[Ss]cope `(\w+)`", operation["description"])
            who = SECOND_CLIENTS.get(path.rsplit("/", 1)[-1], named[1] if named else "registry")
            yield f'[[operations]]\ninclude-name = "{method.upper()} {path}"\n'
            yield f'headers = {{ Authorization = "Bearer ${{CONFORMANCE_{who.upper()}}}" }}\n'


def report(counts):
    operations = [f"{method.upper()} {path}" for path, item in json.loads(DOCUMENT.read_text())["paths"].items() for method in item]
    never = [label for label in operations if counts.get(label, (0, 0))[0] == 0]
    good, requests = (sum(pair[at] for pair in counts.values()) for at in (0, 1))
    print(f"OpenAPI document: {requests} requests, {good} of them successful; {len(operations) - len(never)} of {len(operations)} operations")
    unexplained = [label for label in never if label not in MAY_FAIL]
    for label in unexplained:
        print(f"never successful: {label}, {counts.get(label, (0, 0))[1]} requests")
    return not unexplained


if __name__ == "__main__":
    main(sys.argv[1])
