package rest

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// readBody reads the whole body, at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) (string, error) {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return "", fault.New(fault.UnsupportedMediaType, "a body in the encoding %s is not supported", shorten(enc)).
			WithHint("send the body without compression")
	}
	if r.ContentLength > limit {
		return "", tooLarge(limit)
	}
	from := http.MaxBytesReader(w, r.Body, limit)
	var body []byte
	var err error
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(from, body)
	} else {
		body, err = io.ReadAll(from)
	}
	if err != nil {
		return "", bodyFault(err, limit)
	}
	// The bytes are never written to again, so the text may share them: the
	// cells of a thousand rows are substrings of it.
	text := unsafe.String(unsafe.SliceData(body), len(body))
	if !utf8.ValidString(text) {
		return "", fault.New(fault.InvalidEncoding, "the body is not valid UTF-8")
	}
	return text, nil
}

func tooLarge(limit int64) error {
	return fault.New(fault.BodyTooLarge, "the body is larger than %d bytes", limit).
		WithHint("limits.body in pando.yaml is %d bytes; send fewer rows in one request", limit)
}

func bodyFault(err error, limit int64) error {
	if f, ok := errors.AsType[*fault.Error](err); ok { // the edge's own reader may have a reason
		return f
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit)
	}
	return fault.Wrap(err, fault.BadRequest, "the body could not be read to its end")
}

// bodyKind is a media type that a write accepts.
type bodyKind uint8

const (
	jsonBody bodyKind = iota
	csvBody
	formBody
)

// kindOf reads Content-Type; without one a body is JSON, as in PostgREST.
func kindOf(contentType string) (bodyKind, error) {
	name, params, _ := strings.Cut(contentType, ";")
	kind := jsonBody
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "", "application/json", "application/vnd.pgrst.object+json", "application/vnd.pgrst.array+json":
	case "text/csv":
		kind = csvBody
	case "application/x-www-form-urlencoded":
		kind = formBody
	default:
		return 0, fault.New(fault.UnsupportedMediaType, "Content-Type not acceptable: %s", shorten(contentType)).
			WithHint("send application/json, text/csv or application/x-www-form-urlencoded")
	}
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if v = strings.Trim(v, `"`); strings.EqualFold(k, "charset") && !strings.EqualFold(v, "utf-8") && !strings.EqualFold(v, "us-ascii") {
			return 0, fault.New(fault.UnsupportedMediaType, "the charset %s is not supported", shorten(v)).
				WithHint("send the body in UTF-8")
		}
	}
	return kind, nil
}

// parseBody turns a body into rows. columns is the parameter of that name, nil
// when it is not given. What a listed column's absent value becomes is told by
// miss.
func parseBody(kind bodyKind, body string, columns []string, miss missing) (input, error) {
	var in input
	var err error
	switch kind {
	case jsonBody:
		in, err = splitJSON(body, columns)
	case csvBody:
		in, err = splitCSV(body, columns)
	case formBody:
		// curl -d sends JSON under this type unless it is told otherwise.
		if first := strings.TrimLeft(body, " \t\r\n"); strings.HasPrefix(first, "{") || strings.HasPrefix(first, "[") {
			return input{}, fault.New(fault.UnsupportedMediaType, "the body is JSON, but its Content-Type says application/x-www-form-urlencoded").
				WithHint("send 'Content-Type: application/json'; with curl: -H 'content-type: application/json'")
		}
		in, err = splitForm(body, columns)
	}
	if err != nil || miss != missingNull {
		return in, err
	}
	for _, row := range in.rows {
		for i := range row {
			if row[i].Kind == query.Absent {
				row[i].Kind = query.NullCell
			}
		}
	}
	return in, nil
}

// splitCSV reads RFC 4180 with a header line. An empty cell is an empty text:
// the engine knows which fields that makes null.
func splitCSV(body string, columns []string) (input, error) {
	if strings.IndexByte(body, 0) >= 0 {
		return input{}, fault.New(fault.InvalidEncoding, "a text cannot hold the character NUL")
	}
	rd := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\ufeff")))
	header, err := rd.Read()
	if errors.Is(err, io.EOF) {
		return input{}, fault.New(fault.InvalidBody, "Empty or invalid csv").WithHint("the first line names the fields")
	}
	if err != nil {
		return input{}, csvFault(err)
	}
	p, err := newProjection(header, columns)
	if err != nil {
		return input{}, err
	}
	rd.ReuseRecord = true
	for {
		rec, err := rd.Read()
		if errors.Is(err, io.EOF) {
			return p.in, nil
		}
		if err != nil {
			return input{}, csvFault(err)
		}
		p.add(rec)
	}
}

func csvFault(err error) error {
	f := fault.New(fault.InvalidBody, "Empty or invalid csv")
	if errors.Is(err, csv.ErrFieldCount) {
		f.Message = "All lines must have same number of fields"
	}
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		return f.WithDetails("line %d, column %d: %s", pe.Line, pe.Column, pe.Err)
	}
	return f
}

// splitForm reads one row from name=value pairs; of a name that is given twice
// the last counts.
func splitForm(body string, columns []string) (input, error) {
	list, err := split(body, nil)
	if err != nil {
		return input{}, err
	}
	at := make(map[string]int, len(list))
	var names, values []string
	for _, p := range list {
		if i, ok := at[p.key]; ok {
			values[i] = p.value
			continue
		}
		at[p.key] = len(names)
		names, values = append(names, p.key), append(values, p.value)
	}
	p, err := newProjection(names, columns)
	if err != nil {
		return input{}, err
	}
	p.add(values)
	return p.in, nil
}

// projection puts the texts of records where the columns want them.
type projection struct {
	in input
	at []int // of each member of a record: its column, or -1
}

func newProjection(header, columns []string) (*projection, error) {
	p := &projection{at: make([]int, len(header))}
	p.in.columns = columns
	if columns == nil {
		p.in.columns = header
	}
	index := make(map[string]int, len(p.in.columns))
	for i, c := range p.in.columns {
		index[c] = i
	}
	seen := make(map[string]bool, len(header))
	for i, n := range header {
		if seen[n] {
			return nil, fault.New(fault.DuplicateField, "the header names %q twice", shorten(n))
		}
		if n == "" {
			return nil, fault.New(fault.InvalidBody, "a field without a name").WithDetails("it is the %d. of the body", i+1)
		}
		seen[n] = true
		p.at[i] = -1
		if c, ok := index[n]; ok {
			p.at[i] = c
		}
	}
	return p, nil
}

func (p *projection) add(record []string) {
	row := make([]query.Cell, len(p.in.columns))
	for i, text := range record {
		if c := p.at[i]; c >= 0 {
			row[c] = query.Cell{Kind: query.FromText, Raw: text}
		}
	}
	p.in.rows = append(p.in.rows, row)
}
