package blind

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	elementsMax = 32
	bundle      = 256
	attemptsMax = 8
	waitSMax    = 60
)

var b64 = base64.RawURLEncoding

// ErrProof: the service did not evaluate by the key that it published. Tell the operator, and an auditor.
var ErrProof = errors.New("the proof does not hold")

// ErrMalformed: no number of a card, or no day. Nothing was asked.
var ErrMalformed = errors.New("not an ID number (GB 11643), or not a day of the form YYYY-MM-DD")

var errBundle = errors.New("the log's checkpoint or a bundle of it is damaged")

// Refused is a refusal of the service; Code says why. There is no verdict.
type Refused struct {
	Status     int
	Code       string
	RetryAfter string
}

func (refused *Refused) Error() string { return fmt.Sprintf("%d %s", refused.Status, refused.Code) }

// Card is a number and, where it was read, the start of the card's validity.
type Card struct {
	IDNumber      string `json:"id_number"`
	CardValidFrom string `json:"card_valid_from"`
}

// Client checks blindly.
type Client struct {
	// Purpose and Site are told to the service with each question.
	Purpose, Site string
	HTTP          *http.Client

	url     string
	token   func() (string, error)
	mutex   sync.Mutex
	base    *base
	key     string
	public  []byte
	s0      *uint64
	known   uint64
	entries map[[16]byte]change
}

type change struct {
	sequence uint64
	hidden   [3]byte
}

// New makes a client; token returns an access token with scope blind.
func New(url string, token func() (string, error)) *Client {
	timeout := &http.Client{Timeout: 10 * time.Second}
	return &Client{Purpose: "lodging", HTTP: timeout, url: strings.TrimRight(url, "/"), token: token}
}

// Check returns the verdict on one card; cardValidFrom is empty where it was not read.
func (client *Client) Check(idNumber, cardValidFrom string) (string, error) {
	verdicts, err := client.CheckAll([]Card{{idNumber, cardValidFrom}})
	if err != nil {
		return "", err
	}
	return verdicts[0], nil
}

// CheckAll returns the verdicts on cards. One question at a time: changes come in their order.
func (client *Client) CheckAll(cards []Card) ([]string, error) {
	told, err := client.check(cards, false)
	if err != nil {
		return nil, err
	}
	verdicts := make([]string, len(told))
	for index, one := range told {
		verdicts[index] = one.Verdict
	}
	return verdicts, nil
}

// Told is a verdict with its receipt. Receipt, salt and number together show what was asked and when: keep them.
type Told struct {
	Verdict     string `json:"verdict"`
	Receipt     string `json:"receipt"`
	ReceiptSalt string `json:"receipt_salt"`
}

// CheckWithReceipts returns the verdicts on cards with a receipt each.
func (client *Client) CheckWithReceipts(cards []Card) ([]Told, error) {
	return client.check(cards, true)
}

