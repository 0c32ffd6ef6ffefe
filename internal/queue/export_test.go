package queue

import "context"

// Tick looks at the clock as the loop does.
func (q *Queue) Tick(ctx context.Context) error {
	_, err := q.tick(ctx)
	return err
}

// Prune deletes what has been kept for long enough.
func (q *Queue) Prune(ctx context.Context) (int, error) { return q.prune(ctx) }

// Look looks at the clock and the store as the loops do now and then.
func (q *Queue) Look(ctx context.Context) error {
	q.poke()
	return q.look(ctx)
}

// TakeIDs makes ids.
func (q *Queue) TakeIDs(n int) (out []ID) {
	q.ids.take(q.cfg.Now(), n, func(_ int, id ID) { out = append(out, id) })
	return out
}
