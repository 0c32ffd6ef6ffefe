package policy

import (
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// event compiles when a write is an event. It knows the row alone: events are
// judged in the write, which must not wait for questions of relations.
func (c *compiler) event(ev *model.Event) {
	if ev.Entity == nil {
		return
	}
	t := c.template(ev.Entity, ev.When, scope{
		what: "an event's `when`", row: true, old: ev.Action == "update", auth: true, request: true, now: true,
	})
	if t != nil {
		t.event = true
		c.rules.events[ev] = t
	}
}

// Happened tells whether a write that an identity made is an event: its `when`
// is absent or true; unknown is no. row is the row as it is now, or was before it was
// deleted; old is the row before an update, else nil.
//
// The only fault is NumericOutOfRange, where arithmetic leaves its type's range.
func (r *Rules) Happened(ev *model.Event, id *Identity, row, old Row) (bool, error) {
	t := r.events[ev]
	if t == nil {
		return ev.When == nil, nil
	}
	var space [32]byte
	key, values := t.bind(&subject{id: id}, space[:0], nil)
	res := t.fold(key)
	if res.truth != Unknown {
		return res.truth == True, nil
	}
	res.once.Do(res.match)
	if res.err != nil {
		return false, res.err
	}
	if old == nil {
		old = nothing{}
	}
	truth, err := res.matcher.judge(input{row: row, old: old, values: values})
	return truth == True, err
}

// nothing is a row that is not there.
type nothing struct{}

// Value implements [Row].
func (nothing) Value(*model.Field) value.Value { return value.Null() }
