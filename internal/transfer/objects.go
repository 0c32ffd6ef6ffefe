package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// jsonSource reads rows of JSON or NDJSON.
type jsonSource struct {
	r      jsonReader
	m      *mapping
	fields []string
	place  map[string]int // key of an object -> its cell, or skipped
	strict bool           // every row gives exactly the fields
	cells  []query.Cell
	keys   []string // of each cell: the key that gave it
	begun  bool     // a row was read

	// The first row, where it was looked at for its keys.
	first     string
	firstLine int
	firstErr  error
	ahead     bool
}

// newJSONSource reads objects. Their keys may differ, and what one leaves out
// takes its default; but where rows replace stored ones (merge), the first
// row's keys are the fields, for a default would overwrite what is stored.
func newJSONSource(w *window, m *mapping, lines, merge bool) (*jsonSource, error) {
	s := &jsonSource{r: jsonReader{window: w, lines: lines}, m: m, place: map[string]int{}, strict: merge, fields: m.writable}
	if err := w.skipBOM(); err != nil {
		return nil, err
	}
	if merge {
		if err := s.firstKeys(); err != nil {
			return nil, err
		}
	}
	for i, f := range s.fields {
		s.place[f] = i
	}
	for from := range m.given {
		if to, _ := m.field(from); to == "" {
			s.place[from] = skipped
		} else if i := slices.Index(s.fields, to); i >= 0 {
			s.place[from] = i
		}
	}
	for _, c := range []string{lineColumn, codeColumn, reasonColumn} {
		s.place[c] = skipped
	}
	s.cells, s.keys = make([]query.Cell, len(s.fields)), make([]string, len(s.fields))
	return s, nil
}

// firstKeys looks at the first row for the fields that every row gives.
func (s *jsonSource) firstKeys() error {
	s.first, s.firstLine, s.firstErr = s.r.next()
	s.ahead = true
	if errors.Is(s.firstErr, io.EOF) { // next tells
		return nil
	}
	if s.firstErr != nil {
		return s.firstErr
	}
	var keys []string
	err := members(s.first, func(key, _ string) error {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		f := *fault.From(err)
		return f.WithDetails("in line %d, whose keys say what each row replaces", s.firstLine)
	}
	s.fields, _, err = s.m.header(keys)
	return err
}

func (s *jsonSource) columns() []string { return s.fields }

func (s *jsonSource) header() string { return "" }

func (s *jsonSource) nextLine() int {
	if s.ahead {
		return s.firstLine
	}
	return s.r.line
}

func (s *jsonSource) next(row *engine.Row) error {
	var err error
	if s.ahead {
		s.ahead = false
		row.Source, row.Line, err = s.first, s.firstLine, s.firstErr
	} else {
		row.Source, row.Line, err = s.r.next()
	}
	if err != nil {
		return err
	}
	begun := s.begun
	s.begun = true
	row.Cells = s.cells
	clear(s.cells)
	var unknown []string
	err = members(row.Source, func(key, raw string) error {
		p, ok := s.place[key]
		switch {
		case !ok:
			unknown = append(unknown, key)
		case p == skipped:
		case s.cells[p].Kind != query.Absent && s.keys[p] != key:
			return fault.New(fault.DuplicateField, "the keys %q and %q both go to the field %q", s.keys[p], key, s.fields[p])
		default:
			s.cells[p], s.keys[p] = query.Cell{Kind: query.FromJSON, Raw: raw}, key
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(unknown) > 0 && s.strict:
		return fault.New(fault.InvalidBody, "the row gives %q, which the first row does not", shorten(unknown[0])).
			WithHint("rows that replace stored ones all give the same fields")
	case len(unknown) > 0:
		f := s.m.unknown(unknown)
		if !begun { // then the file is another one than was meant
			return ending{f}
		}
		return f
	case s.strict:
		return s.complete()
	}
	return nil
}

// complete refuses a row that leaves out what the first one gives.
func (s *jsonSource) complete() error {
	for i := range s.cells {
		if s.cells[i].Kind == query.Absent {
			return fault.New(fault.InvalidBody, "the row does not give %q, as the first row does", s.fields[i]).
				WithHint("rows that replace stored ones all give the same fields")
		}
	}
	return nil
}

// report writes the row as an object that begins with why it is bad.
func (s *jsonSource) report(dst []byte, p *Problem, source string) []byte {
	dst = append(dst, `{"`+lineColumn+`":`...)
	dst = strconv.AppendInt(dst, int64(p.Line), 10)
	dst = append(dst, `,"`+codeColumn+`":`...)
	dst = value.AppendQuoted(dst, string(p.Code))
	dst = append(dst, `,"`+reasonColumn+`":`...)
	dst = value.AppendQuoted(dst, p.Reason)
	if source == "" {
		return append(dst, '}', '\n')
	}
	dst = append(dst, ',')
	if rest, ok := objectRest(source); ok {
		return append(append(dst, rest...), '\n')
	}
	dst = append(dst, `"_row":`...)
	return append(value.AppendQuoted(dst, source), '}', '\n')
}

// objectRest returns an object on one line without its opening brace, unless
// it has no members.
func objectRest(source string) (string, bool) {
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(source)); err != nil {
		return "", false
	}
	rest, ok := strings.CutPrefix(line.String(), "{")
	return rest, ok && rest != "}"
}
