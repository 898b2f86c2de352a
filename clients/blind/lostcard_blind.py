"""Blind checks: whether a card is reported, without telling the service whom one asks about (docs/BLIND.md).

    from lostcard_blind import BlindClient
    client = BlindClient("https://lostcard.example", token=lambda: "...")
    client.check("11010519491231002X", "2016-05-01")     # "not_listed", "card_listed", "other_card_listed", "number_listed"
    client.check_with_receipts([("11010519491231002X", "2016-05-01")])  # [(verdict, receipt, salt)]: keep both with the stay

One file: copy it. Needs `rbcl` (libsodium), and nothing else but the standard library. The base lies in `folder`, if one is named.
As a program: `lostcard_blind.py URL < lines`, each line a JSON object with `id_number` and perhaps `card_valid_from`; the token is in
LOSTCARD_TOKEN. It prints a verdict for each line; with LOSTCARD_BLIND_RECEIPTS=1 JSON with the receipt and its salt.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import secrets
import struct
import sys
import time
import urllib.error
import urllib.request

import rbcl

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
ORDER = 2**252 + 27742317777372353535851937790883648493
DAY_0 = datetime.date(1984, 4, 4)
LISTED, UNKNOWN = 1, 2
GRAVITY = ["not_listed", "other_card_listed", "number_listed", "card_listed"]
ELEMENTS_MAX = 32
BUNDLE = 256
ATTEMPTS_MAX = 8
WAIT_S_MAX = 60
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


class BlindError(Exception):
    """No verdict: an outage is never an answer."""


class Malformed(BlindError):
    """No number of a card, or no day: nothing was asked."""


class ProofError(BlindError):
    """The service did not evaluate by the key that it published: tell the operator, and an auditor."""


class Refused(BlindError):
    """The service refused; `code` says why."""

    def __init__(self, status, code, retry_after):
        super().__init__(f"{status} {code}")
        self.status, self.code, self.retry_after = status, code, retry_after


def waited(refused):
    """Waits for a limit that is spent, as long as the refusal says. False: it is another refusal, or says too long."""
    wait = refused.retry_after or ""
    if not refused.code.endswith("limit_spent") or not wait.isdigit() or int(wait) > WAIT_S_MAX:
        return False
    time.sleep(max(1, int(wait)))
    return True


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def day(text):
    """A day of the form YYYY-MM-DD."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return datetime.date.fromisoformat(text)
    except (TypeError, ValueError):
        raise Malformed("a day is not of the form YYYY-MM-DD") from None


def expect_card(id_number, card_valid_from):
    """Refuses what is no number (GB 11643), for a mistyped one is on no list, and what is no day. An empty start was not read."""
    if not isinstance(id_number, str) or not re.fullmatch(r"[0-9]{17}[0-9Xx]", id_number):
        raise Malformed("not an ID number (GB 11643)")
    day(f"{id_number[6:10]}-{id_number[10:12]}-{id_number[12:14]}")
    if "10X98765432"[sum(int(digit) * weight for digit, weight in zip(id_number, WEIGHTS)) % 11] != id_number[17].upper():
        raise Malformed("the check character of an ID number is another one")
    if card_valid_from:
        day(card_valid_from)


def tile_name(index, width):
    """As C2SP tlog-tiles writes it."""
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    return name if width == BUNDLE else f"{name}.p/{width}"


def entries_of(bundle):
    """The entries of a bundle, each behind its length."""
    entries, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if at + 2 > len(bundle) or end > len(bundle):
            raise BlindError("a bundle of the log is damaged")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


# RFC 9497, suite ristretto255-SHA512, mode VOPRF.


def expand(message, dst):
    """64 uniform bytes (RFC 9380, 5.3.1)."""
    dst += bytes([len(dst)])
    first = hashlib.sha512(bytes(128) + message + b"\x00\x40\x00" + dst).digest()
    return hashlib.sha512(first + b"\x01" + dst).digest()


def hash_to_group(message):
    return rbcl.crypto_core_ristretto255_from_hash(expand(message, b"HashToGroup-" + CONTEXT))


def hash_to_scalar(message):
    return rbcl.crypto_core_ristretto255_scalar_reduce(expand(message, b"HashToScalar-" + CONTEXT))


def sized(*parts):
    return b"".join(struct.pack(">H", len(part)) + part for part in parts)


