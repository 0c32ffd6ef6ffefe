package queue

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	maxPrune  = 500                 // jobs that one transaction deletes
	keepTicks = 30 * 24 * time.Hour // how long is known that a tick was run
)

func (q *Queue) keepPruned(ctx context.Context) {
	t := time.NewTicker(q.cfg.Prune)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if _, err := q.prune(ctx); err != nil && ctx.Err() == nil {
			q.cfg.Log.Warn("finished jobs could not be deleted: it is tried again", "error", fault.From(err))
		}
	}
}

// prune deletes what has been kept for long enough, in small transactions, and
// returns how many jobs that were.
func (q *Queue) prune(ctx context.Context) (total int, err error) {
	now := q.cfg.Now()
	keep := max(q.cfg.KeepCompleted, 0)
	oldest := idAt(now.Add(-min(keep, q.cfg.KeepDead)))
	completed, dead := now.Add(-keep).UnixMicro(), now.Add(-q.cfg.KeepDead).UnixMicro()
	for after, n := ID(0), maxPrune; n == maxPrune; total += n {
		var list []ID
		err := q.write(ctx, func(tx store.Tx) error {
			list = list[:0]
			args := []value.Value{value.OfInt(int64(after)), value.OfInt(int64(oldest)), value.OfInt(completed), value.OfInt(dead), value.OfInt(maxPrune)}
			err := tx.Query(q.st.prunable, args, func(r store.Row) error { list = append(list, ID(r.Int(0))); return nil })
			if err != nil || len(list) == 0 {
				return err
			}
			_, err = tx.Exec(q.st.deleteJobs, []value.Value{q.st.idList(list)})
			return err
		})
		if err != nil {
			return total, err
		}
		if n = len(list); n > 0 {
			after = list[n-1]
		}
	}
	err = q.write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(q.st.deleteTicks, []value.Value{value.OfInt(now.Add(-keepTicks).UnixMicro())})
		return err
	})
	return total, err
}
