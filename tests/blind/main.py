"""A node with listings of every kind; then each client of clients/blind/ on the same table of cards, twice: what it learns from changes,
and what it learns from a base. Every verdict must be the direct check's. Tells how long a warm check takes."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "clients"))

from node import Node  # noqa: E402

STARTS = [None, "2006-05-01", "2016-05-01", "2016-05-02", "2026-10-31", "2026-11-01"]
OFFICE = {"office": "110105-03"}
WIDE = "4000000/60s"


def id_number():
    """A well-formed number of nobody: the check character is ISO 7064 MOD 11-2."""
    digits = f"110105{random.randint(1950, 2005)}{random.randint(1, 12):02}{random.randint(1, 28):02}{random.randint(1, 999):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights)) % 11]


class Service:
    def __init__(self, node):
        certifying, registrar = node.organization("certifying"), node.organization("registrar")
        make = lambda organization, scope: node.client(organization, scope, "--rate", WIDE)
        clients = {"checks": make(certifying, "checks"), "blind": make(certifying, "blind"), "registry": make(registrar, "registry")}
        node.environment |= {"LOSTCARD_LIMITS__NUMBERS_MODE": "observe"}
        node.start()
        self.url = node.url
        self.tokens = {scope: self.token(client) for scope, client in clients.items()}

    def token(self, client):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", **client}).encode()
        with urllib.request.urlopen(f"{self.url}/oauth2/token", form, timeout=20) as answer:
            return json.load(answer)["access_token"]

    def ask(self, scope, path, body=None):
        headers = {"Authorization": f"Bearer {self.tokens[scope]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=20) as answer:
            return json.load(answer)

    def report(self, number, start=None):
        body = {"id_number": number, "reason": "lost", "reporter": "holder", "channel": "station", **OFFICE}
        return self.ask("registry", "/v1/loss-reports", body | ({"card_valid_from": start} if start else {}))["report_id"]

    def withdraw(self, report):
        self.ask("registry", f"/v1/loss-reports/{report}/withdrawal", OFFICE | {"reason": "found"})

    def replace(self, number):
        self.ask("registry", "/v1/replacements", OFFICE | {"id_number": number, "card_valid_from": "2026-11-01"})

    def verdict(self, card):
        return self.ask("checks", "/v1/checks", {name: value for name, value in card.items() if value} | {"purpose": "lodging"})["verdict"]

    def newest_key(self, but=None):
        for _ in range(600):
            keys = self.ask("blind", "/v1/blind/keys")["keys"]
            if keys and keys[0]["key"] != but:
                return keys[0]["key"]
            time.sleep(0.1)
        raise SystemExit("no base within a minute")

    def list_all_kinds(self):
        """Six numbers of each kind: not listed, one card, unknown card, both, withdrawn, reported and replaced, replaced, one of two."""
        numbers = []
        for _ in range(6):
            some = [id_number() for _ in range(8)]
            self.report(some[1], "2016-05-01")
            self.report(some[2])
            self.report(some[3], "2016-05-01")
            self.report(some[3])
            self.withdraw(self.report(some[4], "2016-05-01"))
            self.report(some[5], "2016-05-01")
            self.replace(some[5])
            self.replace(some[6])
            withdrawn = self.report(some[7], "2010-01-01")
            self.report(some[7], "2016-05-01")
            self.withdraw(withdrawn)
            numbers += some
        return [{"id_number": number} | ({"card_valid_from": start} if start else {}) for number in numbers for start in STARTS]


def commands(tools):
    return {
        "python": [tools / "python/bin/python", ROOT / "clients/blind/lostcard_blind.py"],
        "javascript": ["node", tools / "lostcard-blind.mjs"],
        "go": [tools / "lostcard-blind"],
    }


def run(command, service, cards):
    lines = "".join(json.dumps(card) + "\n" for card in cards)
    environment = os.environ | {"LOSTCARD_TOKEN": service.tokens["blind"]}
    began = time.monotonic()
    done = subprocess.run([*command, service.url], input=lines, text=True, stdout=subprocess.PIPE, env=environment, timeout=600, check=True)
    return done.stdout.split(), time.monotonic() - began


def compare(names, tools, service, cards, where):
    direct = [service.verdict(card) for card in cards]
    assert set(direct) == {"not_listed", "card_listed", "other_card_listed", "number_listed"}, set(direct)
    for name in names:
        verdicts, seconds = run(commands(tools)[name], service, cards)
        wrong = [(card["id_number"][:6], card.get("card_valid_from"), said, told) for card, said, told in zip(cards, verdicts, direct) if said != told]
        if wrong or len(verdicts) != len(direct):
            raise SystemExit(f"{name}, {where}: {len(verdicts)} of {len(direct)} verdicts, {len(wrong)} wrong: {wrong[:5]}")
        print(f"{name}: {len(direct)} of {len(direct)} verdicts {where}, {seconds / len(direct) * 1000:.1f} ms each with start and base")


def main():
    binary, tools, names = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
    with tempfile.TemporaryDirectory(prefix="lostcard-blind-") as folder, Node(binary, pathlib.Path(folder)) as node:
        service = Service(node)
        key = service.newest_key()
        cards = service.list_all_kinds()
        compare(names, tools, service, cards, "from changes")
        subprocess.run([binary, "keys", "rotate", "--blind", "--data", node.data], check=True, env=node.environment, stdout=subprocess.DEVNULL)
        service.newest_key(but=key)
        compare(names, tools, service, cards, "from a base")
        log = node.log()
        leaked = [card["id_number"] for card in cards if card["id_number"] in log]
        assert not leaked, "numbers in the log"


if __name__ == "__main__":
    main()