def times(scalar, element):
    return rbcl.crypto_scalarmult_ristretto255_allow_scalar_zero(scalar, element)


def plus(one, other):
    return rbcl.crypto_core_ristretto255_add(one, other)


def is_element(data):
    return len(data) == 32 and any(data) and rbcl.crypto_core_ristretto255_is_valid_point(data)


def verify_proof(public, blinded, evaluated, proof):
    """VerifyProof (RFC 9497, 2.2.2)."""
    if len(proof) != 64 or len(blinded) != len(evaluated) or not all(map(is_element, [public, *evaluated])):
        return False
    c, s = proof[:32], proof[32:]
    if any(int.from_bytes(scalar, "little") >= ORDER for scalar in (c, s)):
        return False
    seed = hashlib.sha512(sized(public, b"Seed-" + CONTEXT)).digest()
    m = z = bytes(32)
    for index, (before, after) in enumerate(zip(blinded, evaluated)):
        weight = hash_to_scalar(sized(seed) + struct.pack(">H", index) + sized(before, after) + b"Composite")
        m, z = plus(m, times(weight, before)), plus(z, times(weight, after))
    generator = rbcl.crypto_scalarmult_ristretto255_base_allow_scalar_zero(s)
    t2 = plus(generator, times(c, public))
    t3 = plus(times(s, m), times(c, z))
    return hmac.compare_digest(hash_to_scalar(sized(public, m, z, t2, t3) + b"Challenge"), c)


class Blinded:
    """A number on its way. The salt opens the blinding, and the receipt's commitment if there is one."""

    def __init__(self, digest, salt, index):
        self.input = b"lostcard:blind:v1:" + digest
        self.scalar = hash_to_scalar(b"lostcard:blind:r:v1:" + salt + struct.pack(">H", index))
        self.element = times(self.scalar, hash_to_group(self.input))

    def finish(self, evaluated):
        """F: what the service's key makes of the number."""
        element = times(rbcl.crypto_core_ristretto255_scalar_invert(self.scalar), evaluated)
        return hashlib.sha512(sized(self.input, element) + b"Finalize").digest()


def digest_of(id_number):
    return hashlib.sha256(b"lostcard:v1:" + id_number.upper().encode()).digest()


def commitment(salt, digest, card_valid_from):
    """What a receipt commits to."""
    start = (card_valid_from or "0000-00-00").replace("-", "").encode()
    return hashlib.sha256(b"lostcard:receipt:v1:" + salt + digest + start).digest()


def pad(f, label, at):
    return hmac.digest(f[32:], label + struct.pack(">Q", at), "sha256")


def decide(status, card_valid_from):
    """The verdict of (threshold, flags) on a card that starts on that day, as far as it was read."""
    threshold, flags = status
    if not flags & LISTED:
        return "not_listed"
    if card_valid_from and threshold:
        if (day(card_valid_from) - DAY_0).days <= threshold:
            return "card_listed"
        if not flags & UNKNOWN:
            return "other_card_listed"
    return "number_listed"


class Base:
    """Every listing of one moment."""

    def __init__(self, data, manifest):
        if data[:4] != b"LCB1" or data[5:8] != bytes([28, 16, 18]):
            raise BlindError("not a base of this form")
        self.data, self.parts_log2 = data, data[4]
        (self.sequence,) = struct.unpack_from(">Q", data, 8)
        end = 16 + 36 * (1 << self.parts_log2)
        if hashlib.sha256(data[:end]).digest() != manifest:
            raise BlindError("the base is not the one that the service published")

    def part(self, number):
        """Raises where it is not the one of the index."""
        at = 16 + 36 * number
        (begin,) = struct.unpack_from(">I", self.data, at)
        last = number + 1 == 1 << self.parts_log2
        end = len(self.data) if last else struct.unpack_from(">I", self.data, at + 36)[0]
        part = self.data[begin:end]
        if hashlib.sha256(part).digest() != self.data[at + 4 : at + 36]:
            raise BlindError("a part of the base is damaged")
        return part

    def expect_whole(self):
        for number in range(1 << self.parts_log2):
            self.part(number)

    def statuses(self, f):
        (placement,) = struct.unpack(">Q", f[:8])
        part = self.part(placement >> (64 - self.parts_log2))
        tag = (placement << self.parts_log2 & (1 << 64) - 1) >> 36
        (count,) = struct.unpack_from(">H", part)
        bits, place = "".join(map("{:08b}".format, part)), 16
        known, found = 0, []
        for index in range(count):
            zero = bits.index("0", place)
            known += (zero - place << 16) + int(bits[zero + 1 : zero + 17], 2)
            place = zero + 17
            if known == tag:
                found.append(index)
        mask = int.from_bytes(pad(f, b"lostcard:blind:base:v1:", self.sequence)[:4], "big") >> 14
        for index in found:
            word = int(bits[place + 18 * index : place + 18 * index + 18], 2) ^ mask
            yield word >> 2, LISTED | (UNKNOWN if word & 2 else 0) | (4 if word & 1 else 0)


