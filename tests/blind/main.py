"""A node with listings of every kind; then each client of clients/blind/ on the same table of cards, three times: what it learns from changes,
from more of them than an answer tells, and from a base. Every verdict must be the direct check's. Tells how long a warm check takes.
What is no card each client refuses, a forged proof as well; its receipts are verified and audited; and one that keeps a base fetches it
again where it was damaged."""

import base64
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "clients"))

from node import Node  # noqa: E402

STARTS = [None, "2006-05-01", "2016-05-01", "2016-05-02", "2026-10-31", "2026-11-01"]
FAR = 5200
OFFICE = {"office": "110105-03"}
WIDE = "4000000/60s"
# Less than the bundles of the log, so that clients have to wait.
NARROW = "12/4s"


def id_number():
    """A well-formed number of nobody: the check character is ISO 7064 MOD 11-2."""
    digits = f"110105{random.randint(1950, 2005)}{random.randint(1, 12):02}{random.randint(1, 28):02}{random.randint(1, 999):03}"
    return completed(digits)


def completed(digits):
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights)) % 11]


class Service:
    def __init__(self, node):
        certifying, registrar = node.organization("certifying"), node.organization("registrar")
        make = lambda organization, scope: node.client(organization, scope, "--rate", WIDE)
        clients = {"checks": make(certifying, "checks"), "blind": make(certifying, "blind"), "registry": make(registrar, "registry")}
        clients["narrow"] = node.client(certifying, "blind", "--rate", NARROW)
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


def start(command, url, service, cards, **more):
    lines = "".join(json.dumps(card) + "\n" for card in cards)
    environment = os.environ | {"LOSTCARD_TOKEN": service.tokens["blind"]} | more
    return subprocess.run([*command, url], input=lines, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, timeout=600)


def run(command, service, cards, **more):
    began = time.monotonic()
    done = start(command, service.url, service, cards, **more)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout.splitlines(), time.monotonic() - began


def refused(names, tools, service):
    """What is no number, or no day: each client says so, and asks nothing."""
    good = id_number()
    other = good[:17] + ("1" if good[17] != "1" else "2")
    unborn = completed("11010519900230123")
    cards = [{"id_number": number} for number in (other, good[:17], good[:6] + good[8:17], unborn, "", " " + good)]
    cards += [{"id_number": good, "card_valid_from": start} for start in ("2016-02-30", "2016-5-1", "20160501", "2016-05-01T00:00:00Z", "tomorrow")]
    for name in names:
        for card in cards:
            # Nobody listens there.
            done = start(commands(tools)[name], "http://127.0.0.1:1", service, [card])
            if done.returncode == 0 or done.stdout or not any(word in done.stderr for word in ("ID number", " day ")):
                raise SystemExit(f"{name} did not refuse {card} by itself: {done.stdout}{done.stderr}")
        print(f"{name}: {len(cards)} of {len(cards)} that are no cards refused")


