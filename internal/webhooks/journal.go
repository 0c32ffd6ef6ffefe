package webhooks

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const goneStatus = http.StatusGone

// Outcome is what has become of a delivery.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Failing   Outcome = "failing" // it is tried again
	Lost      Outcome = "lost"    // it is not; [Webhooks.Replay] can
)

// Entry is one delivery's last try.
type Entry struct {
	Endpoint string        `json:"endpoint"`
	ID       string        `json:"id"`
	Event    string        `json:"event,omitempty"`
	At       time.Time     `json:"at"`
	Outcome  Outcome       `json:"outcome"`
	Status   int           `json:"status,omitempty"` // of the answer
	Tries    int           `json:"tries"`
	Took     time.Duration `json:"took"`
	Error    string        `json:"error,omitempty"`

	body []byte // kept until it is delivered
}

// Enqueuer takes deliveries that are to be tried from the beginning, all or none.
type Enqueuer interface {
	Enqueue(ctx context.Context, list []Delivery) error
}

// journal are the entries that are not stored yet: a crash loses them, and
// nothing else, for they are of deliveries that have worked.
type journal struct {
	mu   sync.Mutex
	list []Entry
}

const (
	maxJournal = 4096
	batch      = 256
)

// add takes an entry for the next batch; false: there are too many.
func (j *journal) add(e Entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.list) >= maxJournal {
		return false
	}
	j.list = append(j.list, e)
	return true
}

// take returns up to a batch of entries.
func (j *journal) take() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.list), batch)
	out := slices.Clone(j.list[:n])
	j.list = slices.Delete(j.list, 0, n)
	return out
}

// back returns entries that could not be stored, as far as there is room.
func (j *journal) back(list []Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = slices.Concat(list, j.list)
	j.list = j.list[:min(len(j.list), maxJournal)]
}

// run stores and prunes until the webhooks are closed.
func (w *Webhooks) run(ctx context.Context) {
	defer close(w.done)
	flush, prune := time.NewTicker(w.cfg.FlushEvery), time.NewTicker(10*time.Minute)
	defer flush.Stop()
	defer prune.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			err = w.Flush(ctx)
		case <-prune.C:
			err = w.Prune(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.cfg.Log.Error("the journal of webhooks could not be stored: it is tried again", "error", fault.From(err))
		}
	}
}

// Flush stores what has worked since the last time.
func (w *Webhooks) Flush(ctx context.Context) error {
	for {
		list := w.journal.take()
		if len(list) == 0 {
			return nil
		}
		if err := w.write(ctx, list, nil); err != nil {
			w.journal.back(list)
			return err
		}
	}
}

func (w *Webhooks) record(tx store.Tx, e *Entry) error {
	text := func(s string) value.Value {
		if s == "" {
			return value.Null()
		}
		return value.OfText(s)
	}
	body := value.Null()
	if e.body != nil {
		body = value.OfBytes(string(e.body))
	}
	_, err := tx.Exec(w.st.record, []value.Value{
		value.OfText(e.Endpoint), value.OfText(e.ID), millis(e.At), value.OfText(string(e.Outcome)), value.OfInt(int64(e.Status)),
		value.OfInt(int64(e.Tries)), value.OfInt(e.Took.Milliseconds()), text(e.Error), text(e.Event), body,
	})
	return err
}

func readEntry(row store.Row) Entry {
	e := Entry{
		Endpoint: string(row.Append(nil, 0)), ID: string(row.Append(nil, 1)), At: instant(row, 2), Outcome: Outcome(row.Append(nil, 3)), Status: int(row.Int(4)),
		Tries: int(row.Int(5)), Took: time.Duration(row.Int(6)) * time.Millisecond, Error: string(row.Append(nil, 7)), Event: string(row.Append(nil, 8)),
	}
	if !row.Null(9) {
		e.body = row.Append([]byte{}, 9)
	}
	return e
}

