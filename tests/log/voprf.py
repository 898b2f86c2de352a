"""ristretto255 (RFC 9496) and the VOPRF of RFC 9497 in integers, for `evidence.py`: slow, short, and the standard library alone."""

import hashlib
import struct


class Malformed(ValueError):
    """What an element, a proof or a scalar may not be."""


def need(is_so, why):
    if not is_so:
        raise Malformed(why)


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def is_negative(x):
    return x % P & 1


def absolute(x):
    return -x % P if is_negative(x) else x % P


def sqrt_ratio(u, v):
    """4.2: whether u/v is a square, and its root, or that of i*u/v."""
    r = u * v**3 * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    if check in (-u % P, -u * SQRT_M1 % P):
        r = r * SQRT_M1 % P
    return check in (u % P, -u % P), absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]
# The odd one of the two roots (4.1).
SQRT_AD_MINUS_ONE = -sqrt_ratio((-D - 1) % P, 1)[1] % P


def decode(data):
    s = int.from_bytes(data, "little")
    need(len(data) == 32 and s < P and not is_negative(s), "an element is not in its only form")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-(D * u1 * u1) - u2 * u2) % P
    was_square, root = sqrt_ratio(1, v * u2 * u2 % P)
    x = absolute(2 * s * root * u2)
    y = u1 * root * root * u2 * v % P
    t = x * y % P
    need(was_square and not is_negative(t) and y != 0, "an element is not in its only form")
    return x, y, 1, t


def encode(point):
    x0, y0, z0, t0 = point
    u1, u2 = (z0 + y0) * (z0 - y0) % P, x0 * y0 % P
    root = sqrt_ratio(1, u1 * u2 * u2 % P)[1]
    den1, den2 = root * u1 % P, root * u2 % P
    z_inv = den1 * den2 * t0 % P
    x, y, den = x0, y0, den2
    if is_negative(t0 * z_inv):
        x, y, den = y0 * SQRT_M1 % P, x0 * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    if is_negative(x * z_inv):
        y = -y % P
    return absolute(den * (z0 - y)).to_bytes(32, "little")


def plus(one, other):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, other
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    done = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        done = plus(done, done)
        if bit == "1":
            done = plus(done, point)
    return done


BASE = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def mapped(t):
    """4.3.4, MAP."""
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * (1 - D * D) % P, (-1 - r * D) * (r + D) % P
    was_square, s = sqrt_ratio(u, v)
    c = P - 1 if was_square else r
    s = s if was_square else -absolute(s * t) % P
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


# RFC 9497, ristretto255-SHA512, VOPRF.

CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"


def expand(message, dst):
    dst += bytes([len(dst)])
    first = hashlib.sha512(bytes(128) + message + b"\x00\x40\x00" + dst).digest()
    return hashlib.sha512(first + b"\x01" + dst).digest()


def hash_to_group(message):
    uniform = expand(message, b"HashToGroup-" + CONTEXT)
    halves = [int.from_bytes(half, "little") & (2**255 - 1) for half in (uniform[:32], uniform[32:])]
    return plus(*map(mapped, halves))


def hash_to_scalar(message):
    return int.from_bytes(expand(message, b"HashToScalar-" + CONTEXT), "little") % ORDER


def sized(*parts):
    return b"".join(struct.pack(">H", len(part)) + part for part in parts)


def evaluated(digest, public, element, proof):
    """F of a number, after VerifyProof (2.2.2)."""
    own_input = b"lostcard:blind:v1:" + digest
    own = encode(hash_to_group(own_input))
    seed = hashlib.sha512(sized(public, b"Seed-" + CONTEXT)).digest()
    weight = hash_to_scalar(sized(seed) + b"\x00\x00" + sized(own, element) + b"Composite")
    m, z = times(weight, decode(own)), times(weight, decode(element))
    c, s = (int.from_bytes(part, "little") for part in (proof[:32], proof[32:]))
    need(len(proof) == 64 and c < ORDER and s < ORDER, "the proof is malformed")
    t2 = plus(times(s, BASE), times(c, decode(public)))
    t3 = plus(times(s, m), times(c, z))
    challenge = hash_to_scalar(sized(public, *map(encode, (m, z, t2, t3))) + b"Challenge")
    need(challenge == c, "the number was not evaluated by this key")
    return hashlib.sha512(sized(own_input, element) + b"Finalize").digest()


def was_evaluated_so(digest, salt, element, blinded, answered):
    """Whether a blind check's element was answered as the key answers this number's; None where the salt does not give its scalar."""
    own, of_key = hash_to_group(b"lostcard:blind:v1:" + digest), decode(element)
    for index in range(32):
        scalar = hash_to_scalar(b"lostcard:blind:r:v1:" + salt + struct.pack(">H", index))
        if encode(times(scalar, own)) == blinded:
            return encode(times(scalar, of_key)) == answered
    return None
