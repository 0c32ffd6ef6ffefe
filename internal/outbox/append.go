package outbox

import (
	"encoding/json"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Append stores events with the transaction, in the given order: each is there
// when the transaction is, and not otherwise. The rows that they tell of have to
// be written before, in the same transaction: their locks give the order of the
// numbers. An event without an id or a time is given one; events may be appended
// again when a transaction is run again, and are not kept.
//
// Faults: Overloaded when the backlog is at its bound; BodyTooLarge for data
// beyond [MaxData].
func (o *Outbox) Append(tx store.Tx, events ...*Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := o.full(); err != nil {
		return err
	}
	for _, e := range events {
		if err := o.complete(e); err != nil {
			return err
		}
	}
	var few [insertWidth]value.Value
	args := few[:0]
	err := split(len(events), func(size, from, to int) error {
		args = args[:0]
		for _, e := range events[from:to] {
			args = append(args, value.OfText(e.ID), value.OfInt(e.Time.UnixMicro()), value.OfText(e.Type), value.OfText(e.Key),
				value.OfText(string(e.Data)), text(e.Schema), text(e.Subject), text(e.Trace))
		}
		return store.Send(tx, o.st.inserts[size], args)
	})
	if err != nil {
		return err
	}
	o.appended.Add(int64(len(events)))
	tx.Keep(o.waking)
	return nil
}

// insertWidth is the number of an event's columns.
const insertWidth = 8

// complete fills what is missing, and refuses what no consumer could be given.
func (o *Outbox) complete(e *Event) error {
	switch {
	case len(e.Data) > MaxData:
		return fault.New(fault.BodyTooLarge, "the data of the event %s has %d bytes", e.Type, len(e.Data)).
			WithHint("an event has %d bytes at most: leave large fields out of it, and let consumers read the row", MaxData)
	case !validType(e.Type):
		return internalFault("an event of the type " + e.Type)
	case len(e.Schema) > maxName || len(e.Trace) > maxName || len(e.ID) > maxName:
		return internalFault("an event " + e.Type + " with an endless name")
	}
	e.Key, e.Subject = storable(e.Key), storable(e.Subject)
	if e.Time.IsZero() {
		e.Time = o.cfg.Now()
	}
	if e.ID == "" {
		e.ID = value.NewUUID(e.Time, o.cfg.Random)
	}
	if len(e.Data) == 0 {
		e.Data = json.RawMessage("null")
	}
	return nil
}

// validType reports whether a type can stand in every broker's names.
func validType(s string) bool {
	if s == "" || len(s) > maxName/4 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// storable is a text as every store takes it, of bounded length.
func storable(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
