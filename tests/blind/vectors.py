"""The Python client against the test vectors of RFC 9497, A.1.2 (ristretto255-SHA512, VOPRF); Rust and Go have tests of their own."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "blind"))

import lostcard_blind as client  # noqa: E402

PUBLIC = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e"
INPUTS = [b"\x00", b"\x5a" * 17]
BLINDS = ["64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706", "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e"]
OUTPUTS = [
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
]
# Which inputs, blinded and evaluated elements, and the proof of each vector.
VECTORS = [
    (
        [0],
        [BLINDS[0]],
        ["863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"],
        ["aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"],
        "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd066d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
    ),
    (
        [1],
        [BLINDS[0]],
        ["cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c"],
        ["60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468"],
        "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02",
    ),
    (
        [0, 1],
        [BLINDS[0], BLINDS[1]],
        ["863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945", "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654"],
        ["aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e", "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a"],
        "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
    ),
]


def main():
    for places, blinds, blinded, evaluated, proof in VECTORS:
        before, after = [list(map(bytes.fromhex, texts)) for texts in (blinded, evaluated)]
        public, proof = bytes.fromhex(PUBLIC), bytes.fromhex(proof)
        for place, blind, one, other in zip(places, blinds, before, after):
            item = client.Blinded.__new__(client.Blinded)
            item.input, item.scalar = INPUTS[place], bytes.fromhex(blind)
            assert client.times(item.scalar, client.hash_to_group(item.input)) == one, "a blinded element"
            assert item.finish(other).hex() == OUTPUTS[place], "an output"
        assert client.verify_proof(public, before, after, proof), "a proof"
        for at in range(64):
            bent = bytearray(proof)
            bent[at] ^= 1
            assert not client.verify_proof(public, before, after, bytes(bent)), "a bent proof"
        assert not client.verify_proof(public, after, before, proof), "elements in each other's place"
        assert not client.verify_proof(after[0], before, after, proof), "another key"
        assert not client.verify_proof(public, before, [bytes(32)] * len(after), proof), "the identity"
    print(f"python: {len(VECTORS)} vectors of RFC 9497")


if __name__ == "__main__":
    main()
