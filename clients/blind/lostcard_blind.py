"""Blind checks: whether a card is reported, without telling the service whom one asks about (docs/BLIND.md).

    from lostcard_blind import BlindClient
    client = BlindClient("https://lostcard.example", token=lambda: "...")
    client.check("11010519491231002X", "2016-05-01")     # "not_listed", "card_listed", "other_card_listed", "number_listed"

One file: copy it. Needs `rbcl` (libsodium), and nothing else but the standard library. The base lies in `folder`, if one is named.
As a program: `lostcard_blind.py URL < lines`, each line a JSON object with `id_number` and perhaps `card_valid_from`; the token is in
LOSTCARD_TOKEN. It prints a verdict for each line.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import secrets
import struct
import sys
import urllib.error
import urllib.request

import rbcl

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
ORDER = 2**252 + 27742317777372353535851937790883648493
DAY_0 = datetime.date(1984, 4, 4)
LISTED, UNKNOWN = 1, 2
GRAVITY = ["not_listed", "other_card_listed", "number_listed", "card_listed"]
ELEMENTS_MAX = 32


class BlindError(Exception):
    """No verdict: an outage is never an answer."""


class ProofError(BlindError):
    """The service did not evaluate by the key that it published: tell the operator, and an auditor."""


class Refused(BlindError):
    """The service refused; `code` says why."""

    def __init__(self, status, code, retry_after):
        super().__init__(f"{status} {code}")
        self.status, self.code, self.retry_after = status, code, retry_after


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


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
    """A number on its way. The salt opens the blinding: keep it with the receipt."""

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


def pad(f, label, at):
    return hmac.digest(f[32:], label + struct.pack(">Q", at), "sha256")


def decide(status, card_valid_from):
    """The verdict of (threshold, flags) on a card that starts on that day, as far as it was read."""
    threshold, flags = status
    if not flags & LISTED:
        return "not_listed"
    if card_valid_from is not None and threshold:
        if (datetime.date.fromisoformat(card_valid_from) - DAY_0).days <= threshold:
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

    def statuses(self, f):
        (placement,) = struct.unpack(">Q", f[:8])
        number = placement >> (64 - self.parts_log2)
        tag = (placement << self.parts_log2 & (1 << 64) - 1) >> 36
        at = 16 + 36 * number
        (begin,) = struct.unpack_from(">I", self.data, at)
        last = number + 1 == 1 << self.parts_log2
        end = len(self.data) if last else struct.unpack_from(">I", self.data, at + 36)[0]
        part = self.data[begin:end]
        if hashlib.sha256(part).digest() != self.data[at + 4 : at + 36]:
            raise BlindError("a part of the base is damaged")
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
        verdicts = []
        for begin in range(0, len(cards), ELEMENTS_MAX):
            some = cards[begin : begin + ELEMENTS_MAX]
            found = self.evaluate([digest_of(number) for number, _ in some])
            verdicts += [self.verdict(f, start) for f, (_, start) in zip(found, some)]
        return verdicts

    def verdict(self, f, card_valid_from):
        """What is known of an evaluated number: the last change of it, else what the base has."""
        change = self.entries.get(f[8:24])
        if change is None:
            verdicts = [decide(status, card_valid_from) for status in self.base.statuses(f)]
            return max(verdicts, key=GRAVITY.index, default="not_listed")
        sequence, hidden = change
        high, low, flags = (one ^ other for one, other in zip(hidden, pad(f, b"lostcard:blind:change:v1:", sequence)))
        return decide((high << 8 | low, flags), card_valid_from)

    def evaluate(self, digests):
        """F of each digest, verified; brings the changes up to date. One salt a question."""
        for attempt in (1, 2):
            if self.base is None:
                self.take_up()
            salt = secrets.token_bytes(32)
            blinded = [Blinded(digest, salt, index) for index, digest in enumerate(digests)]
            question = {"key": self.key, "blinded": [b64(one.element) for one in blinded], "after": self.known, "purpose": self.purpose}
            if self.site is not None:
                question["site"] = self.site
            try:
                answer = json.loads(self.ask("/v1/blind/evaluations", question))
            except Refused as refused:
                if attempt == 1 and refused.code in ("base_too_old", "blind_key_unknown"):
                    self.base = None
                    continue
                raise
            return self.take(blinded, answer)

    def take(self, blinded, answer):
        evaluated = [unb64(element) for element in answer["evaluated"]]
        if not verify_proof(self.public, [one.element for one in blinded], evaluated, unb64(answer["proof"])):
            raise ProofError("the proof does not hold")
        changes = unb64(answer["changes"])
        if self.known + len(changes) // 20 != answer["registry_sequence"] or len(changes) % 20:
            raise BlindError("changes are missing")
        for at in range(0, len(changes), 20):
            self.known += 1
            if changes[at] == 1:
                self.entries[changes[at + 1 : at + 17]] = (self.known, changes[at + 17 : at + 20])
        self.as_of = answer["as_of"]
        return [one.finish(element) for one, element in zip(blinded, evaluated)]

    def take_up(self):
        """Takes up the newest key and its base: once a week, or when the client was away for long."""
        keys = json.loads(self.ask("/v1/blind/keys"))["keys"]
        if not keys:
            raise Refused(503, "blind_behind", None)
        key = keys[0]
        manifest = unb64(key["manifest"])
        base = Base(self.read_base(key, manifest), manifest)
        if base.sequence != key["base_seq"]:
            raise BlindError("the base is of another moment")
        self.base, self.key, self.public = base, key["key"], unb64(key["public_key"])
        self.known, self.entries = base.sequence, {}

    def read_base(self, key, manifest):
        path = self.folder and os.path.join(self.folder, f"base-{key['epoch']}-{manifest.hex()[:16]}.lcb")
        if path and os.path.exists(path) and os.path.getsize(path) == key["base_bytes"]:
            with open(path, "rb") as file:
                return file.read()
        data = self.ask(f"/v1/blind/bases/{key['epoch']}")
        if path:
            with open(path + ".part", "wb") as file:
                file.write(data)
            os.replace(path + ".part", path)
        return data

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
    cards = [json.loads(line) for line in sys.stdin]
    for verdict in client.check_all([(card["id_number"], card.get("card_valid_from")) for card in cards]):
        print(verdict)


if __name__ == "__main__":
    main()
