// Package transfer moves rows between files and an application: import, export
// and the seeds of a new store. Everything goes through the engine, so a file
// is validated, checked and authorised like any request; memory is bounded
// whatever the file's size.
//
// What [Export] writes, [Import] reads back to the same rows. In CSV an empty
// cell is null (the empty text in a required text), and a quoted empty cell is
// the empty text, as in PostgreSQL's COPY.
package transfer

import (
	"path"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// Format is the encoding of a file.
type Format string

// The formats. All are UTF-8.
const (
	CSV    Format = "csv"    // RFC 4180 with a header line
	JSON   Format = "json"   // one array of objects
	NDJSON Format = "ndjson" // one object a line
)

// ParseFormat returns the format of that name.
func ParseFormat(name string) (Format, error) {
	names := []string{string(CSV), string(JSON), string(NDJSON)}
	switch f := Format(strings.ToLower(name)); f {
	case CSV, JSON, NDJSON:
		return f, nil
	}
	f := fault.New(fault.BadRequest, "there is no format %q", name)
	if near := fault.Nearest(name, names); near != "" {
		return "", f.WithHint("did you mean %q?", near)
	}
	return "", f.WithHint("the formats are %s", strings.Join(names, ", "))
}

// FormatOf returns the format that a file's name ends with.
func FormatOf(file string) (Format, error) {
	switch ext := strings.ToLower(path.Ext(file)); ext {
	case ".csv":
		return CSV, nil
	case ".json":
		return JSON, nil
	case ".ndjson", ".jsonl":
		return NDJSON, nil
	}
	return "", fault.New(fault.BadRequest, "the format of %s is not told by its name", path.Base(file)).
		WithHint("say it: --format csv, --format json or --format ndjson")
}

// format is the query package's word for f.
func (f Format) format() (query.Format, error) {
	switch f {
	case CSV:
		return query.CSV, nil
	case JSON:
		return query.JSON, nil
	case NDJSON:
		return query.NDJSON, nil
	}
	_, err := ParseFormat(string(f))
	return 0, err
}
