package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/pandobase/pando/internal/fault"
)

// jsonReader reads the elements of one JSON array, or the lines of NDJSON. It
// only finds where an element begins and ends, so that one which is wrong
// inside can be handed back as text and the next one be read.
type jsonReader struct {
	*window
	lines bool // NDJSON
	state arrayState
}

type arrayState uint8

const (
	beforeArray arrayState = iota
	firstElement
	nextElement
	afterArray
)

// next returns the text of the next element and the line where it begins. At
// the end of the file the error is io.EOF. Where no element can be found it is
// an [ending]; only a line of NDJSON that is too long is one row's fault.
func (r *jsonReader) next() (element string, line int, err error) {
	if r.lines {
		return r.nextLine()
	}
	if r.state == beforeArray {
		if err := r.open(); err != nil {
			return "", r.line, err
		}
	}
	if r.state == afterArray {
		return "", r.line, r.close()
	}
	c, err := r.peek()
	if err != nil {
		return "", r.line, err
	}
	if c == ']' && r.state == firstElement {
		return "", r.line, r.close()
	}
	if c == ']' || c == ',' {
		return "", r.line, r.broken("expected an object, not %q", rune(c))
	}
	text, line, err := r.element()
	if err != nil {
		return "", line, err
	}
	switch c, err = r.peek(); {
	case err != nil:
		return "", line, err
	case c == ',':
		r.state = nextElement
	case c == ']':
		r.state = afterArray
	default:
		return "", line, r.broken("expected a comma or the end of the array, not %q", rune(c))
	}
	r.consume(1, 0)
	return text, line, nil
}

func (r *jsonReader) open() error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	if c != '[' {
		f := fault.New(fault.InvalidBody, "malformed JSON: expected one array of objects").WithDetails("line %d begins with %q", r.line, rune(c))
		if c == '{' {
			f.Hint = "one object a line is another format: --format ndjson"
		}
		return ending{f}
	}
	r.consume(1, 0)
	r.state = firstElement
	return nil
}

// close looks for what must not stand behind the array.
func (r *jsonReader) close() error {
	if r.state == firstElement { // the array is empty
		r.consume(1, 0)
		r.state = afterArray
	}
	for len(r.skipSpace()) == 0 {
		more, err := r.more()
		if err != nil {
			return err
		}
		if !more {
			return io.EOF
		}
	}
	return r.broken("something follows the end of the array")
}

// skipSpace moves behind white space and returns what is left of the window.
func (r *jsonReader) skipSpace() []byte {
	rest := r.rest()
	n, lines := 0, 0
	for ; n < len(rest) && isSpace(rest[n]); n++ {
		if rest[n] == '\n' {
			lines++
		}
	}
	r.consume(n, lines)
	return rest[n:]
}

// peek returns the next byte that is no white space, without consuming it.
func (r *jsonReader) peek() (byte, error) {
	for {
		if rest := r.skipSpace(); len(rest) > 0 {
			return rest[0], nil
		}
		more, err := r.more()
		if err != nil {
			return 0, err
		}
		if !more {
			if r.state == beforeArray {
				return 0, ending{fault.New(fault.InvalidBody, "the file is empty").WithHint("it holds one array of objects; no rows are []")}
			}
			return 0, r.broken("the file ends inside the array")
		}
	}
}

// element consumes the value at the window's start.
func (r *jsonReader) element() (string, int, error) {
	line := r.line
	for {
		rest := r.rest()
		if n := elementEnd(rest); n > 0 {
			text := string(rest[:n])
			r.consume(n, bytes.Count(rest[:n], []byte{'\n'}))
			return text, line, nil
		}
		more, err := r.more()
		switch {
		case errors.Is(err, errRowTooLong):
			return "", line, ending{tooLong(line)}
		case err != nil:
			return "", line, err
		case !more:
			return "", line, ending{fault.New(fault.InvalidBody, "malformed JSON: the file ends inside the row that begins in line %d", line)}
		}
	}
}

func tooLong(line int) *fault.Error {
	return fault.New(fault.InvalidBody, "a row is longer than %d bytes", maxRow).WithHint("is a quote missing in line %d?", line)
}

// elementEnd returns where the element at the beginning of data ends: at the
// comma or bracket that is not inside of it. 0: behind data, or nowhere.
func elementEnd(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			n := stringEnd(data[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return max(i, 1) // a bracket in a value's place is an element of its own, and no JSON
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return max(i, 1)
			}
		}
	}
	return 0
}

// stringEnd returns the length of the JSON string at the beginning of data; 0:
// it is not closed.
func stringEnd[S ~[]byte | ~string](data S) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

func (r *jsonReader) nextLine() (string, int, error) {
	for {
		rest := r.rest()
		at := bytes.IndexByte(rest, '\n')
		if at < 0 && !r.eof {
			_, err := r.more()
			switch {
			case errors.Is(err, errRowTooLong):
				line := r.line
				text, serr := r.skipLine()
				if serr != nil {
					return "", line, serr
				}
				return text, line, tooLong(line)
			case err != nil:
				return "", r.line, err
			}
			continue
		}
		if len(rest) == 0 {
			return "", r.line, io.EOF
		}
		line := r.line
		n, lines := len(rest), 0
		if at >= 0 {
			n, lines = at+1, 1
		}
		text := string(bytes.TrimSpace(rest[:n]))
		r.consume(n, lines)
		if text != "" {
			return text, line, nil
		}
	}
}

// broken is the fault of a file in which no further row can be found.
func (r *jsonReader) broken(format string, args ...any) error {
	return ending{fault.New(fault.InvalidBody, "malformed JSON: "+format, args...).WithDetails("in line %d", r.line)}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// members calls each for every member of an object, the value as it is
// written. It fails where the text is no JSON object.
func members(text string, each func(key, raw string) error) error {
	if !json.Valid([]byte(text)) {
		return fault.New(fault.InvalidBody, "malformed JSON")
	}
	if text[0] != '{' {
		return fault.New(fault.InvalidBody, "a row is an object, such as {\"field\": 1}")
	}
	for i := afterSpace(text, 1); text[i] != '}'; {
		n := stringEnd(text[i:])
		key := text[i+1 : i+n-1]
		if bytes.IndexByte([]byte(key), '\\') >= 0 {
			if err := json.Unmarshal([]byte(text[i:i+n]), &key); err != nil {
				return fault.Wrap(err, fault.InvalidBody, "malformed JSON")
			}
		}
		i = afterSpace(text, afterSpace(text, i+n)+1) // behind the colon
		n = memberEnd(text[i:])
		if err := each(key, text[i:i+n]); err != nil {
			return err
		}
		if i = afterSpace(text, i+n); text[i] == ',' {
			i = afterSpace(text, i+1)
		}
	}
	return nil
}

func afterSpace(s string, i int) int {
	for isSpace(s[i]) {
		i++
	}
	return i
}

// memberEnd returns the length of the valid JSON value at the beginning of s.
func memberEnd(s string) int {
	switch s[0] {
	case '"':
		return stringEnd(s)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch s[i] {
			case '"':
				i += stringEnd(s[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	i := 0
	for s[i] != ',' && s[i] != '}' && !isSpace(s[i]) {
		i++
	}
	return i
}
