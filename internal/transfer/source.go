package transfer

import (
	"strconv"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// source reads a file's rows for the fields of an entity.
type source interface {
	// columns are the fields that the rows give, in the order of their cells.
	columns() []string
	// header is what a file of bad rows begins with; "" for none.
	header() string
	// next fills in the next row. The error is io.EOF at the end, an [ending]
	// where no further row can be read, and else the row's own: reading goes on
	// behind it.
	next(*engine.Row) error
	// nextLine is the line of the row that next will look for.
	nextLine() int
	// report writes a bad row with its line, code and reason.
	report(dst []byte, p *Problem, source string) []byte
}

// csvSource reads rows of CSV.
type csvSource struct {
	r      csvReader
	text   string   // of the header
	fields []string // what the cells are for
	place  []int    // of each column: its cell, or skipped
	empty  []bool   // of each column: a quoted empty cell is the empty text
	cells  []query.Cell
}

func newCSVSource(w *window, m *mapping) (*csvSource, error) {
	s := &csvSource{r: csvReader{window: w}}
	if err := w.skipBOM(); err != nil {
		return nil, err
	}
	text, line, err := s.r.next()
	if err != nil {
		if f, ok := endingOf(err); ok {
			return nil, f
		}
		return nil, fault.Wrap(err, fault.InvalidBody, "the file has no header line").
			WithHint("line %d has to name the columns", line)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.InvalidEncoding, "the header is not valid UTF-8").WithHint("save the file as UTF-8")
	}
	columns := make([]string, len(s.r.cells))
	for i, c := range s.r.cells {
		columns[i] = c.text(text)
	}
	if s.fields, s.place, err = m.header(columns); err != nil {
		return nil, err
	}
	s.text = text
	s.cells = make([]query.Cell, len(s.fields))
	s.empty = make([]bool, len(columns))
	for i, p := range s.place {
		s.empty[i] = p != skipped && holdsEmpty(m.entity.Field(s.fields[p]).Type)
	}
	return s, nil
}

// holdsEmpty reports whether the empty text is a value of the type.
func holdsEmpty(t value.Type) bool {
	return !t.List && (t.Kind == value.Text || t.Kind == value.File)
}

func (s *csvSource) columns() []string { return s.fields }

func (s *csvSource) header() string {
	return lineColumn + "," + codeColumn + "," + reasonColumn + "," + s.text + "\n"
}

func (s *csvSource) nextLine() int { return s.r.line }

func (s *csvSource) next(row *engine.Row) error {
	for {
		text, line, err := s.r.next()
		row.Line, row.Source = line, text
		if err != nil {
			return err
		}
		if text == "" && len(s.place) > 1 && !s.r.cells[0].quoted {
			continue // an empty line is a row only where there is one column
		}
		if len(s.r.cells) != len(s.place) {
			return fault.New(fault.InvalidBody, "the row has %d cells, the header has %d", len(s.r.cells), len(s.place))
		}
		for i, c := range s.r.cells {
			p := s.place[i]
			if p == skipped {
				continue
			}
			if c.from == c.to && c.quoted && s.empty[i] {
				s.cells[p] = query.Cell{Kind: query.FromJSON, Raw: `""`}
				continue
			}
			s.cells[p] = query.Cell{Kind: query.FromText, Raw: c.text(text)}
		}
		row.Cells = s.cells
		return nil
	}
}

// report writes the row behind its reason as it stood. A row that is no CSV
// goes into one quoted cell, so that the rest of the file stays readable.
func (s *csvSource) report(dst []byte, p *Problem, source string) []byte {
	dst = strconv.AppendInt(dst, int64(p.Line), 10)
	dst = append(dst, ',')
	dst = append(dst, p.Code...)
	dst = append(dst, ',')
	dst = append(appendQuotedCell(dst, p.Reason), ',')
	check := csvReader{window: &window{eof: true}}
	if n, _, _, err := check.parse([]byte(source)); err == nil && n == len(source) {
		dst = append(dst, source...)
	} else if source != "" {
		dst = appendQuotedCell(dst, source)
	}
	return append(dst, '\n')
}

func appendQuotedCell(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}
