package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// Format is how records are exported.
type Format string

// The formats.
const (
	NDJSON      Format = "ndjson"      // one record a line
	CloudEvents Format = "cloudevents" // one event a line
	EventBatch  Format = "batch"       // a JSON array of events
)

// Event is a record as a CloudEvent (CloudEvents 1.0, JSON format).
type Event struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject,omitempty"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        *Record   `json:"data"`
}

// Event makes an event of the record. source names the application.
func (r *Record) Event(source string) Event {
	e := Event{
		SpecVersion: "1.0", ID: strconv.FormatInt(r.ID, 10), Source: source, Type: "pando.audit." + r.Action,
		Time: r.Time, ContentType: "application/json", Data: r, Subject: r.Entity,
	}
	if key := r.row(); key != "" {
		e.Subject += "/" + key
	}
	return e
}

// Export writes all records that match, oldest first, and returns how many. It
// holds no more than a page of them in memory.
func (l *Log) Export(ctx context.Context, q Query, format Format, source string, w io.Writer) (int, error) {
	switch format {
	case NDJSON, CloudEvents, EventBatch:
	default:
		return 0, fault.New(fault.BadRequest, "there is no format %q", string(format)).WithHint("it is %s, %s or %s", NDJSON, CloudEvents, EventBatch)
	}
	out := bufio.NewWriterSize(w, 32<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	n := 0
	put := func(s string) {
		if format == EventBatch {
			_, _ = out.WriteString(s) // its error comes again with the flush
		}
	}
	put("[")
	err := l.Each(ctx, q, func(r *Record) error {
		if n > 0 {
			put(",")
		}
		n++
		var v any = r
		if format != NDJSON {
			v = r.Event(source)
		}
		if err := enc.Encode(v); err != nil {
			return fault.Wrap(err, fault.QueryCanceled, "the client went away")
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	put("]\n")
	if err := out.Flush(); err != nil {
		return n, fault.Wrap(err, fault.QueryCanceled, "the client went away")
	}
	return n, nil
}
