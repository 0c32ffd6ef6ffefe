package events

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
)

// envelope is CloudEvents 1.0 in its structured JSON form
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
// with the extensions sequence, partitionkey, distributed tracing and authcontext.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"` // the row
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	DataSchema      string          `json:"dataschema,omitempty"`
	Sequence        string          `json:"sequence"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	AuthID          string          `json:"authid,omitempty"` // the caller
	Data            json.RawMessage `json:"data"`
}

const specVersion = "1.0"

// Encode writes an event as a CloudEvent. source is a URI reference that names
// the application.
func Encode(source string, e *outbox.Event) ([]byte, error) {
	out, err := json.Marshal(&envelope{
		SpecVersion: specVersion, ID: e.ID, Source: source, Type: e.Type, Subject: e.Key, Time: e.Time.UTC().Format(time.RFC3339Nano),
		DataContentType: "application/json", DataSchema: e.Schema, Sequence: strconv.FormatInt(e.Seq, 10), PartitionKey: e.Key,
		TraceParent: e.Trace, AuthID: e.Subject, Data: e.Data,
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the event %s has data that is no JSON", e.ID)
	}
	return out, nil
}

// Decode reads a CloudEvent that Encode wrote.
func Decode(data []byte) (outbox.Event, error) {
	var c envelope
	if err := json.Unmarshal(data, &c); err != nil {
		return outbox.Event{}, fault.Wrap(err, fault.InvalidBody, "the message is no CloudEvent in JSON")
	}
	if c.SpecVersion != specVersion || c.ID == "" || c.Type == "" {
		return outbox.Event{}, fault.New(fault.InvalidBody, "the message is no CloudEvent of version 1.0")
	}
	at, err := time.Parse(time.RFC3339Nano, c.Time)
	if err != nil {
		return outbox.Event{}, fault.Wrap(err, fault.InvalidBody, "the CloudEvent %s has no time", c.ID)
	}
	seq, err := strconv.ParseInt(c.Sequence, 10, 64)
	if err != nil {
		seq = 0 // of another source: its order is that of arrival
	}
	return outbox.Event{
		Seq: seq, ID: c.ID, Type: c.Type, Key: c.PartitionKey, Time: at, Data: c.Data, Schema: c.DataSchema, Subject: c.AuthID, Trace: c.TraceParent,
	}, nil
}

// storable is a message as a text of the store.
func storable(body []byte) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(body), "\uFFFD"), "\x00", "\uFFFD")
}
