package queue

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Receipt is what is known of a job that was enqueued.
type Receipt struct {
	ID ID
	// Existed tells that nothing was added: the id is the one of the job that
	// holds the unique key.
	Existed bool
}

// Enqueue adds jobs to the transaction, and answers a receipt for each, in order.
// They are taken once the transaction is on disk. A job that cannot be stored is
// an error, and none is added then.
func (q *Queue) Enqueue(tx store.Tx, jobs ...Job) ([]Receipt, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	list := make([]Job, len(jobs))
	copy(list, jobs)
	for i := range list {
		if err := list[i].check(&q.cfg); err != nil {
			return nil, err
		}
	}
	now := q.cfg.Now()
	out := make([]Receipt, len(list))
	q.ids.take(now, len(list), func(i int, id ID) { out[i].ID = id })
	in := inserter{q: q, tx: tx, now: now, args: make([]value.Value, 0, 13*min(len(list), insertSizes[0]))}
	for from := 0; from < len(list); {
		if list[from].Unique != "" {
			if err := in.unique(&list[from], &out[from]); err != nil {
				return nil, err
			}
			from++
			continue
		}
		to := from + 1
		for to < len(list) && list[to].Unique == "" {
			to++
		}
		if err := in.plain(list[from:to], out[from:to]); err != nil {
			return nil, err
		}
		from = to
	}
	q.announce(tx, list, out, now)
	return out, nil
}

// Add enqueues jobs in a transaction of their own and returns when they are on disk.
func (q *Queue) Add(ctx context.Context, jobs ...Job) (out []Receipt, err error) {
	err = q.write(ctx, func(tx store.Tx) (err error) {
		out, err = q.Enqueue(tx, jobs...)
		return err
	})
	return out, err
}

// announce has the commit wake up what takes the jobs.
func (q *Queue) announce(tx store.Tx, list []Job, out []Receipt, now time.Time) {
	added, due := 0, int64(never)
	var woken [8]string // the queues whose commits have been told already, as far as they fit
	n := 0
jobs:
	for i := range list {
		if out[i].Existed {
			continue
		}
		added++
		if list[i].RunAt.After(now) {
			due = min(due, list[i].RunAt.UnixMicro())
			continue
		}
		for _, name := range woken[:n] {
			if name == list[i].Queue {
				continue jobs
			}
		}
		if n < len(woken) {
			woken[n] = list[i].Queue
			n++
		}
		if wake := q.wakes[list[i].Queue]; wake != nil {
			tx.Keep(wake)
		}
	}
	if due != never {
		tx.Keep(store.Committed(func() { q.expect(due) }))
	}
	if added > 0 {
		tx.Keep(store.Committed(func() { q.stats.enqueued.Add(int64(added)) }))
	}
}

// inserter writes jobs of one transaction.
type inserter struct {
	q    *Queue
	tx   store.Tx
	now  time.Time
	args []value.Value
}

func (in *inserter) row(j *Job, id ID) {
	state, at := Available, in.now
	if j.RunAt.After(in.now) {
		state, at = Scheduled, j.RunAt
	}
	until := value.Null()
	if j.Window > 0 {
		until = value.OfInt(in.now.Add(j.Window).UnixMicro())
	}
	in.args = append(in.args, value.OfInt(int64(id)), value.OfText(j.Queue), value.OfText(j.Kind), value.OfInt(int64(state)), value.OfInt(int64(j.Priority)),
		value.OfInt(at.UnixMicro()), value.OfInt(int64(j.Attempts)), value.OfInt(int64(j.Timeout)), until, null(j.uniqueKey()), null(j.Trace),
		bytesOrNull(j.Caller), bytesOrNull(j.Args))
}

// plain inserts jobs without unique keys.
func (in *inserter) plain(list []Job, out []Receipt) error {
	for len(list) > 0 {
		size := 0
		for insertSizes[size] > len(list) {
			size++
		}
		in.args = in.args[:0]
		n := insertSizes[size]
		for i := range n {
			in.row(&list[i], out[i].ID)
		}
		if err := store.Send(in.tx, in.q.st.inserts[size], in.args); err != nil {
			return err
		}
		list, out = list[n:], out[n:]
	}
	return nil
}

// unique inserts a job unless another one holds its key. The holder may let go of
// it meanwhile.
func (in *inserter) unique(j *Job, out *Receipt) error {
	key := value.OfText(j.uniqueKey())
	for range 5 {
		in.args = in.args[:0]
		in.row(j, out.ID)
		n, err := in.tx.Exec(in.q.st.insertUnique, in.args)
		if err != nil || n > 0 {
			return err
		}
		if n, err = in.tx.Exec(in.q.st.freeKey, []value.Value{key, value.OfInt(in.now.UnixMicro())}); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		err = in.tx.Query(in.q.st.holder, []value.Value{key}, func(r store.Row) error {
			out.ID, out.Existed = ID(r.Int(0)), true
			return nil
		})
		if err != nil || out.Existed {
			return err
		}
	}
	return fault.New(fault.Serialization, "jobs of one unique key come and go at the same time").WithHint("try again")
}
