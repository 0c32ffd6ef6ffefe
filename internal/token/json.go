package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep a token's JSON nests.
const maxDepth = 32

var errJSON = errors.New("not the JSON of a token")

// decodeObject reads one JSON object and nothing after it. A member that is
// named twice is refused at every depth: readers disagree on which one counts
// (RFC 7519, section 4; RFC 8725, section 2.6).
func decodeObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) { // the decoder would replace what is not
		return nil, errJSON
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errJSON
	}
	object, err := decodeMembers(d, 1)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return object, nil
}

func decodeMembers(d *json.Decoder, depth int) (map[string]any, error) {
	object := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errJSON
		}
		text, ok := name.(string)
		if _, twice := object[text]; twice || !ok {
			return nil, errJSON
		}
		if object[text], err = decodeValue(d, depth); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	tok, err := d.Token()
	if err != nil || depth == maxDepth {
		return nil, errJSON
	}
	switch tok := tok.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(tok.String(), 10, 64); err == nil {
			return n, nil
		}
		return tok.Float64() // fails when out of range
	case json.Delim:
		if tok == '{' {
			return decodeMembers(d, depth+1)
		}
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	default:
		return tok, nil
	}
}
