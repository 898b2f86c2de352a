"""The whole OpenAPI document against a live node, by schemathesis: every check, random requests, and each operation must have
succeeded at least once, or else the answers of success were never looked at."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from node import Node

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi/lostcard.json"
SECONDS = int(os.environ.get("CONFORMANCE_SECONDS", "75"))
EXAMPLES = 12
# Operations that need not succeed here, and why.
MAY_FAIL = {
    "POST /oauth2/token": "its credentials cannot be made up; the token of this run came from it",
    "POST /v1/sandbox/reset": "this is a production; in a sandbox it would take away what the other calls made",
}


def main(binary):
    node = Node(binary)
    try:
        with tempfile.TemporaryDirectory() as folder:
            counts = Path(folder, "counts.json")
            config = Path(folder, "schemathesis.toml")
            config.write_text('headers = { Authorization = "Bearer ${CONFORMANCE_TOKEN}" }\n[warnings]\nenabled = false\n')
            environment = os.environ | {
                "CONFORMANCE_TOKEN": node.token(node.station), "CONFORMANCE_COUNTS": str(counts),
                "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
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
