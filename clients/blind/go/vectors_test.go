package blind

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// RFC 9497, A.1.2.3.
func TestVectors(t *testing.T) {
	public := unhex(t, "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")
	before := [][]byte{
		unhex(t, "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945"),
		unhex(t, "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654"),
	}
	after := [][]byte{
		unhex(t, "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e"),
		unhex(t, "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a"),
	}
	proof := unhex(t, "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08")
	if !verifyProof(public, before, after, proof) {
		t.Fatal("the proof of the vectors")
	}
	if verifyProof(public, before, [][]byte{after[1], after[0]}, proof) {
		t.Fatal("a proof of another order")
	}
	proof[0] ^= 1
	if verifyProof(public, before, after, proof) {
		t.Fatal("a bent proof")
	}
	scalar, _ := decodeScalar(unhex(t, "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706"))
	output, _ := blinded{input: []byte{0}, scalar: scalar}.finish(after[0])
	wanted := unhex(t, "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7da4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c")
	if !bytes.Equal(output[:], wanted) {
		t.Fatal("the output of the vectors")
	}
	if _, ok := decode(make([]byte, 32)); ok {
		t.Fatal("the identity is no element")
	}
}
