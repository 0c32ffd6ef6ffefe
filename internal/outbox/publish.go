package outbox

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Publishable returns up to limit events that are not marked as published, in
// the order of their numbers. skip tells of those that the caller has published
// and not marked yet.
func (o *Outbox) Publishable(ctx context.Context, limit int, skip map[int64]struct{}) ([]Event, error) {
	var out []Event
	args := []value.Value{value.OfInt(int64(limit + len(skip)))}
	err := o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(o.st.pending, args, func(row store.Row) error {
			if _, ok := skip[row.Int(0)]; !ok && len(out) < limit {
				out = append(out, readEvent(row))
			}
			return nil
		})
	})
	return out, err
}

// Published marks events as published, unless the lease was lost.
func (o *Outbox) Published(ctx context.Context, l *Lease, seqs []int64) error {
	return o.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		if err := l.Check(tx); err != nil {
			return err
		}
		return o.mark(tx, &o.st.publish, seqs, value.OfInt(o.cfg.Now().UnixMicro()))
	})
}

func (o *Outbox) mark(tx store.Tx, st *sized, seqs []int64, first ...value.Value) error {
	return split(len(seqs), func(size, from, to int) error {
		args := append(make([]value.Value, 0, to-from+len(first)), first...)
		for _, seq := range seqs[from:to] {
			args = append(args, value.OfInt(seq))
		}
		return store.Send(tx, st[size], args)
	})
}

// Recheck makes rows publishable again which the broker acknowledged within the
// given time before its last acknowledgement, and does not have. held tells
// which of them it has: it is called at most once, with the time of the oldest
// acknowledgement in question. The node's clock matters to no more than how far
// back is looked. It returns how many there were.
func (o *Outbox) Recheck(ctx context.Context, window time.Duration, held func(since time.Time) (map[string]struct{}, error)) (int, error) {
	type row struct {
		seq int64
		id  string
	}
	var rows []row
	var oldest int64
	err := o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		rows, oldest = nil, 0
		return r.Query(o.st.published, []value.Value{value.OfInt(window.Microseconds())}, func(r store.Row) error {
			if at := r.Int(2); oldest == 0 || at < oldest {
				oldest = at
			}
			rows = append(rows, row{r.Int(0), string(r.Append(nil, 1))})
			return nil
		})
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	there, err := held(time.UnixMicro(oldest))
	if err != nil {
		return 0, err
	}
	var lost []int64
	for _, r := range rows {
		if _, ok := there[r.id]; !ok {
			lost = append(lost, r.seq)
		}
	}
	if len(lost) == 0 {
		return 0, nil
	}
	err = o.cfg.Driver.Write(ctx, func(tx store.Tx) error { return o.mark(tx, &o.st.reopen, lost) })
	return len(lost), err
}

const (
	purgeStep  = 500 // rows that one transaction deletes
	purgeSteps = 400 // transactions of one purge: the next goes on
)

// Purge deletes rows that were published longer ago than [Config.Keep], in small
// transactions. It returns how many.
func (o *Outbox) Purge(ctx context.Context) (deleted int64, err error) {
	before := o.cfg.Now().Add(-o.cfg.Keep).UnixMicro()
	for range purgeSteps {
		var n int64
		err = o.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			n, err = tx.Exec(o.st.purge, []value.Value{value.OfInt(purgeStep), value.OfInt(before)})
			return err
		})
		deleted += n
		if err != nil || n < purgeStep/2 {
			return deleted, err
		}
	}
	return deleted, nil
}

// Each calls each for the events that the outbox has behind the number after, in
// the order of their numbers. They are in several snapshots: an event whose
// transaction commits late may be missing though a higher number is there.
func (o *Outbox) Each(ctx context.Context, after int64, each func(*Event) error) error {
	const page = 500
	for {
		list := make([]Event, 0, page)
		err := o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			list = list[:0]
			return r.Query(o.st.from, []value.Value{value.OfInt(after), value.OfInt(page)}, func(row store.Row) error {
				list = append(list, readEvent(row))
				return nil
			})
		})
		if err != nil {
			return err
		}
		for i := range list {
			after = list[i].Seq
			if err := each(&list[i]); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}
