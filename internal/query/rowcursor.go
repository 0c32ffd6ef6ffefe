package query

import (
	"encoding/hex"
	"encoding/json"

	"github.com/pandobase/pando/internal/fault"
)

// Keys is a place in the order of a level: the keys of the row that stands
// there, each as JSON.
//
// A row's cursor is not signed, as it opens nothing that a filter would not: its
// keys are values of fields that the caller may order by, hence read, and are
// compared with them as a filter's literals are.
type Keys struct{ JSON []string }

// null tells which of the keys are null.
func (k *Keys) null(i int) bool { return k.JSON[i] == "null" }

// maxRowCursor is in bytes; the values of an order's fields may be long.
const maxRowCursor = 64 << 10

// AppendRowCursor appends the text of a [RowCursor] with n keys; key appends the
// JSON of the i-th.
func AppendRowCursor(dst []byte, n int, key func(dst []byte, i int) []byte) []byte {
	var room [128]byte
	raw := append(room[:0], '[')
	for i := range n {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = key(raw, i)
	}
	return hex.AppendEncode(dst, append(raw, ']'))
}

// OpenRowCursor reads the text of a [RowCursor]: the hexadecimal digits of a
// JSON array of the keys. The fault is InvalidCursor.
func OpenRowCursor(text string) (*Keys, error) {
	bad := func() error {
		return fault.New(fault.InvalidCursor, "the cursor is not valid").
			WithHint("take it unchanged from an answer to the same question in the same order")
	}
	if len(text) > maxRowCursor {
		return nil, bad()
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, bad()
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil || len(keys) == 0 {
		return nil, bad()
	}
	k := &Keys{JSON: make([]string, len(keys))}
	for i, key := range keys {
		if len(key) == 0 {
			return nil, bad()
		}
		k.JSON[i] = string(key)
	}
	return k, nil
}
