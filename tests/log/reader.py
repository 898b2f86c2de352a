"""A reader of the registry log that shares nothing with the service: the standard library and `cryptography`.

reader.py URL KEY TOKEN [WITNESS-KEY...]

Reads the checkpoint of KEY's epoch and every entry and tile below it, makes the tree again, and verifies the log's signature and the
cosignatures. Prints what it found as JSON; ends with 1 where something is not as it should be.
"""

import base64
import hashlib
import json
import struct
import sys
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def fetch(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read()


def verifier(text):
    """Name, key id, type and key (C2SP signed-note)."""
    name, key_id, key = text.split("+", 2)
    key = base64.b64decode(key)
    digest = hashlib.sha256(name.encode() + b"\n" + key).digest()
    assert digest[:4].hex() == key_id, "the key is not the one of its hash"
    return name, digest[:4], key[0], Ed25519PublicKey.from_public_bytes(key[1:])


def verify(text, lines, key):
    """The time of a cosignature, or 0; raises where the note has no right signature of the key."""
    name, key_id, kind, public = key
    for line in lines:
        dash, of, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if (dash, of, signature[:4]) != ("\u2014", name, key_id):
            continue
        if kind == 1:
            public.verify(signature[4:], text.encode())
            return 0
        time = struct.unpack(">Q", signature[4:12])[0]
        public.verify(signature[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
        return time
    raise AssertionError(f"no signature of {name}")


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node(root(hashes[:split]), root(hashes[split:]))


def tile_names(count):
    """The names of all tiles of a level that has so many hashes, without the level."""
    for index in range((count + 255) // 256):
        digits = f"{index:03}"
        digits = digits.zfill((len(digits) + 2) // 3 * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
        width = min(256, count - index * 256)
        yield name if width == 256 else f"{name}.p/{width}"


def main(url, key, token, *witnesses):
    key = verifier(key)
    log = f"{url}/registry-log/{key[0].rsplit('/', 1)[1]}"
    note = fetch(f"{log}/checkpoint").decode()
    text, _, lines = note.rpartition("\n\n")
    text, lines = text + "\n", lines.splitlines()
    verify(text, lines, key)
    times = [verify(text, lines, verifier(witness)) for witness in witnesses]
    origin, size, head = text.splitlines()[:3]
    size = int(size)
    assert origin == key[0]
    leaves = []
    for name in tile_names(size):
        bundle = fetch(f"{log}/tile/entries/{name}", token)
        while bundle:
            length = struct.unpack(">H", bundle[:2])[0]
            entry, bundle = bundle[2 : 2 + length], bundle[2 + length :]
            assert len(entry) == {1: 20, 6: 41}.get(entry[0], 33), "an entry has the length of its kind"
            leaves.append(hashlib.sha256(b"\x00" + entry).digest())
    assert len(leaves) == size, "as many entries as the checkpoint says"
    level, hashes = 0, leaves
    while hashes:
        served = b"".join(fetch(f"{log}/tile/{level}/{name}") for name in tile_names(len(hashes)))
        assert served == b"".join(hashes), f"tiles of level {level}"
        hashes = [root(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1
    assert base64.b64encode(root(leaves)).decode() == head, "the root is that of the entries"
    print(json.dumps({"origin": origin, "size": size, "levels": level, "cosigned": len(times)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
