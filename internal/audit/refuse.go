package audit

import (
	"context"
	"sync"
)

// How many denials of one caller have a record of their own in a minute.
const (
	maxDenials       = 100
	maxDenialsByRule = 10
)

// Refuse writes the record of a denial, in a transaction of its own, while the
// caller has few of them: the first ten by one rule in a minute, and the first
// hundred by all rules together. Those beyond are counted, as [Log.Count] counts,
// so that nobody fills the disk by asking for what is not his.
func (l *Log) Refuse(ctx context.Context, r *Record) error {
	rule := r.Rule
	if rule == "" {
		rule = r.Action
	}
	if !l.denials.take(r.actor(), rule, l.cfg.Now().Unix()/60) {
		l.Count(r.actor(), rule)
		return nil
	}
	rec := *r
	rec.Outcome = Denied
	return l.Write(ctx, &rec)
}

// denials are those of the running minute that have a record.
type denials struct {
	mu     sync.Mutex
	minute int64
	by     map[string]*denied // caller -> how many
}

type denied struct {
	all  int
	rule map[string]int
}

// take reports whether a further denial gets a record.
func (d *denials) take(caller, rule string, minute int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil || d.minute != minute {
		d.minute, d.by = minute, map[string]*denied{}
	}
	n := d.by[caller]
	if n == nil {
		if len(d.by) >= maxCounted {
			return false
		}
		n = &denied{rule: map[string]int{}}
		d.by[caller] = n
	}
	if n.all >= maxDenials || n.rule[rule] >= maxDenialsByRule {
		return false
	}
	n.all++
	n.rule[rule]++
	return true
}
