package queue

import (
	"context"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Cancel keeps a job that waits from ever running, and ends the context of one that
// runs, on another node within [Config.Poll]. One that succeeds all the same is
// completed; else it is canceled, and not tried again. A job that has finished is
// a fault (fault.Conflict).
func (q *Queue) Cancel(ctx context.Context, id ID) error {
	var running bool
	err := q.write(ctx, func(tx store.Tx) error {
		key := value.OfInt(int64(id))
		for range 5 { // it may be taken, or fail, between the statements
			running = false
			n, err := tx.Exec(q.st.cancelWaiting, []value.Value{value.OfInt(q.now()), key})
			if err != nil || n > 0 {
				return err
			}
			running = true
			if n, err = tx.Exec(q.st.cancelRunning, []value.Value{key}); err != nil || n > 0 {
				return err
			}
			state, _, err := q.state(tx, id)
			if err != nil {
				return err
			}
			if state.Finished() {
				return fault.New(fault.Conflict, "the job %s is %s", id, state).WithHint("only a job that has not finished can be canceled")
			}
		}
		return fault.New(fault.Serialization, "the job %s changes all the time", id).WithHint("try again")
	})
	if err != nil {
		return err
	}
	if running {
		q.stopHeld(id, errCanceled)
	}
	q.events.tell(id)
	return nil
}

// Retry makes a dead or canceled job available again, with all its tries. It does
// not take its unique key again. Another job is a fault (fault.Conflict).
func (q *Queue) Retry(ctx context.Context, id ID) error {
	err := q.write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(q.st.retry, []value.Value{value.OfInt(q.now()), value.OfInt(int64(id))})
		if err != nil {
			return err
		}
		state, queue, err := q.state(tx, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "the job %s is %s", id, state).WithHint("only a dead or a canceled job can be run again")
		}
		if wake := q.wakes[queue]; wake != nil {
			tx.Keep(wake)
		}
		return nil
	})
	if err == nil {
		q.events.tell(id)
	}
	return err
}

func (q *Queue) state(r store.Reader, id ID) (state State, queue string, err error) {
	found := false
	err = r.Query(q.st.stateOf, []value.Value{value.OfInt(int64(id))}, func(row store.Row) error {
		state, queue, found = State(row.Int(0)), string(row.Append(nil, 1)), true
		return nil
	})
	if err == nil && !found {
		err = notThere(id)
	}
	return state, queue, err
}

// Pause keeps every node from taking jobs of a queue. Those that run go on.
func (q *Queue) Pause(ctx context.Context, queue string) error { return q.setPaused(ctx, queue, true) }

// Resume undoes [Queue.Pause].
func (q *Queue) Resume(ctx context.Context, queue string) error {
	return q.setPaused(ctx, queue, false)
}

func (q *Queue) setPaused(ctx context.Context, queue string, paused bool) error {
	if err := checkName("queue", queue); err != nil {
		return err
	}
	return q.write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(q.st.pause, []value.Value{value.OfText(queue), value.OfBool(paused)})
		if wake := q.wakes[queue]; err == nil && !paused && wake != nil {
			tx.Keep(wake)
		}
		return err
	})
}

// Paused are the queues that are paused.
func (q *Queue) Paused(ctx context.Context) (names []string, err error) {
	err = q.driver.Read(ctx, false, func(r store.Reader) error {
		names = names[:0]
		return r.Query(q.st.queues, nil, func(row store.Row) error {
			names = append(names, string(row.Append(nil, 0)))
			return nil
		})
	})
	return names, err
}
