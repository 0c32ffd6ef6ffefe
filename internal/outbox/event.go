package outbox

import (
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// Event is something that has happened to a row.
type Event struct {
	// Seq is the event's number: among those of one key it grows with the
	// commits. The store gives it; an event that is appended has none.
	Seq int64
	// ID is the event's own name, for good: a UUID of version 7 as text. Empty:
	// Append makes one.
	ID string
	// Type says what has happened, such as "orders.order_paid": letters, digits,
	// underscores and hyphens, in words that points separate.
	Type string
	// Key is the row, such as "orders.orders/42": consumers get the events of one
	// key in order. Empty: in no order.
	Key string
	// Time is when it happened, to the microsecond. Zero: Append takes the time.
	Time time.Time
	// Data is one JSON value, of MaxData bytes at most. Empty is null.
	Data json.RawMessage
	// Schema is a URN of the data's schema with its version. May be empty.
	Schema string
	// Subject is the caller on whose behalf it happened. May be empty.
	Subject string
	// Trace is the W3C traceparent of the request. May be empty.
	Trace string
}

// MaxData bounds an event's data, in bytes, so that the event with its envelope
// stays below 1 MiB, which every broker takes.
const MaxData = 1<<20 - 16<<10

// maxName bounds each of the other texts, in bytes.
const maxName = 1 << 10

// readEvent reads a row of the columns.
func readEvent(row store.Row) Event {
	text := func(i int) string { return string(row.Append(nil, i)) }
	return Event{
		Seq: row.Int(0), ID: text(1), Time: time.UnixMicro(row.Int(2)).UTC(), Type: text(3), Key: text(4),
		Data: row.Append(nil, 5), Schema: text(6), Subject: text(7), Trace: text(8),
	}
}
