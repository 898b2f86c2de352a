// Command lostcard-blind prints a verdict for each line of its input: a JSON object with id_number and perhaps card_valid_from. The URL is
// its argument, the token is in LOSTCARD_TOKEN. With LOSTCARD_BLIND_RECEIPTS=1 it prints JSON with the receipt and its salt.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"lostcard.example/blind"
)

func main() {
	client := blind.New(os.Args[1], func() (string, error) { return os.Getenv("LOSTCARD_TOKEN"), nil })
	lines := json.NewDecoder(os.Stdin)
	var cards []blind.Card
	for {
		var card blind.Card
		if err := lines.Decode(&card); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		cards = append(cards, card)
	}
	if os.Getenv("LOSTCARD_BLIND_RECEIPTS") != "" {
		all, err := client.CheckWithReceipts(cards)
		if err != nil {
			log.Fatal(err)
		}
		lines := json.NewEncoder(os.Stdout)
		for _, told := range all {
			if err := lines.Encode(told); err != nil {
				log.Fatal(err)
			}
		}
		return
	}
	verdicts, err := client.CheckAll(cards)
	if err != nil {
		log.Fatal(err)
	}
	for _, verdict := range verdicts {
		fmt.Println(verdict)
	}
}
