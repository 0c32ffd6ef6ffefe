package audit

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// ParseQuery reads a query from the parameters of a URL: actor, entity, key,
// action, outcome, door, from, to, before and limit. Another one, or one that
// comes twice, is an error.
func ParseQuery(v url.Values) (Query, error) {
	var q Query
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if len(v[name]) > 1 {
			return q, fault.New(fault.Parse, "%s is given %d times", name, len(v[name]))
		}
		if err := q.set(name, v.Get(name)); err != nil {
			return q, err
		}
	}
	return q, q.Fault()
}

func (q *Query) set(name, text string) (err error) {
	number := func() (n int64) {
		if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 1 {
			err = fault.New(fault.Parse, "%s is %q", name, text).WithHint("it is a whole number, at least 1")
		}
		return n
	}
	switch name {
	case "actor":
		q.Actor = text
	case "entity":
		q.Entity = text
	case "key":
		q.Key = text
	case "action":
		q.Action = text
	case "outcome":
		q.Outcome = Outcome(text)
	case "door":
		q.Door = text
	case "from":
		q.From, err = parseTime(name, text)
	case "to":
		q.To, err = parseTime(name, text)
	case "before":
		q.Before = number()
	case "limit":
		q.Limit = int(min(number(), MaxLimit+1))
	default:
		err = fault.New(fault.Parse, "there is no parameter %q", name).
			WithHint("there are actor, entity, key, action, outcome, door, from, to, before and limit")
	}
	return err
}

// parseTime reads a time of RFC 3339, or a day, which begins in UTC.
func parseTime(name, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.New(fault.Parse, "%s is %q", name, text).WithHint("write a day, 2026-01-02, or a time, 2026-01-02T03:04:05Z")
}