// Recent returns an endpoint's newest deliveries, 1000 at most.
func (w *Webhooks) Recent(ctx context.Context, endpoint string, n int) ([]Entry, error) {
	var out []Entry
	err := w.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(w.st.recent, []value.Value{value.OfText(endpoint), value.OfInt(int64(min(max(n, 1), 1000)))}, func(row store.Row) error {
			out = append(out, readEntry(row))
			return nil
		})
	})
	return out, err
}

// Replay hands the deliveries of an endpoint that were lost from a time on and
// before another to the queue, oldest first, and returns how many. They keep
// their ids, so that a receiver knows what it has seen. After an error or a crash
// some may be queued that count as lost still: a second replay sends them twice.
func (w *Webhooks) Replay(ctx context.Context, endpoint string, from, to time.Time, queue Enqueuer) (int, error) {
	if err := w.known(endpoint); err != nil {
		return 0, err
	}
	s, err := w.state(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	if !s.Disabled.IsZero() {
		return 0, fault.New(fault.Conflict, "the webhook %s is disabled", endpoint).WithDetails("%s", s.Reason).WithHint("enable it first")
	}
	if now := w.cfg.Now(); to.After(now) {
		to = now // those that are lost again while this runs are not of it
	}
	const page = 100
	total, last, lastID := 0, from.UnixMilli()-1, ""
	for {
		var list []Delivery
		err := w.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			return r.Query(w.st.lost, []value.Value{
				value.OfText(endpoint), millis(from), millis(to), value.OfInt(last), value.OfInt(last), value.OfText(lastID), value.OfInt(page),
			}, func(row store.Row) error {
				e := readEntry(row)
				last, lastID = e.At.UnixMilli(), e.ID
				list = append(list, Delivery{Endpoint: e.Endpoint, ID: e.ID, Event: e.Event, Body: e.body, Try: 1})
				return nil
			})
		})
		if err != nil || len(list) == 0 {
			return total, err
		}
		if err := queue.Enqueue(ctx, list); err != nil {
			return total, err
		}
		err = w.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			for i := range list {
				if _, err := tx.Exec(w.st.replayed, []value.Value{value.OfText(endpoint), value.OfText(list[i].ID)}); err != nil {
					return err
				}
			}
			return nil
		})
		total += len(list)
		if err != nil {
			return total, err
		}
	}
}

// Prune forgets deliveries that are too old, or too many, a batch at a time.
func (w *Webhooks) Prune(ctx context.Context) error {
	const some = 1000
	remove := func(st *store.Statement, args ...value.Value) error {
		for {
			var n int64
			err := w.cfg.Driver.Write(ctx, func(tx store.Tx) (err error) {
				n, err = tx.Exec(st, append(slices.Clone(args), value.OfInt(some)))
				return err
			})
			if err != nil || n < some {
				return err
			}
		}
	}
	if err := remove(w.st.expired, millis(w.cfg.Now().Add(-w.cfg.Keep))); err != nil {
		return err
	}
	w.mu.RLock()
	names := slices.Sorted(maps.Keys(w.endpoints))
	w.mu.RUnlock()
	for _, name := range names {
		floor := int64(-1)
		err := w.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			return r.Query(w.st.floor, []value.Value{value.OfText(name), value.OfInt(int64(w.cfg.KeepRows))}, func(row store.Row) error {
				floor = row.Int(0)
				return nil
			})
		})
		if err == nil && floor >= 0 {
			err = remove(w.st.surplus, value.OfText(name), value.OfInt(floor))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sorted(byName map[string]Status) []Status {
	return slices.SortedFunc(maps.Values(byName), func(a, b Status) int { return cmp.Compare(a.Endpoint, b.Endpoint) })
}

// namedTime is a time of an endpoint.
type namedTime struct {
	name string
	at   time.Time
}

// sortedTimes is in one order, so that two nodes do not wait for each other.
func sortedTimes(m map[string]time.Time) []namedTime {
	out := make([]namedTime, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, namedTime{name, m[name]})
	}
	return out
}
