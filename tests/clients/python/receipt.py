"""Verifies a receipt offline, as docs/RECEIPTS.md describes it: the head with joserfc, path and commitment with SHA-256."""

import base64
import datetime
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.jwk import KeySet, OKPKey


@dataclass(frozen=True)
class Claims:
    iss: str
    aud: str
    iat: int
    jti: str
    verdict: str
    as_of: str
    seq: int
    cm: str


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64url(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # Python reads over what is not base64url.
    if base64url(data) != text:
        raise ValueError("not base64url without padding")
    return data


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _included_root(claims: str, path: bytes, size: int) -> bytes:
    """RFC 9162, 2.1.3.2: the root that the claims and their path lead to."""
    index, hashes = int.from_bytes(path[:4], "big"), path[4:]
    if len(path) < 4 or len(hashes) % 32 or index >= size:
        raise ValueError("the path has a wrong length or index")
    last, node = size - 1, _sha256(b"\x00", claims.encode())
    for at in range(0, len(hashes), 32):
        sibling = hashes[at : at + 32]
        if last == 0:
            raise ValueError("the path is too long")
        if index % 2 or index == last:
            node = _sha256(b"\x01", sibling, node)
            while index % 2 == 0 and index != 0:
                index, last = index // 2, last // 2
        else:
            node = _sha256(b"\x01", node, sibling)
        index, last = index // 2, last // 2
    if last != 0:
        raise ValueError("the path is too short")
    return node


def verify(receipt: str, jwks: dict[str, Any], issuer: str) -> Claims:
    """What an authentic receipt says; raises `ValueError` or joserfc's `JoseError` for any other text."""
    head, claims, path = receipt.split("~")
    keys = KeySet([OKPKey.import_key(key) for key in jwks["keys"]])
    signed = jws.deserialize_compact(head, keys, algorithms=["EdDSA"])
    # The set also holds the keys of access tokens.
    if signed.headers().get("typ") != "lostcard-receipt+jwt":
        raise ValueError("not the head of a receipt")
    tree: dict[str, Any] = json.loads(signed.payload)
    says = Claims(**json.loads(unbase64url(claims)))
    if tree["iss"] != issuer or says.iss != issuer:
        raise ValueError("another issuer")
    if _included_root(claims, unbase64url(path), tree["size"]) != unbase64url(tree["root"]):
        raise ValueError("another root")
    return says


def opens(says: Claims, salt: str, id_number: str, card_valid_from: datetime.date | None = None) -> bool:
    """Whether the receipt is about this number and card."""
    digest = _sha256(b"lostcard:v1:", id_number.encode())
    start = card_valid_from.strftime("%Y%m%d") if card_valid_from else "00000000"
    return _sha256(b"lostcard:receipt:v1:", unbase64url(salt), digest, start.encode()) == unbase64url(says.cm)
