// Verifies a receipt offline, as docs/RECEIPTS.md says: the head's signature by a JOSE library, the Merkle path, the commitment.

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"lostcard"

	"gopkg.in/square/go-jose.v2"
)

// Claims is what an authentic receipt says, as far as this program reads it.
type Claims struct {
	Issuer     string               `json:"iss"`
	CheckID    string               `json:"jti"`
	Verdict    lostcard.VerdictName `json:"verdict"`
	Commitment string               `json:"cm"`
}

type treeHead struct {
	Issuer string `json:"iss"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
}

// verifyReceipt fails for whatever is not a receipt that the service at issuer signed.
func verifyReceipt(receipt string, keys *lostcard.JwkSet, issuer string) (*Claims, error) {
	parts := strings.Split(receipt, "~")
	if len(parts) != 3 {
		return nil, errors.New("a receipt has three parts")
	}
	head, err := verifyHead(parts[0], keys)
	if err != nil {
		return nil, err
	}
	path, err := decode(parts[2])
	if err != nil {
		return nil, err
	}
	root, err := includedRoot(parts[1], path, head.Size)
	if err != nil {
		return nil, err
	}
	if base64.RawURLEncoding.EncodeToString(root) != head.Root {
		return nil, errors.New("the path does not lead to the signed root")
	}
	text, err := decode(parts[1])
	if err != nil {
		return nil, err
	}
	var claims Claims
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, err
	}
	if head.Issuer != issuer || claims.Issuer != issuer {
		return nil, errors.New("head or claims name another issuer")
	}
	return &claims, nil
}

func verifyHead(text string, keys *lostcard.JwkSet) (*treeHead, error) {
	published, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(published, &set); err != nil {
		return nil, err
	}
	signed, err := jose.ParseSigned(text)
	if err != nil {
		return nil, err
	}
	if len(signed.Signatures) != 1 {
		return nil, errors.New("a head has one signature")
	}
	// The set also holds the keys of access tokens.
	header := signed.Signatures[0].Protected
	if header.Algorithm != string(jose.EdDSA) || header.ExtraHeaders[jose.HeaderType] != "lostcard-receipt+jwt" {
		return nil, errors.New("not the head of a receipt")
	}
	found := set.Key(header.KeyID)
	if len(found) != 1 {
		return nil, errors.New("the key is not published")
	}
	payload, err := signed.Verify(found[0])
	if err != nil {
		return nil, err
	}
	var head treeHead
	return &head, json.Unmarshal(payload, &head)
}

// opens says whether the receipt is about this number and card; cardValidFrom is YYYY-MM-DD, or empty.
func (claims *Claims) opens(salt, idNumber, cardValidFrom string) (bool, error) {
	random, err := decode(salt)
	if err != nil {
		return false, err
	}
	if cardValidFrom == "" {
		cardValidFrom = "0000-00-00"
	}
	digest := hash([]byte("lostcard:v1:"), []byte(strings.ToUpper(idNumber)))
	start := strings.ReplaceAll(cardValidFrom, "-", "")
	commitment := hash([]byte("lostcard:receipt:v1:"), random, digest, []byte(start))
	return base64.RawURLEncoding.EncodeToString(commitment) == claims.Commitment, nil
}

// includedRoot is RFC 9162, 2.1.3.2.
func includedRoot(claims string, path []byte, size uint64) ([]byte, error) {
	if len(path) < 4 || len(path)%sha256.Size != 4 {
		return nil, errors.New("the path has a wrong length")
	}
	index := uint64(binary.BigEndian.Uint32(path))
	if index >= size {
		return nil, errors.New("the path has a wrong index")
	}
	last, node := size-1, hash([]byte{0}, []byte(claims))
	for hashes := path[4:]; len(hashes) > 0; hashes = hashes[sha256.Size:] {
		sibling := hashes[:sha256.Size]
		if last == 0 {
			return nil, errors.New("the path is too long")
		}
		if index%2 == 1 || index == last {
			node = hash([]byte{1}, sibling, node)
			for index%2 == 0 && index != 0 {
				index, last = index/2, last/2
			}
		} else {
			node = hash([]byte{1}, node, sibling)
		}
		index, last = index/2, last/2
	}
	if last != 0 {
		return nil, errors.New("the path is too short")
	}
	return node, nil
}

// tampered is the receipt with another verdict in its claims; the length of the text stays.
func tampered(receipt string) (string, error) {
	parts := strings.Split(receipt, "~")
	if len(parts) != 3 {
		return "", errors.New("a receipt has three parts")
	}
	claims, err := decode(parts[1])
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	forged := strings.ReplaceAll(string(claims), `"card_listed"`, `"not_listed" `)
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(forged))
	return strings.Join(parts, "~"), nil
}

func hash(parts ...[]byte) []byte {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
	}
	return sum.Sum(nil)
}

func decode(text string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
