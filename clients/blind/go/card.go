package blind

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	numberForm = regexp.MustCompile("^[0-9]{17}[0-9Xx]$")
	weights    = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
)

// Whether the number is one (GB 11643), for a mistyped one is on no list, and the start a day. An empty start was not read.
func (card Card) isOne() bool {
	if !numberForm.MatchString(card.IDNumber) {
		return false
	}
	sum := 0
	for at, weight := range weights {
		sum += weight * int(card.IDNumber[at]-'0')
	}
	if _, err := time.Parse("20060102", card.IDNumber[6:14]); err != nil {
		return false
	}
	if "10X98765432"[sum%11] != strings.ToUpper(card.IDNumber)[17] {
		return false
	}
	_, err := time.Parse("2006-01-02", card.CardValidFrom)
	return card.CardValidFrom == "" || err == nil
}

// What a receipt commits to.
func commitment(salt []byte, digest [32]byte, cardValidFrom string) []byte {
	start := "00000000"
	if cardValidFrom != "" {
		start = strings.ReplaceAll(cardValidFrom, "-", "")
	}
	text := append([]byte("lostcard:receipt:v1:"), salt...)
	sum := sha256.Sum256(append(append(text, digest[:]...), start...))
	return sum[:]
}

// The name of a tile as C2SP tlog-tiles writes it.
func tileName(index, width uint64) string {
	name := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		name = fmt.Sprintf("x%03d/%s", index%1000, name)
	}
	if width < bundle {
		name = fmt.Sprintf("%s.p/%d", name, width)
	}
	return name
}

// The entries of a bundle, each behind its length.
func entriesOf(data []byte) (entries [][]byte, ok bool) {
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, false
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if end > len(data) {
			return nil, false
		}
		entries, data = append(entries, data[2:end]), data[end:]
	}
	return entries, true
}
