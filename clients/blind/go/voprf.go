// Package blind checks whether a card is reported, without telling the service whom one asks about (docs/BLIND.md).
//
//	client := blind.New("https://lostcard.example", func() (string, error) { return token, nil })
//	verdict, err := client.Check("11010519491231002X", "2016-05-01")
//
// It needs the package group of github.com/cloudflare/circl, and nothing else but the standard library. (The package oprf of Debian's
// circl 1.3.1 is of an old draft: it is not used.)
package blind

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"strings"

	"github.com/cloudflare/circl/group"
)

// RFC 9497, suite ristretto255-SHA512, mode VOPRF.
const context = "OPRFV1-\x01-ristretto255-SHA512"

var suite = group.Ristretto255

func hashToScalar(message []byte) group.Scalar {
	return suite.HashToScalar(message, []byte("HashToScalar-"+context))
}

func sized(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = binary.BigEndian.AppendUint16(all, uint16(len(part)))
		all = append(all, part...)
	}
	return all
}

func encode(element group.Element) []byte {
	data, err := element.MarshalBinary()
	if err != nil {
		return nil
	}
	return data
}

// An element in its only form, and not the identity.
func decode(data []byte) (group.Element, bool) {
	element := suite.NewElement()
	if len(data) != 32 || element.UnmarshalBinary(data) != nil || element.IsIdentity() {
		return nil, false
	}
	return element, string(encode(element)) == string(data)
}

func decodeScalar(data []byte) (group.Scalar, bool) {
	scalar := suite.NewScalar()
	if scalar.UnmarshalBinary(data) != nil {
		return nil, false
	}
	again, err := scalar.MarshalBinary()
	return scalar, err == nil && string(again) == string(data)
}

// verifyProof is VerifyProof (RFC 9497, 2.2.2).
func verifyProof(public []byte, blinded [][]byte, evaluated [][]byte, proof []byte) bool {
	key, ok := decode(public)
	if !ok || len(proof) != 64 || len(blinded) != len(evaluated) {
		return false
	}
	c, isC := decodeScalar(proof[:32])
	s, isS := decodeScalar(proof[32:])
	if !isC || !isS {
		return false
	}
	seed := sha512.Sum512(sized(public, []byte("Seed-"+context)))
	m, z := suite.Identity(), suite.Identity()
	for index := range blinded {
		before, isOne := decode(blinded[index])
		after, isOther := decode(evaluated[index])
		if !isOne || !isOther {
			return false
		}
		text := binary.BigEndian.AppendUint16(sized(seed[:]), uint16(index))
		text = append(append(text, sized(blinded[index], evaluated[index])...), "Composite"...)
		weight := hashToScalar(text)
		m.Add(m, suite.NewElement().Mul(before, weight))
		z.Add(z, suite.NewElement().Mul(after, weight))
	}
	t2 := suite.NewElement().MulGen(s)
	t2.Add(t2, suite.NewElement().Mul(key, c))
	t3 := suite.NewElement().Mul(m, s)
	t3.Add(t3, suite.NewElement().Mul(z, c))
	text := append(sized(public, encode(m), encode(z), encode(t2), encode(t3)), "Challenge"...)
	told, err := hashToScalar(text).MarshalBinary()
	return err == nil && subtle.ConstantTimeCompare(told, proof[:32]) == 1
}

// A number on its way. The salt opens the blinding: keep it with the receipt.
type blinded struct {
	input   []byte
	scalar  group.Scalar
	element []byte
}

func blind(digest [32]byte, salt []byte, index int) blinded {
	input := append([]byte("lostcard:blind:v1:"), digest[:]...)
	text := append([]byte("lostcard:blind:r:v1:"), salt...)
	scalar := hashToScalar(binary.BigEndian.AppendUint16(text, uint16(index)))
	element := suite.HashToElement(input, []byte("HashToGroup-"+context))
	return blinded{input, scalar, encode(suite.NewElement().Mul(element, scalar))}
}

// finish returns F: what the service's key makes of the number.
func (one blinded) finish(evaluated []byte) ([64]byte, bool) {
	element, ok := decode(evaluated)
	if !ok {
		return [64]byte{}, false
	}
	plain := suite.NewElement().Mul(element, suite.NewScalar().Inv(one.scalar))
	return sha512.Sum512(append(sized(one.input, encode(plain)), "Finalize"...)), true
}

func digestOf(idNumber string) [32]byte {
	return sha256.Sum256([]byte("lostcard:v1:" + strings.ToUpper(idNumber)))
}
