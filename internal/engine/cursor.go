package engine

import (
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// A cursor is a signed place in the order of one query's rows. The signature
// covers the query's shape and the caller, so that it opens nothing else; it
// holds values of the caller's own rows and is signed, not encrypted.
//
// Layout: flags (1: before), number of keys, then each key as 0, or as its
// length plus one and its text.

const cursorPurpose = "cursor"

func (e *Engine) sealCursor(c *store.Cursor, shape []byte, id policy.Identity) string {
	b := make([]byte, 0, 128)
	flags := byte(0)
	if c.Before {
		flags = 1
	}
	b = append(b, flags, byte(len(c.Keys)))
	for i, k := range c.Keys {
		if c.Null[i] {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(k))+1), k...)
	}
	payload := len(b)
	b = e.signer.Sign(b, cursorPurpose, append(b[:payload:payload], bound(shape, id)...))
	return base64.RawURLEncoding.EncodeToString(b)
}

// bound is what a cursor is tied to and does not hold.
func bound(shape []byte, id policy.Identity) []byte {
	b := binary.BigEndian.AppendUint64(nil, xxhash.Sum64(query.Rows(shape)))
	return append(b, id.Scope()...)
}

func (e *Engine) openCursor(token string, shape []byte, id policy.Identity) (*store.Cursor, error) {
	bad := func() error {
		return fault.New(fault.InvalidCursor, "the cursor is not valid for this query").
			WithHint("take it from the Link header of the same query's page, unchanged, with the same key")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 2+keys.TagSize {
		return nil, bad()
	}
	payload, mac := raw[:len(raw)-keys.TagSize], raw[len(raw)-keys.TagSize:]
	if !e.signer.Verify(cursorPurpose, append(slices.Clip(payload), bound(shape, id)...), mac) {
		return nil, bad()
	}
	c := &store.Cursor{Before: payload[0] == 1}
	rest := payload[2:]
	for range int(payload[1]) {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used)+1 {
			return nil, bad()
		}
		rest = rest[used:]
		c.Null = append(c.Null, n == 0)
		if n == 0 {
			c.Keys = append(c.Keys, "")
			continue
		}
		c.Keys = append(c.Keys, string(rest[:n-1]))
		rest = rest[n-1:]
	}
	return c, nil
}