func (client *Client) check(cards []Card, withReceipts bool) ([]Told, error) {
	for _, card := range cards {
		if !card.isOne() {
			return nil, ErrMalformed
		}
	}
	client.mutex.Lock()
	defer client.mutex.Unlock()
	var all []Told
	for len(cards) > 0 {
		some := cards[:min(len(cards), elementsMax)]
		cards = cards[len(some):]
		found, salts, receipts, err := client.evaluate(some, withReceipts)
		if err != nil {
			return nil, err
		}
		for index, f := range found {
			verdict, err := client.verdict(f, some[index].CardValidFrom)
			if err != nil {
				return nil, err
			}
			one := Told{Verdict: verdict}
			if withReceipts {
				one.Receipt, one.ReceiptSalt = receipts[index], b64.EncodeToString(salts[index])
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// What is known of an evaluated number: the last change of it, else what the base has.
func (client *Client) verdict(f [64]byte, cardValidFrom string) (string, error) {
	var tag [16]byte
	copy(tag[:], f[8:24])
	if change, ok := client.entries[tag]; ok {
		mask := pad(f, "lostcard:blind:change:v1:", change.sequence)
		var plain [3]byte
		for at := range plain {
			plain[at] = change.hidden[at] ^ mask[at]
		}
		return status{int(binary.BigEndian.Uint16(plain[:])), plain[2]}.decide(cardValidFrom)
	}
	statuses, err := client.base.statuses(f)
	if err != nil {
		return "", err
	}
	gravest := "not_listed"
	for _, one := range statuses {
		verdict, err := one.decide(cardValidFrom)
		if err != nil {
			return "", err
		}
		if gravity[verdict] > gravity[gravest] {
			gravest = verdict
		}
	}
	return gravest, nil
}

type question struct {
	Key     string   `json:"key"`
	Blinded []string `json:"blinded"`
	Cm      []string `json:"cm,omitempty"`
	After   uint64   `json:"after"`
	Purpose string   `json:"purpose"`
	Site    string   `json:"site,omitempty"`
}

type answer struct {
	Evaluated []string `json:"evaluated"`
	Proof     string   `json:"proof"`
	Sequence  uint64   `json:"registry_sequence"`
	Changes   string   `json:"changes"`
	Receipts  []string `json:"receipts"`
}

// F of each number, verified; brings the changes up to date. A salt for each: who is given one opens one receipt, and no other number.
func (client *Client) evaluate(cards []Card, withReceipts bool) ([][64]byte, [][]byte, []string, error) {
	wasDropped, hasRead := false, false
	for attempt := 1; ; attempt++ {
		if client.base == nil {
			if err := client.takeUp(); err != nil {
				return nil, nil, nil, err
			}
		}
		salts, items := make([][]byte, len(cards)), make([]blinded, len(cards))
		asked := question{Key: client.key, Blinded: make([]string, len(cards)), After: client.known, Purpose: client.Purpose, Site: client.Site}
		for index, card := range cards {
			digest, salt := digestOf(card.IDNumber), make([]byte, 32)
			if _, err := rand.Read(salt); err != nil {
				return nil, nil, nil, err
			}
			salts[index], items[index] = salt, blind(digest, salt, index)
			asked.Blinded[index] = b64.EncodeToString(items[index].element)
			if withReceipts {
				asked.Cm = append(asked.Cm, b64.EncodeToString(commitment(salt, digest, card.CardValidFrom)))
			}
		}
		var told answer
		err := client.askJSON("/v1/blind/evaluations", asked, &told)
		if err == nil {
			if withReceipts && len(told.Receipts) != len(items) {
				return nil, nil, nil, errors.New("receipts are missing")
			}
			found, err := client.take(items, told)
			return found, salts, told.Receipts, err
		}
		// What was read of the log has spent it.
		if hasRead && attempt < attemptsMax && waited(err) {
			continue
		}
		var refused *Refused
		if attempt == attemptsMax || !errors.As(err, &refused) || (refused.Code != "base_too_old" && refused.Code != "blind_key_unknown") {
			return nil, nil, nil, err
		}
		if refused.Code == "base_too_old" {
			hasGained, err := client.catchUp()
			if err != nil {
				return nil, nil, nil, err
			}
			if hasGained {
				hasRead = true
				continue
			}
		}
		// Nothing more is under this key: the newest one has its own base.
		if wasDropped {
			return nil, nil, nil, err
		}
		wasDropped, client.base = true, nil
	}
}

func (client *Client) take(items []blinded, told answer) ([][64]byte, error) {
	before, after := make([][]byte, len(items)), make([][]byte, len(told.Evaluated))
	for index, item := range items {
		before[index] = item.element
	}
	for index, text := range told.Evaluated {
		after[index], _ = b64.DecodeString(text)
	}
	proof, _ := b64.DecodeString(told.Proof)
	if !verifyProof(client.public, before, after, proof) {
		return nil, ErrProof
	}
	changes, err := b64.DecodeString(told.Changes)
	if err != nil || len(changes)%20 != 0 || client.known+uint64(len(changes)/20) != told.Sequence {
		return nil, errors.New("changes are missing")
	}
	for ; len(changes) > 0; changes = changes[20:] {
		client.learn(changes[:20])
	}
	found := make([][64]byte, len(items))
	for index, item := range items {
		found[index], _ = item.finish(after[index])
	}
	return found, nil
}

// The next entry.
func (client *Client) learn(entry []byte) {
	client.known++
	if len(entry) == 20 && entry[0] == 1 {
		var tag [16]byte
		one := change{sequence: client.known}
		copy(tag[:], entry[1:])
		copy(one.hidden[:], entry[17:])
		client.entries[tag] = one
	}
}

// Reads what the log has of this key behind the last change that is known: an answer tells 4,096 at most. False: it has no more.
func (client *Client) catchUp() (bool, error) {
	path := "/registry-log/" + client.key
	note, err := client.ask(path+"/checkpoint", nil)
	if err != nil {
		return false, err
	}
	lines := strings.SplitN(string(note), "\n", 3)
	if len(lines) < 3 || !strings.HasSuffix(lines[0], path) {
		return false, errBundle
	}
	size, err := strconv.ParseUint(lines[1], 10, 48)
	if err != nil {
		return false, errBundle
	}
	before := client.known
	// Of a service that does not say where its log begins, the entries have no sequence.
	for client.s0 != nil && client.known-*client.s0 < size {
		index, place := (client.known-*client.s0)/bundle, (client.known-*client.s0)%bundle
		width := size - index*bundle
		if width > bundle {
			width = bundle
		}
		data, err := client.askPatiently(path + "/tile/entries/" + tileName(index, width))
		if err != nil {
			return false, err
		}
		entries, ok := entriesOf(data)
		if !ok || uint64(len(entries)) != width {
			return false, errBundle
		}
		for _, entry := range entries[place:] {
			client.learn(entry)
		}
	}
	return client.known > before, nil
}

// Asks again after a limit: after a busy week the log has more bundles than a client may ask for in a minute.
func (client *Client) askPatiently(path string) ([]byte, error) {
	for {
		data, err := client.ask(path, nil)
		if err == nil || !waited(err) {
			return data, err
		}
	}
}

// Waits for a limit that is spent, as long as the refusal says. False: it is another error, or says too long.
func waited(err error) bool {
	var refused *Refused
	if !errors.As(err, &refused) || !strings.HasSuffix(refused.Code, "limit_spent") {
		return false
	}
	wait, err := strconv.Atoi(refused.RetryAfter)
	if err != nil || wait < 0 || wait > waitSMax {
		return false
	}
	if wait == 0 {
		wait = 1
	}
	time.Sleep(time.Duration(wait) * time.Second)
	return true
}

// Takes up the newest key and its base: once a week, or when the client was away for long.
func (client *Client) takeUp() error {
	var told struct {
		Keys []struct {
			Key, Epoch, Manifest string
			PublicKey            string `json:"public_key"`
			BaseSeq              uint64 `json:"base_seq"`
			S0                   *uint64
		}
	}
	if err := client.askJSON("/v1/blind/keys", nil, &told); err != nil {
		return err
	}
	if len(told.Keys) == 0 {
		return &Refused{Status: 503, Code: "blind_behind"}
	}
	key := told.Keys[0]
	manifest, err := b64.DecodeString(key.Manifest)
	if err != nil {
		return err
	}
	data, err := client.ask("/v1/blind/bases/"+key.Epoch, nil)
	if err != nil {
		return err
	}
	opened, err := openBase(data, manifest)
	if err != nil || opened.sequence != key.BaseSeq {
		return errBase
	}
	public, err := b64.DecodeString(key.PublicKey)
	if err != nil {
		return err
	}
	if key.S0 != nil && *key.S0 > opened.sequence {
		return errBase
	}
	client.base, client.key, client.public, client.s0 = opened, key.Key, public, key.S0
	client.known, client.entries = opened.sequence, map[[16]byte]change{}
	return nil
}

func (client *Client) askJSON(path string, body, into any) error {
	var sent []byte
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = encoded
	}
	data, err := client.ask(path, sent)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func (client *Client) ask(path string, body []byte) ([]byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequest(method, client.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	token, err := client.token()
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		problem := struct{ Code string }{"unknown"}
		_ = json.Unmarshal(data, &problem)
		return nil, &Refused{response.StatusCode, problem.Code, response.Header.Get("Retry-After")}
	}
	return data, nil
}

func min(one, other int) int {
	if one < other {
		return one
	}
	return other
}