class BlindClient:
    """Checks blindly. `token` returns an access token with scope `blind`. Not for several threads at once."""

    def __init__(self, url, token, purpose="lodging", site=None, folder=None, timeout=10):
        self.url, self.token, self.timeout = url.rstrip("/"), token, timeout
        self.purpose, self.site, self.folder = purpose, site, folder
        self.base = None

    def check(self, id_number, card_valid_from=None):
        """The verdict on one card."""
        return self.check_all([(id_number, card_valid_from)])[0]

    def check_all(self, cards):
        """The verdicts on cards, pairs of number and start of validity (or None)."""
        return [verdict for verdict, _, _ in self._check(cards, False)]

    def check_with_receipts(self, cards):
        """The same with a receipt each: (verdict, receipt, salt). All three and the number together show what was asked and when."""
        return self._check(cards, True)

    def _check(self, cards, with_receipts):
        for number, start in cards:
            expect_card(number, start)
        told = []
        for begin in range(0, len(cards), ELEMENTS_MAX):
            some = [(digest_of(number), start) for number, start in cards[begin : begin + ELEMENTS_MAX]]
            found, salts, receipts = self.evaluate(some, with_receipts)
            for f, (_, start), salt, receipt in zip(found, some, salts, receipts or [None] * len(some)):
                told.append((self.verdict(f, start), receipt, b64(salt) if with_receipts else None))
        return told

    def verdict(self, f, card_valid_from):
        """What is known of an evaluated number: the last change of it, else what the base has."""
        change = self.entries.get(f[8:24])
        if change is None:
            verdicts = [decide(status, card_valid_from) for status in self.base.statuses(f)]
            return max(verdicts, key=GRAVITY.index, default="not_listed")
        sequence, hidden = change
        high, low, flags = (one ^ other for one, other in zip(hidden, pad(f, b"lostcard:blind:change:v1:", sequence)))
        return decide((high << 8 | low, flags), card_valid_from)

    def evaluate(self, cards, with_receipts=False):
        """F of each digest, verified; brings the changes up to date. A salt for each: who is given one opens one receipt, and no other number."""
        was_dropped = has_read = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            if self.base is None:
                self.take_up()
            salts = [secrets.token_bytes(32) for _ in cards]
            blinded = [Blinded(digest, salt, index) for index, ((digest, _), salt) in enumerate(zip(cards, salts))]
            question = {"key": self.key, "blinded": [b64(one.element) for one in blinded], "after": self.known, "purpose": self.purpose}
            if self.site is not None:
                question["site"] = self.site
            if with_receipts:
                question["cm"] = [b64(commitment(salt, digest, start)) for (digest, start), salt in zip(cards, salts)]
            try:
                answer = json.loads(self.ask("/v1/blind/evaluations", question))
            except Refused as refused:
                # What was read of the log has spent it.
                if has_read and attempt < ATTEMPTS_MAX and waited(refused):
                    continue
                if attempt == ATTEMPTS_MAX or refused.code not in ("base_too_old", "blind_key_unknown"):
                    raise
                if refused.code == "base_too_old" and self.catch_up():
                    has_read = True
                    continue
                # Nothing more is under this key: the newest one has its own base.
                if was_dropped:
                    raise
                was_dropped, self.base = True, None
                continue
            if with_receipts and len(answer.get("receipts", [])) != len(cards):
                raise BlindError("receipts are missing")
            return self.take(blinded, answer), salts, answer.get("receipts")

    def take(self, blinded, answer):
        evaluated = [unb64(element) for element in answer["evaluated"]]
        if not verify_proof(self.public, [one.element for one in blinded], evaluated, unb64(answer["proof"])):
            raise ProofError("the proof does not hold")
        changes = unb64(answer["changes"])
        if self.known + len(changes) // 20 != answer["registry_sequence"] or len(changes) % 20:
            raise BlindError("changes are missing")
        for at in range(0, len(changes), 20):
            self.learn(changes[at : at + 20])
        self.as_of = answer["as_of"]
        return [one.finish(element) for one, element in zip(blinded, evaluated)]

    def learn(self, entry):
        """The next entry."""
        self.known += 1
        if entry[:1] == b"\x01":
            self.entries[entry[1:17]] = (self.known, entry[17:20])

    def catch_up(self):
        """Reads what the log has of this key behind the last change that is known: an answer tells 4,096 at most. False: no more."""
        path = f"/registry-log/{self.key}"
        origin, size = self.ask(f"{path}/checkpoint").decode().split("\n")[:2]
        if not origin.endswith(path) or not re.fullmatch("[0-9]{1,15}", size):
            raise BlindError("the checkpoint is none of this log")
        before, size = self.known, int(size)
        # Of a service that does not say where its log begins, the entries have no sequence.
        while self.s0 is not None and self.known - self.s0 < size:
            bundle, place = divmod(self.known - self.s0, BUNDLE)
            width = min(BUNDLE, size - bundle * BUNDLE)
            entries = entries_of(self.ask_patiently(f"{path}/tile/entries/{tile_name(bundle, width)}"))
            if len(entries) != width:
                raise BlindError("a bundle of the log is damaged")
            for entry in entries[place:]:
                self.learn(entry)
        return self.known > before

    def ask_patiently(self, path):
        """Asks again after a limit: after a busy week the log has more bundles than a client may ask for in a minute."""
        while True:
            try:
                return self.ask(path)
            except Refused as refused:
                if not waited(refused):
                    raise

    def take_up(self):
        """Takes up the newest key and its base: once a week, or when the client was away for long."""
        keys = json.loads(self.ask("/v1/blind/keys"))["keys"]
        if not keys:
            raise Refused(503, "blind_behind", None)
        key = keys[0]
        base = self.read_base(key, unb64(key["manifest"]))
        if base.sequence != key["base_seq"]:
            raise BlindError("the base is of another moment")
        self.base, self.key, self.public, self.s0 = base, key["key"], unb64(key["public_key"]), key.get("s0")
        self.known, self.entries = base.sequence, {}

    def read_base(self, key, manifest):
        path = self.folder and os.path.join(self.folder, f"base-{key['epoch']}-{manifest.hex()[:16]}.lcb")
        if path and os.path.exists(path) and os.path.getsize(path) == key["base_bytes"]:
            with open(path, "rb") as file:
                data = file.read()
            try:
                base = Base(data, manifest)
                base.expect_whole()
                return base
            except BlindError:
                # It was damaged where it lay: the one that is fetched takes its place.
                pass
        data = self.ask(f"/v1/blind/bases/{key['epoch']}")
        base = Base(data, manifest)
        if path:
            with open(path + ".part", "wb") as file:
                file.write(data)
            os.replace(path + ".part", path)
        return base

    def ask(self, path, body=None):
        headers = {"Authorization": "Bearer " + self.token()}
        data = None
        if body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=self.timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            try:
                code = json.loads(error.read())["code"]
            except (ValueError, KeyError):
                code = "unknown"
            raise Refused(error.code, code, error.headers.get("Retry-After")) from None
        except OSError as error:
            raise BlindError(f"the service cannot be reached: {error}") from None


def main():
    client = BlindClient(sys.argv[1], token=lambda: os.environ["LOSTCARD_TOKEN"], folder=os.environ.get("LOSTCARD_BLIND_FOLDER"))
    lines = [json.loads(line) for line in sys.stdin]
    cards = [(card["id_number"], card.get("card_valid_from")) for card in lines]
    if os.environ.get("LOSTCARD_BLIND_RECEIPTS"):
        for verdict, receipt, salt in client.check_with_receipts(cards):
            print(json.dumps({"verdict": verdict, "receipt": receipt, "receipt_salt": salt}))
    else:
        for verdict in client.check_all(cards):
            print(verdict)


if __name__ == "__main__":
    main()
