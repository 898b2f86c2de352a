"""The workflows of openapi/lostcard.arazzo.yaml: linted without a warning, then run by `redocly respect` against a live node."""

import os
import subprocess
import sys
from pathlib import Path

from node import Node, id_number

ARAZZO = Path(__file__).resolve().parents[2] / "openapi/lostcard.arazzo.yaml"
WORKFLOWS = ("lossAndWithdrawal", "replacement")


def redocly(tool, *words, **variables):
    environment = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"} | variables
    done = subprocess.run([tool, *words], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def main(binary, tool):
    failed, out = redocly(tool, "lint", str(ARAZZO), "--format=github-actions")
    if failed or any(line.startswith("::") for line in out.splitlines()):
        sys.exit(f"lint: {out}")
    node = Node(binary)
    try:
        for workflow in WORKFLOWS:
            inputs = {"id_number": id_number()}
            for who, client in (("hotel", node.hotel), ("station", node.station)):
                inputs |= {f"{who}_{name}": client[name] for name in ("client_id", "client_secret")}
            # By the environment: an argument would be in the list of processes.
            given = ",".join(f"{name}={value}" for name, value in inputs.items())
            failed, out = redocly(tool, "respect", str(ARAZZO), "-w", workflow, "-v", "-S", f"lostcard={node.url}",
                                  REDOCLY_CLI_RESPECT_INPUT=given)
            if failed:
                sys.exit(out)
            print(f"workflow {workflow}: ok")
    finally:
        node.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
