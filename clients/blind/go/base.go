package blind

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

const (
	listed     = 1
	unknown    = 2
	superseded = 4
)

// Of two verdicts the graver one counts.
var gravity = map[string]int{"not_listed": 0, "other_card_listed": 1, "number_listed": 2, "card_listed": 3}

var day0 = time.Date(1984, 4, 4, 0, 0, 0, 0, time.UTC)

var errBase = errors.New("the base is damaged, or not the one that the service published")

// What is known of a number.
type status struct {
	threshold int
	flags     byte
}

// The verdict on a card that starts on that day; empty: it was not read.
func (of status) decide(cardValidFrom string) (string, error) {
	if of.flags&listed == 0 {
		return "not_listed", nil
	}
	if cardValidFrom != "" && of.threshold != 0 {
		start, err := time.Parse("2006-01-02", cardValidFrom)
		if err != nil {
			return "", err
		}
		if int(start.Sub(day0)/(24*time.Hour)) <= of.threshold {
			return "card_listed", nil
		}
		if of.flags&unknown == 0 {
			return "other_card_listed", nil
		}
	}
	return "number_listed", nil
}

func pad(f [64]byte, label string, at uint64) []byte {
	mac := hmac.New(sha256.New, f[32:])
	mac.Write(binary.BigEndian.AppendUint64([]byte(label), at))
	return mac.Sum(nil)
}

// Every listing of one moment.
type base struct {
	data      []byte
	partsLog2 uint
	sequence  uint64
}

func openBase(data, manifest []byte) (*base, error) {
	if len(data) < 16 || !bytes.Equal(data[:4], []byte("LCB1")) || !bytes.Equal(data[5:8], []byte{28, 16, 18}) || data[4] > 18 {
		return nil, errBase
	}
	opened := &base{data, uint(data[4]), binary.BigEndian.Uint64(data[8:])}
	end := 16 + 36<<opened.partsLog2
	if len(data) < end {
		return nil, errBase
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], manifest) {
		return nil, errBase
	}
	return opened, nil
}

// What the entries with the number's tag say: at most one of them is its own.
func (of *base) statuses(f [64]byte) ([]status, error) {
	placement := binary.BigEndian.Uint64(f[:])
	number := int(placement >> (64 - of.partsLog2))
	tag := placement << of.partsLog2 >> 36
	at := 16 + 36*number
	begin, end := int(binary.BigEndian.Uint32(of.data[at:])), len(of.data)
	if number+1 < 1<<of.partsLog2 {
		end = int(binary.BigEndian.Uint32(of.data[at+36:]))
	}
	if begin > end || end > len(of.data) {
		return nil, errBase
	}
	part := bits{data: of.data[begin:end]}
	if sum := sha256.Sum256(part.data); !bytes.Equal(sum[:], of.data[at+4:at+36]) {
		return nil, errBase
	}
	var known uint64
	var places []int
	count := int(part.take(16))
	for index := 0; index < count; index++ {
		ones := part.ones()
		known += ones<<16 + part.take(16)
		if known == tag {
			places = append(places, index)
		}
	}
	words := part.at
	mask := uint64(binary.BigEndian.Uint32(pad(f, "lostcard:blind:base:v1:", of.sequence)) >> 14)
	var found []status
	for _, index := range places {
		part.at = words + 18*index
		word := part.take(18) ^ mask
		flags := byte(listed)
		if word&2 != 0 {
			flags |= unknown
		}
		if word&1 != 0 {
			flags |= superseded
		}
		found = append(found, status{int(word >> 2), flags})
	}
	if part.isShort {
		return nil, errBase
	}
	return found, nil
}

// Bits in a row, from the high end of each byte.
type bits struct {
	data    []byte
	at      int
	isShort bool
}

func (of *bits) bit() uint64 {
	if of.at>>3 >= len(of.data) {
		of.isShort = true
		return 0
	}
	bit := of.data[of.at>>3] >> (7 - of.at&7) & 1
	of.at++
	return uint64(bit)
}

func (of *bits) take(count int) uint64 {
	var taken uint64
	for ; count > 0; count-- {
		taken = taken<<1 | of.bit()
	}
	return taken
}

func (of *bits) ones() uint64 {
	var count uint64
	for of.bit() == 1 {
		count++
	}
	return count
}
