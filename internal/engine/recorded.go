package engine

import (
	"time"

	"github.com/pandobase/pando/internal/store"
)

// Recorded tells how the plans that are cached have been used since the time
// that it returns: what the advisor looks at. A plan that made room for others is
// forgotten with its use.
func (e *Engine) Recorded() ([]store.Recorded, time.Time) {
	var out []store.Recorded
	for _, p := range e.reads.plans.all() {
		if r, ok := p.Recorded(); ok {
			out = append(out, r)
		}
	}
	for _, p := range e.writes.plans.all() {
		if r, ok := p.Recorded(); ok {
			out = append(out, r)
		}
	}
	return out, e.since
}
