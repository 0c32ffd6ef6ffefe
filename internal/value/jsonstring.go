package value

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// unquote reads raw, one JSON string, and reports whether the result is ASCII
// without NUL. Without escapes the result is a part of raw.
func unquote(raw string) (s string, ascii bool, err error) {
	end, escaped, err := scanString(raw, 0)
	if err != nil {
		return "", false, err
	}
	if end != len(raw) {
		return "", false, badJSON(raw, end)
	}
	s = raw[1 : end-1]
	if escaped {
		buf, err := decodeString(make([]byte, 0, len(s)), s)
		if err != nil {
			return "", false, err
		}
		s = string(buf)
	}
	ascii = true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if !ascii && !utf8.ValidString(s) {
		return "", false, badUTF8()
	}
	return s, ascii, nil
}

// scanString returns the index behind the JSON string that starts at i, and
// whether it has escapes. It checks neither the escapes nor the encoding.
func scanString(raw string, i int) (end int, escaped bool, err error) {
	j := i + 1
	for {
		j += plain(raw[j:])
		if j >= len(raw) {
			return 0, false, fault.New(fault.InvalidText, "invalid JSON: a string is not closed").
				WithDetails("it starts at byte %d", i)
		}
		switch c := raw[j]; {
		case c == '"':
			return j + 1, escaped, nil
		case c == '\\':
			escaped = true
			j += 2
			if j > len(raw) {
				j = len(raw)
			}
		case c == 0:
			return 0, false, fault.New(fault.InvalidEncoding, "a text may not contain the character NUL").
				WithDetails("at byte %d", j)
		case c < ' ':
			return 0, false, fault.New(fault.InvalidText, "invalid JSON: a control character in a string").
				WithDetails("at byte %d", j).WithHint(`write it as an escape, like \n`)
		default: // not ASCII
			j++
			for j < len(raw) && raw[j] >= utf8.RuneSelf {
				j++
			}
		}
	}
}

// decodeString appends the text that the inside of a JSON string stands for.
func decodeString(dst []byte, s string) ([]byte, error) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, badEscape(s, i-1)
		}
		switch c := s[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, size, err := decodeUnicode(s[i-1:])
			if err != nil {
				return nil, err
			}
			dst = utf8.AppendRune(dst, r)
			i += size - 2
		default:
			return nil, badEscape(s, i-1)
		}
	}
	return dst, nil
}

// decodeUnicode reads the escape \uXXXX, or the pair of surrogates, that s
// starts with, and returns its length.
func decodeUnicode(s string) (r rune, size int, err error) {
	r = unicodeEscape(s)
	switch {
	case r < 0:
		return 0, 0, badEscape(s, 0)
	case r == 0:
		return 0, 0, fault.New(fault.InvalidEncoding, `a text may not contain the character NUL (\u0000)`)
	case !utf16.IsSurrogate(r):
		return r, 6, nil
	}
	r = utf16.DecodeRune(r, unicodeEscape(s[6:]))
	if r == utf8.RuneError {
		return 0, 0, fault.New(fault.InvalidText, "invalid JSON: half of a surrogate pair stands alone").
			WithDetails("got %s", s[:6])
	}
	return r, 12, nil
}

// unicodeEscape is the code unit of the escape \uXXXX that s starts with, or
// -1 where it does not.
func unicodeEscape(s string) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	r := rune(0)
	for i := 2; i < 6; i++ {
		d := unhex(s[i])
		if d < 0 {
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}

func badEscape(s string, i int) error {
	return fault.New(fault.InvalidText, "invalid JSON: no such escape").WithDetails("got %s", show(s[i:min(i+6, len(s))]))
}

func badUTF8() error {
	return fault.New(fault.InvalidEncoding, "a text must be valid UTF-8")
}

// badJSON is the fault of a byte that may not stand where it stands.
func badJSON(raw string, i int) error {
	if i >= len(raw) {
		return fault.New(fault.InvalidText, "invalid JSON: it ends too early")
	}
	return fault.New(fault.InvalidText, "invalid JSON").
		WithDetails("at byte %d: %s", i, show(raw[i:min(i+20, len(raw))]))
}

// trimJSON removes the white space around a JSON value.
func trimJSON(raw string) string {
	raw = raw[skipJSON(raw, 0):]
	for raw != "" && isJSONSpace(raw[len(raw)-1]) {
		raw = raw[:len(raw)-1]
	}
	return raw
}

// skipJSON returns the index of the first byte of raw from i on that is no
// JSON white space.
func skipJSON(raw string, i int) int {
	for i < len(raw) && isJSONSpace(raw[i]) {
		i++
	}
	return i
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// JSONString is the content of a JSON string as it is: unlike a text's, its
// characters are not composed.
func JSONString(raw string) (string, error) {
	s, _, err := unquote(raw)
	return s, err
}