class Forger(http.server.BaseHTTPRequestHandler):
    """Passes all on to a node, and bends one bit of the proof."""

    node = None

    def pass_on(self):
        length = int(self.headers.get("Content-Length", 0))
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        request = urllib.request.Request(self.node + self.path, self.rfile.read(length) if length else None, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        if self.path == "/v1/blind/evaluations" and status == 200:
            told = json.loads(body)
            proof = bytearray(base64.urlsafe_b64decode(told["proof"] + "=="))
            proof[40] ^= 1
            body = json.dumps(told | {"proof": base64.urlsafe_b64encode(proof).rstrip(b"=").decode()}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = pass_on

    def log_message(self, *_):
        pass


def forged(names, tools, service, card):
    """No client takes a verdict from an evaluation whose proof does not hold."""
    Forger.node = service.url
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in names:
        done = start(commands(tools)[name], f"http://127.0.0.1:{server.server_port}", service, [card])
        if done.returncode == 0 or done.stdout or "proof does not hold" not in done.stderr:
            raise SystemExit(f"{name} took a forged proof: {done.stdout}{done.stderr}")
        print(f"{name}: a forged proof is refused")
    server.shutdown()


def receipts(names, tools, service, cards):
    """Each receipt opens by a salt of its own, which opens no other of the same request, and the log bears it out."""
    direct = [service.verdict(card) for card in cards]
    for name in names:
        lines, _ = run(commands(tools)[name], service, cards, LOSTCARD_BLIND_RECEIPTS="1")
        told = [json.loads(line) for line in lines]
        assert [one["verdict"] for one in told] == direct, name
        # Who is shown one salt could blind every number by it, and find those of the other elements.
        assert len({one["receipt_salt"] for one in told}) == len(told), f"{name}: a salt opens several receipts of one request"
        for card, one in zip(cards, told):
            asked = {"receipt": one["receipt"], "receipt_salt": one["receipt_salt"], **card}
            found = service.ask("checks", "/v1/receipts/verify", asked)
            assert found["authentic"] and found["opens"], (name, found)
            for _ in range(100):
                try:
                    audited = service.ask("checks", "/v1/receipts/audit", asked)
                    break
                except urllib.error.HTTPError as error:
                    # Until a checkpoint reaches it.
                    assert error.code == 503, (name, error.read())
                    time.sleep(0.1)
            assert audited["outcome"] == "consistent", (name, audited)
        print(f"{name}: {len(told)} receipts verified and audited")


KEPT = """
const { BlindClient } = await import(process.argv[1]);
const kept = new Map();
let fetched = 0;
const of = () => {
  const client = new BlindClient(process.argv[2], { token: async () => process.env.LOSTCARD_TOKEN, store: { get: async (name) => kept.get(name), put: async (name, data) => (fetched++, kept.set(name, data)) } });
  return client;
};
const [number, verdict] = process.argv.slice(3);
const check = async (wanted) => {
  const told = await of().check(number, "2016-05-01");
  if (told !== verdict || fetched !== wanted) throw new Error(`${told}, fetched ${fetched}`);
};
await check(1);
await check(1);
for (const data of kept.values()) data[data.length - 1] ^= 1;
await check(2);
await check(2);
"""


def damaged(names, tools, service, card):
    """A base that was damaged where a client keeps it is fetched once more."""
    verdict = service.verdict(card)
    if "python" in names:
        with tempfile.TemporaryDirectory() as folder:
            for bend in (False, True, False):
                for path in pathlib.Path(folder).glob("*.lcb"):
                    good = path.read_bytes()
                    path.write_bytes(good[:-1] + bytes([good[-1] ^ bend]))
                told, _ = run(commands(tools)["python"], service, [card], LOSTCARD_BLIND_FOLDER=folder)
                assert told == [verdict], told
                if bend:
                    assert path.read_bytes() == good, "the kept base is whole again"
        print("python: a damaged base is fetched again")
    if "javascript" in names:
        command = ["node", "--input-type=module", "-e", KEPT, tools / "lostcard-blind.mjs", service.url, card["id_number"], verdict]
        subprocess.run(command, check=True, env=os.environ | {"LOSTCARD_TOKEN": service.tokens["blind"]}, timeout=60)
        print("javascript: a damaged base is fetched again")


def patient(names, tools, service, card):
    """A client whose limit is spent while it reads the log waits, and has its verdict."""
    verdict = service.verdict(card)
    for name in names:
        told, seconds = run(commands(tools)[name], service, [card], LOSTCARD_TOKEN=service.tokens["narrow"])
        assert told == [verdict] and seconds > 1, (name, told, seconds)
        print(f"{name}: waited {seconds:.1f} s for the log")
        # The next one begins with what the one before had.
        time.sleep(4)


def import_far(binary, node, folder):
    """So many changes that no answer tells them all."""
    numbers = list({id_number(): None for _ in range(FAR)})
    path = folder / "far.csv"
    lines = "".join(f"{number},2016-05-01,lost,holder,110105-03,station\n" for number in numbers)
    path.write_text("id_number,card_valid_from,reason,reporter,office,channel\n" + lines)
    subprocess.run([binary, "import", path, "--data", node.data], check=True, env=node.environment, stdout=subprocess.DEVNULL)
    path.unlink()
    return [{"id_number": number, "card_valid_from": start} for number in numbers[:: FAR // 4] for start in STARTS[1:]]


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
        refused(names, tools, service)
        forged(names, tools, service, cards[0])
        compare(names, tools, service, cards, "from changes")
        receipts(names, tools, service, cards[:12])
        far = import_far(binary, node, pathlib.Path(folder)) + cards
        compare(names, tools, service, far, "from the log")
        patient(names, tools, service, far[0])
        subprocess.run([binary, "keys", "rotate", "--blind", "--data", node.data], check=True, env=node.environment, stdout=subprocess.DEVNULL)
        service.newest_key(but=key)
        compare(names, tools, service, far, "from a base")
        damaged(names, tools, service, {"id_number": cards[8]["id_number"], "card_valid_from": "2016-05-01"})
        log = node.log()
        leaked = [card["id_number"] for card in cards if card["id_number"] in log]
        assert not leaked, "numbers in the log"


if __name__ == "__main__":
    main()
