"""Verifies the evidence that `lostcard receipt audit` writes, and shares nothing with it: the standard library, `cryptography`, and
`voprf.py` beside it.

    evidence.py EVIDENCE.json JWKS.json [POLICY]

The keys are the verifier's own copy, and so are the witnesses: without a policy (C2SP tlog-policy) no time of a witness counts. Who wrote
the evidence chose all that is in it. Prints CONTRADICTED and why, and ends with 0; or NOT SHOWN and why, and ends with 1.
"""

import base64
import datetime
import hashlib
import hmac
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from voprf import evaluated, was_evaluated_so


class NotShown(Exception):
    """What the file shows does not contradict the receipt."""


def need(is_so, why):
    if not is_so:
        raise NotShown(why)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(b64(data) == text, "a part is not base64url")
    return data


# Receipts (docs/RECEIPTS.md) and logs (docs/LOG.md).


def node(left, right):
    return sha256(b"\x01", left, right)


def root(hashes):
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node(root(hashes[:split]), root(hashes[split:]))


def keys_of(jwks):
    return [unb64(key["x"]) for key in jwks["keys"] if key.get("crv") == "Ed25519"]


def verify_receipt(receipt, keys):
    """Its claims, and the checkpoint that its head names."""
    head, claims, path = receipt.split("~")
    header, payload, signature = head.split(".")
    says = json.loads(unb64(header))
    need(says["typ"] == "lostcard-receipt+jwt" and says["alg"] == "EdDSA", "not the head of a receipt")
    thumbprint = lambda key: b64(sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%s"}' % b64(key).encode())[:12])
    key = next((key for key in keys if thumbprint(key) == says["kid"]), None)
    need(key, "no published key has signed the receipt")
    Ed25519PublicKey.from_public_bytes(key).verify(unb64(signature), f"{header}.{payload}".encode())
    tree, path = json.loads(unb64(payload)), unb64(path)
    index, last, hash_ = int.from_bytes(path[:4], "big"), tree["size"] - 1, sha256(b"\x00", claims.encode())
    need(index <= last, "the path has a wrong index")
    for at in range(4, len(path), 32):
        if index % 2 or index == last:
            hash_ = node(path[at : at + 32], hash_)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            hash_ = node(hash_, path[at : at + 32])
        index, last = index // 2, last // 2
    need(last == 0 and hash_ == unb64(tree["root"]), "the claims do not belong to the signed head")
    return json.loads(unb64(claims)), tree.get("cp")


def verify_note(note, keys):
    """Origin, size and root of a checkpoint that a published key has signed."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    origin, size, head = text.splitlines()[:3]
    for line in lines.splitlines():
        _, name, signature = line.split(" ")
        signature = base64.b64decode(signature)
        for key in keys:
            if name == origin and sha256(origin.encode() + b"\n\x01" + key)[:4] == signature[:4]:
                Ed25519PublicKey.from_public_bytes(key).verify(signature[4:], text.encode())
                return origin, int(size), base64.b64decode(head)
    raise NotShown("no published key has signed the checkpoint")


class Log:
    def __init__(self, told, keys):
        self.note = told["checkpoint"]
        self.origin, self.size, head = verify_note(self.note, keys)
        self.entries, bundle = [], unb64(told["entries"])
        while bundle:
            length = struct.unpack(">H", bundle[:2])[0]
            self.entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        self.leaves = [sha256(b"\x00", entry) for entry in self.entries]
        need(len(self.leaves) == self.size and root(self.leaves) == head, "the entries are not those of the checkpoint")

    def begins_with(self, size, head):
        return size <= self.size and root(self.leaves[:size]) == head

    def successor(self):
        first = self.entries[0]
        return (struct.unpack(">Q", first[1:9])[0], first[9:]) if first[0] == 6 else None

    def key(self):
        """The entry where a log has its key."""
        return self.entries[1 if self.successor() else 0]

    def begins(self, base):
        """The sequences between which it began: the one of its first leaf, or those that its base bears out, which was made between the
        begin and the leaf that names it. None: nothing bears it out."""
        if self.successor():
            return self.successor()[0], self.successor()[0]
        if not base:
            return None
        index = unb64(base["index"])
        sequence, at = struct.unpack(">Q", index[8:16])[0], self.base_of(index)
        return max(0, sequence - at), sequence - 1

    def base_of(self, index):
        """The place of the leaf of a base, which is the first of its kind."""
        at, first = next(((at, entry) for at, entry in enumerate(self.entries) if entry[0] == 2), (None, None))
        need(first == b"\x02" + sha256(index), "the log does not have the base")
        return at


def seen_before(evidence, log, keys):
    """Why the log that is shown is not the one that was seen before, or None."""
    if "seen" in evidence:
        origin, size, head = verify_note(evidence["seen"], keys)
        if origin == log.origin and size <= log.size and not log.begins_with(size, head):
            return "two checkpoints of one log that do not continue each other"
    return None


def views(evidence, claims, named, logs):
    """Why the log that is shown is not the one that the receipt names, or None."""
    if named is None or claims.get("typ") == "blind":
        return None
    begins, seq = logs[0].begins(evidence.get("base")), claims["seq"]
    # Wherever in between it began, it is that of the receipt's time.
    if not begins or not begins[1] <= seq <= begins[0] + logs[0].size:
        return None
    size, head = named.split(".")
    size, head = int(size), unb64(head)
    # What the receipt names may be of the log before: then that one must be shown too, and be the one before.
    for newer, older in zip(logs, logs[1:]):
        need(newer.successor() and newer.successor()[1] == sha256(older.note.encode()), "the logs are not linked")
    if any(log.begins_with(size, head) for log in logs):
        return None
    need(len(logs) > 1 or not logs[0].successor(), "the log before it is not shown")
    return "the log does not begin with the checkpoint that the receipt names" if logs[0].size >= size else None


CLOCKS_DIFFER_S = 60


def cosigned(note, policy, by_s):
    """Whether the quorum of a policy (C2SP tlog-policy) had cosigned a note by then."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    signed, quorum = {}, None
    for line in map(str.split, policy.splitlines()):
        if line[:1] == ["witness"]:
            name, _, key = line[2].split("+", 2)
            key = base64.b64decode(key)
            key_id, signed[line[1]] = sha256(name.encode() + b"\n" + key)[:4], False
            for _, of, signature in map(str.split, lines.splitlines()):
                signature = base64.b64decode(signature)
                if (of, signature[:4], key[0]) == (name, key_id, 4):
                    time_s = struct.unpack(">Q", signature[4:12])[0]
                    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[12:], f"cosignature/v1\ntime {time_s}\n{text}".encode())
                    signed[line[1]] = time_s <= by_s
        elif line[:1] == ["group"]:
            needed = {"any": 1, "all": len(line[3:])}.get(line[2]) or int(line[2])
            signed[line[1]] = sum(signed[member] for member in line[3:]) >= needed
        elif line[:1] == ["quorum"]:
            quorum = signed.get(line[1], False)
    return quorum


