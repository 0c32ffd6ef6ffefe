package auth

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// sql writes a statement in the database's dialect: {name} is a table of the
// module auth, $n a parameter, TRUE and FALSE are constants. All statements of the
// room are made by it, once, so that drivers keep them prepared.
func sql(d store.Dialect, text string) *store.Statement {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '{':
			end := i + strings.IndexByte(text[i:], '}')
			b.WriteString(d.Table("auth", text[i+1:end]))
			i = end
		case '$':
			end := i + 1
			for end < len(text) && text[end] >= '0' && text[end] <= '9' {
				end++
			}
			n, err := strconv.Atoi(text[i+1 : end])
			if err != nil {
				panic("auth: a statement has a parameter without a number: " + text)
			}
			b.WriteString(d.Param(n))
			i = end - 1
		default:
			b.WriteByte(c)
		}
	}
	return &store.Statement{SQL: b.String()}
}

func text(s string) value.Value { return value.OfText(s) }

func number(n int) value.Value { return value.OfInt(int64(n)) }

// optText is null for the empty text.
func optText(s string) value.Value {
	if s == "" {
		return value.Null()
	}
	return value.OfText(s)
}

// at is null for the zero time.
func at(t time.Time) value.Value {
	if t.IsZero() {
		return value.Null()
	}
	return value.OfTimestamp(t)
}

// micros is a time as the store keeps it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func args(v ...value.Value) []value.Value { return v }

// scan reads the columns of a row one after the other.
type scan struct {
	r   store.Row
	i   int
	err error // of the first column that could not be read
}

// text is empty for null.
func (s *scan) text() string {
	s.i++
	return string(s.r.Append(nil, s.i-1))
}

// json is nil for null.
func (s *scan) json() json.RawMessage {
	s.i++
	return s.r.Append(nil, s.i-1)
}

func (s *scan) bytes() []byte { return s.json() }

func (s *scan) int() int64 {
	s.i++
	return s.r.Int(s.i - 1)
}

func (s *scan) bool() bool { return s.int() != 0 }

// time is the zero time for null.
func (s *scan) time() time.Time {
	t := s.text()
	if t == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, t)
	if err != nil && s.err == nil {
		s.err = fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	return at.UTC()
}

// list reads a JSON array of texts.
func (s *scan) list() []string {
	var out []string
	if raw := s.json(); len(raw) > 0 && json.Unmarshal(raw, &out) != nil && s.err == nil {
		s.err = fault.New(fault.Internal, "an internal error occurred").WithDetails("a stored list is none")
	}
	return out
}

// one runs a statement of at most one row and reports whether there was one.
func one(r store.Reader, st *store.Statement, args []value.Value, each func(*scan)) (found bool, err error) {
	err = r.Query(st, args, func(row store.Row) error {
		found = true
		s := &scan{r: row}
		each(s)
		return s.err
	})
	return found, err
}

// all runs a statement and calls each for its rows.
func all(r store.Reader, st *store.Statement, args []value.Value, each func(*scan)) error {
	_, err := one(r, st, args, each)
	return err
}

// isUUID reports whether s is the canonical form of a UUID: a key of another
// form is in no table, and some databases refuse to compare it.
func isUUID(s string) bool {
	v, err := value.Type{Kind: value.UUID}.FromText(s)
	return err == nil && v.Str == s
}

// object is a JSON object in canonical form; nil is {}.
func object(m map[string]any) (value.Value, error) {
	if m == nil {
		m = map[string]any{}
	}
	v, err := encode(m)
	if err != nil {
		return v, fault.Wrap(err, fault.AuthValidation, "the metadata cannot be stored").WithDetails("%s", fault.From(err).Message)
	}
	return v, nil
}

// encode is a value as canonical JSON.
func encode(v any) (value.Value, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return value.Null(), err
	}
	canonical, err := value.CanonicalJSON(string(raw))
	return value.OfText(canonical), err
}
