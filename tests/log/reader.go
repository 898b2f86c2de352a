// A reader of the registry log by Go's own packages for the checksum database: golang.org/x/mod/sumdb/note and tlog.
//
// reader.go URL KEY OLD-SIZE
//
// Opens the checkpoint of KEY's epoch, proves by its tiles that it continues its own beginning of OLD-SIZE leaves, and that its last leaf is
// in it, and prints the sizes and both roots. Ends with 1 where something is not as it should be.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func expect(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fetch(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// tiles fetches tiles of height 8 and keeps none.
type tiles struct{ log string }

func (tiles) Height() int { return 8 }

func (of tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// Go's paths begin with the height, which C2SP has fixed.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := fetch(of.log + "/" + path)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	url, key := os.Args[1], os.Args[2]
	old, err := strconv.ParseInt(os.Args[3], 10, 64)
	expect(err)
	verifier, err := note.NewVerifier(key)
	expect(err)
	name := verifier.Name()
	log := url + "/registry-log/" + name[strings.LastIndex(name, "/")+1:]
	message, err := fetch(log + "/checkpoint")
	expect(err)
	opened, err := note.Open(message, note.VerifierList(verifier))
	expect(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != name {
		expect(fmt.Errorf("the origin is %q", lines[0]))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	expect(err)
	root, err := tlog.ParseHash(lines[2])
	expect(err)
	// Every tile that this reads is compared with the root.
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{log})
	before, err := tlog.TreeHash(old, reader)
	expect(err)
	proof, err := tlog.ProveTree(size, old, reader)
	expect(err)
	expect(tlog.CheckTree(proof, size, root, old, before))
	leaf, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, size-1)})
	expect(err)
	path, err := tlog.ProveRecord(size, size-1, reader)
	expect(err)
	expect(tlog.CheckRecord(path, size, root, size-1, leaf[0]))
	fmt.Println(size, root, old, before)
}