def stale(evidence, policy, claims, log, keys):
    """Why the receipt tells an older state than witnesses had cosigned, or None."""
    if policy is None or "as_of" not in claims:
        return None
    as_of = datetime.datetime.fromisoformat(claims["as_of"].replace("Z", "+00:00")).timestamp()
    # Of the first log of a store nothing signed says where it began: not before the first row.
    s0 = (log.successor() or [0])[0]
    for note in filter(None, (log.note, evidence.get("seen"))):
        origin, size, _ = verify_note(note, keys)
        later = origin == log.origin and s0 + size > claims["seq"]
        if later and cosigned(note, policy, as_of - CLOCKS_DIFFER_S):
            return "witnesses had cosigned a later state before the receipt's was told"
    return None


DAY_0 = datetime.date(1984, 4, 4)


def verdict(threshold, unknown, start):
    if start and threshold:
        if datetime.date.fromisoformat(start) <= DAY_0 + datetime.timedelta(days=threshold):
            return "card_listed"
        if not unknown:
            return "other_card_listed"
    return "number_listed"


def in_base(base, log, output):
    """The sequence of the base, and how many of its entries have the tag of the number."""
    index, part = unb64(base["index"]), unb64(base["part"])
    log.base_of(index)
    parts_log2, sequence = index[4], struct.unpack(">Q", index[8:16])[0]
    placement = int.from_bytes(output[:8], "big")
    own, tag = placement >> (64 - parts_log2), placement << parts_log2 >> 36 & (2**28 - 1)
    need(sha256(part) == index[16 + 36 * own + 4 : 16 + 36 * own + 36], "the part is not that of the base")
    bits, at, here, found = "".join(f"{byte:08b}" for byte in part), 16, 0, 0
    for _ in range(int(bits[:16], 2)):
        ones = bits.index("0", at) - at
        here += ones << 16 | int(bits[at + ones + 1 : at + ones + 17], 2)
        at += ones + 17
        found += here == tag
    return sequence, found


