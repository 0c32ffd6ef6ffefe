package transfer

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// csvReader reads CSV records (RFC 4180). It differs from encoding/csv where an
// import needs more: it tells a quoted empty cell from an empty one, keeps line
// ends inside quotes as they are, hands a broken row back as text and goes on
// behind it, and bounds a row's size.
type csvReader struct {
	*window
	cells []span // of the last record
}

// span is where a cell stands in its record, without its quotes.
type span struct {
	from, to int
	quoted   bool
	escaped  bool // holds doubled quotes
}

func (s span) text(record string) string {
	t := record[s.from:s.to]
	if s.escaped {
		return strings.ReplaceAll(t, `""`, `"`)
	}
	return t
}

// why a record is no record.
var (
	errStrayQuote = errors.New("a quote stands inside a cell that is not quoted")
	errAfterQuote = errors.New("a character follows the closing quote of a cell")
	errOpenQuote  = errors.New("a quoted cell is not closed before the file ends")
	errNeedMore   = errors.New("the record goes on behind the window")
)

// next returns the next record without its line end, and the line where it
// begins; its cells are in r.cells. At the end of the file the error is io.EOF.
// After any other error that is no [ending], the record is the first line of
// the broken row, and reading goes on behind that line.
func (r *csvReader) next() (record string, line int, err error) {
	for {
		line = r.line
		n, size, lines, err := r.parse(r.rest())
		switch {
		case err == nil:
			record = string(r.rest()[:size])
			r.consume(n, lines)
			return record, line, nil
		case errors.Is(err, errNeedMore):
			more, merr := r.more()
			switch {
			case more:
				continue
			case merr == nil && len(r.rest()) == 0:
				return "", line, io.EOF
			case merr == nil: // the rest is the last record, or its quote is open
				continue
			case !errors.Is(merr, errRowTooLong):
				return "", line, merr
			}
			err = fault.New(fault.InvalidBody, "a row is longer than %d bytes", maxRow).WithHint("is a quote missing in line %d?", line)
		default:
			err = fault.New(fault.InvalidBody, "malformed CSV: %s", err)
		}
		record, serr := r.skipLine()
		if serr != nil {
			return record, line, serr
		}
		return record, line, err
	}
}

// parse finds the record at the beginning of data: n bytes with the line end,
// size without, with that many line ends in it.
func (r *csvReader) parse(data []byte) (n, size, lines int, err error) {
	r.cells = r.cells[:0]
	if len(data) == 0 {
		return 0, 0, 0, errNeedMore
	}
	for i := 0; ; i++ { // i is a cell's first byte
		cell := span{from: i, to: i}
		if i < len(data) && data[i] == '"' {
			if cell, err = r.quoted(data, i); err != nil {
				return 0, 0, 0, err
			}
			lines += bytes.Count(data[cell.from:cell.to], []byte{'\n'})
			i = cell.to + 1
		} else {
			for i < len(data) && data[i] != ',' && data[i] != '\n' {
				if data[i] == '"' {
					return 0, 0, 0, errStrayQuote
				}
				i++
			}
			cell.to = i
		}
		if i == len(data) && !r.eof {
			return 0, 0, 0, errNeedMore
		}
		if i < len(data) && data[i] == ',' {
			r.cells = append(r.cells, cell)
			continue
		}
		return r.lineEnd(data, i, lines, cell)
	}
}

// lineEnd completes a record whose last cell ends at i: at a line end, at a
// carriage return before one, or at the end of the file.
func (r *csvReader) lineEnd(data []byte, i, lines int, cell span) (n, size, all int, err error) {
	if cell.quoted && i < len(data) && data[i] == '\r' {
		if i+1 == len(data) && !r.eof {
			return 0, 0, 0, errNeedMore
		}
		i++
	}
	switch {
	case i == len(data):
		n = i
	case data[i] == '\n':
		n, lines = i+1, lines+1
	default:
		return 0, 0, 0, errAfterQuote
	}
	size = i
	if size > 0 && data[size-1] == '\r' {
		size--
	}
	cell.to = min(cell.to, size)
	r.cells = append(r.cells, cell)
	return n, size, lines, nil
}

// quoted finds the cell whose opening quote is at i.
func (r *csvReader) quoted(data []byte, i int) (span, error) {
	cell := span{from: i + 1, quoted: true}
	for at := i + 1; ; at += 2 {
		q := bytes.IndexByte(data[at:], '"')
		if q < 0 {
			if r.eof {
				return cell, errOpenQuote
			}
			return cell, errNeedMore
		}
		at += q
		if at+1 == len(data) && !r.eof {
			return cell, errNeedMore
		}
		if at+1 == len(data) || data[at+1] != '"' {
			cell.to = at
			return cell, nil
		}
		cell.escaped = true
	}
}
