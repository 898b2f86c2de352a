"""Runs the scenario of each generated client against one node, with clients and cards of its own for each.

A client's program prints `ok STEP` for every step of STEPS, in that order, and nothing else; anything else fails the run. What a step
asks for, and the members of the scenario's file, are in docs/guides/clients.md.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node import Node

STEPS = ["token", "verdicts", "batch", "unauthorized", "forbidden", "unprocessable", "limited", "idempotent", "receipt"]
HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / "target")
# A first run compiles the client and all that it depends on.
SECONDS_MAX = 1200
OLD_CARD, NEW_CARD = "2016-05-01", "2024-05-01"
# A limit that a few checks spend, and whose wait is short: two seconds at most.
LIMITED_RATE = "3/6s"


def id_number(first_17):
    """GB 11643: with its check character."""
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return first_17 + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first_17, weights)) % 11]


def loss_report(number):
    return {"id_number": number, "card_valid_from": OLD_CARD, "reason": "lost", "reporter": "holder", "office": "110105-03", "channel": "station"}


def check(number, card_valid_from, verdict, advice):
    card = {"id_number": number, "purpose": "lodging", "verdict": verdict, "advice": advice}
    return card if card_valid_from is None else {**card, "card_valid_from": card_valid_from}


def cards(index):
    """The cards of one language: the number to list before it starts, and what its scenario says of them."""
    listed, unlisted, to_report = (id_number(f"110105197001{index + 1:02}{sequence}") for sequence in ("001", "002", "003"))
    wrong = unlisted[:17] + ("1" if unlisted[17] != "1" else "2")
    checks = [
        check(unlisted, OLD_CARD, "not_listed", "proceed"),
        check(listed, OLD_CARD, "card_listed", "refuse_and_report"),
        check(listed, NEW_CARD, "other_card_listed", "proceed"),
        check(listed, None, "number_listed", "confirm_card"),
    ]
    items = [{name: value for name, value in each.items() if name not in ("verdict", "advice")} for each in checks]
    expected = [each["verdict"] for each in checks]
    items.insert(1, {**items[0], "id_number": wrong})
    expected.insert(1, None)
    return listed, {
        "checks": checks,
        "wrong_check_character": wrong,
        "batch": {"items": items, "bad_index": 1, "expected": expected},
        "report": loss_report(to_report),
    }


def run_one(name, scenario, folder):
    """None, or what is wrong."""
    tools = TARGET.resolve() / "clients" / name
    tools.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(scenario, indent=1))
    pipe = subprocess.PIPE
    process = subprocess.Popen([HERE / name / "run", file, tools], stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=SECONDS_MAX)
    except BaseException as end:
        # The script's own children too: it leads a session of its own.
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        if isinstance(end, subprocess.TimeoutExpired):
            return f"did not end within {SECONDS_MAX} s:\n{output}{errors}"
        raise
    if process.returncode != 0:
        return f"ended with {process.returncode}:\n{output}{errors}"
    if output.splitlines() != [f"ok {step}" for step in STEPS]:
        return f"did not print the steps and nothing else:\n{output}{errors}"
    return None


def main():
    known = sorted(file.parent.name for file in HERE.glob("*/run"))
    arguments = argparse.ArgumentParser(prog="tests/clients/run", description="The scenario of each generated client against a live node.")
    arguments.add_argument("--binary", type=Path, default=TARGET / "debug" / "lostcard", help="default: %(default)s")
    arguments.add_argument("names", metavar="NAME", nargs="*", help=", ".join(known))
    chosen = arguments.parse_args()
    # So that the node is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    unknown = set(chosen.names) - set(known)
    if unknown:
        arguments.error(f"no such client: {', '.join(sorted(unknown))}")
    failed = []
    with tempfile.TemporaryDirectory(prefix="lostcard-clients-") as folder, Node(chosen.binary.resolve(), Path(folder)) as node:
        hotel, station = node.organization("certifying"), node.organization("registrar")
        own = node.client(station, "registry")
        scenarios = {}
        for index, name in enumerate(known):
            listed, scenario = cards(index)
            scenarios[name] = {
                "hotel": node.client(hotel, "checks"),
                "station": node.client(station, "registry"),
                "limited": node.client(hotel, "checks", "--rate", LIMITED_RATE),
                **scenario,
                "listed": listed,
            }
        node.start()
        for scenario in scenarios.values():
            node.report(own, loss_report(scenario.pop("listed")))
        for name in chosen.names or known:
            started = time.monotonic()
            wrong = run_one(name, {"base_url": node.url, **scenarios[name]}, Path(folder))
            seconds = time.monotonic() - started
            print(f"{'FAIL' if wrong else 'ok  '}  {name} ({seconds:.0f} s){': ' + wrong if wrong else ''}", flush=True)
            if wrong:
                failed.append(name)
        if failed:
            print(f"the node's log:\n{node.log()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