def of_number(evidence, claims, named, log):
    """Why what the log has of the number contradicts the receipt."""
    public, element, proof = (unb64(evidence[name]) for name in ("public_key", "element", "proof"))
    need(b"\x03" + public == log.key(), "the key is not that of the log")
    digest = bytes.fromhex(evidence["id_digest"])
    output = evaluated(digest, public, element, proof)
    if claims.get("typ") == "blind":
        need(log.origin.rsplit("/", 1)[1] == claims["key"], "the log is not that of the receipt's key")
        was = was_evaluated_so(digest, unb64(evidence["receipt_salt"]), element, unb64(claims["bl"]), unb64(claims["ev"]))
        need(was is not None, "the salt does not give the scalar by which the number was blinded")
        need(not was, "the element was evaluated by the key of the log")
        return "the element was not evaluated by the key of the log"
    tag, pad_key, s0, seq = output[8:24], output[32:], evidence["s0"], claims["seq"]
    begins = log.begins(evidence.get("base"))
    need(begins and begins[0] <= s0 <= begins[1], "the log began elsewhere")
    # What was listed at its begin the base has; a change has a leaf behind it.
    need(s0 + ("act" in claims) <= seq <= s0 + log.size, "the log does not reach the receipt")
    start, known = evidence.get("card_valid_from"), {}
    for index, entry in enumerate(log.entries):
        if entry[0] == 1 and entry[1:17] == tag:
            pad = hmac.digest(pad_key, b"lostcard:blind:change:v1:" + struct.pack(">Q", s0 + index + 1), "sha256")
            high, low, flags = (a ^ b for a, b in zip(entry[17:], pad))
            need(flags < 8, "an entry is not what it should be: the log began elsewhere")
            listed = verdict(high << 8 | low, flags & 2, start) if flags & 1 else "not_listed"
            known[s0 + index + 1] = listed, flags & 1
    if "act" in claims:
        said, lists = known.get(seq, ("nothing", 0))
        if claims["act"] == "withdrawal":
            need(said == "nothing", "the log has the withdrawal")
        elif claims["act"] == "report":
            need(said not in ("card_listed", "number_listed"), "the log has the report")
        else:
            need(not lists, f"the log has the {claims['act']}")
        return f"the log has no such entry of the number at the place of the {claims['act']}"
    need(named, "the receipt names no checkpoint of the log")
    before = [at for at in known if at <= seq]
    if before:
        said = known[max(before)][0]
        need(said != claims["verdict"], "the log says the same")
        return f"the log says {said} at sequence {seq}, the receipt {claims['verdict']}"
    need("base" in evidence, "no entry of the number, and no base")
    sequence, found = in_base(evidence["base"], log, output)
    need(not any(seq < at <= sequence for at in known), "the number was changed before the base was made")
    need(found == 0 and claims["verdict"] != "not_listed", "the base does not contradict it")
    return f"neither log nor base know the number, the receipt says {claims['verdict']}"


def main(evidence, jwks, policy=None):
    evidence, jwks = (json.load(open(path, encoding="utf-8")) for path in (evidence, jwks))
    policy = open(policy, encoding="utf-8").read() if policy else None
    need(evidence["evidence"] == "lostcard-evidence-1", "not evidence of this form")
    keys = keys_of(jwks)
    claims, named = verify_receipt(evidence["receipt"], keys)
    start = evidence.get("card_valid_from")
    opened = sha256(b"lostcard:receipt:v1:", unb64(evidence["receipt_salt"]), bytes.fromhex(evidence["id_digest"]),
                    (start or "0000-00-00").replace("-", "").encode())
    need(b64(opened) == claims["cm"], "the receipt is not about this number and card")
    logs = [Log(told, keys) for told in evidence["logs"]]
    return (
        seen_before(evidence, logs[0], keys)
        or views(evidence, claims, named, logs)
        or stale(evidence, policy, claims, logs[0], keys)
        or of_number(evidence, claims, named, logs[0])
    )


if __name__ == "__main__":
    try:
        print(f"CONTRADICTED: {main(*sys.argv[1:])}")
    except (NotShown, InvalidSignature, KeyError, ValueError, IndexError) as why:
        sys.exit(print(f"NOT SHOWN: {why or type(why).__name__}") or 1)
