package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// maxCounted bounds the different refusals that are counted apart in a minute.
const maxCounted = 1000

// counted is what refusals are counted by.
type counted struct {
	key, rule string
	minute    int64 // since 1970
}

// counts are the refusals that are not stored yet.
type counts struct {
	mu sync.Mutex
	n  map[counted]int64
}

// Count counts a refusal of a caller who is not known, or who is refused too
// often ([Log.Refuse]). key names the API key that was used, if it is one ("none"
// when empty), or the caller; rule is the fault's code, or the rule.
// It costs no write: what was counted is stored once a minute and at Close, and
// a crash loses it.
func (l *Log) Count(key, rule string) {
	if key == "" {
		key = "none"
	}
	c := counted{storable(cut(key)), storable(cut(rule)), l.cfg.Now().Unix() / 60}
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	if l.counts.n == nil {
		l.counts.n = map[counted]int64{}
	}
	if _, ok := l.counts.n[c]; !ok && len(l.counts.n) >= maxCounted {
		c.key, c.rule = "other", "other"
	}
	l.counts.n[c]++
}

// Flush stores what was counted.
func (l *Log) Flush(ctx context.Context) error {
	l.counts.mu.Lock()
	batch := l.counts.n
	l.counts.n = nil
	l.counts.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	// Two nodes lock the rows in one order, so that neither waits for the other.
	order := slices.SortedFunc(maps.Keys(batch), func(a, b counted) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.key, b.key), cmp.Compare(a.rule, b.rule))
	})
	err := l.driver.Write(ctx, func(tx store.Tx) error {
		for _, c := range order {
			if _, err := tx.Exec(l.st.count, []value.Value{value.OfText(c.key), value.OfText(c.rule), value.OfInt(c.minute), value.OfInt(batch[c])}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	l.counts.mu.Lock() // they are counted once more, at the next flush
	defer l.counts.mu.Unlock()
	if l.counts.n == nil {
		l.counts.n = map[counted]int64{}
	}
	for c, n := range batch {
		l.counts.n[c] += n
	}
	return err
}
