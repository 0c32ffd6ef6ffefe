package query

import (
	"encoding/hex"

	"github.com/cespare/xxhash/v2"
)

// Tag returns the entity tag of an encoded body: the 16 hexadecimal digits of
// its xxHash64, without quotes.
//
// The tag of one row, which [Write.IfMatch] is compared with, is the tag of
// the [JSON] array that a read of exactly that row with the default select
// answers. The digest is no defence against forgery, and needs to be none: a
// client that makes up a tag only overrides its own precondition.
func Tag(body []byte) string {
	sum := xxhash.Sum64(body)
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(sum >> (56 - 8*i))
	}
	var out [16]byte
	hex.Encode(out[:], raw[:])
	return string(out[:])
}
