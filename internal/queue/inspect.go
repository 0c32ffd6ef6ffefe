package queue

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// infoColumns are what [readInfo] reads.
const infoColumns = `"id","kind","queue","state","priority","run_at","timeout","max_attempts","failed","started","finished","progress","message","caller","trace"`

func readInfo(r store.Row) Info {
	i := Info{
		ID: ID(r.Int(0)), Kind: string(r.Append(nil, 1)), Queue: string(r.Append(nil, 2)), State: State(r.Int(3)), Priority: int(r.Int(4)),
		RunAt: time.UnixMicro(r.Int(5)), Timeout: time.Duration(r.Int(6)), Attempts: int(r.Int(7)), Failed: int(r.Int(8)),
	}
	if !r.Null(9) {
		i.Started = time.UnixMicro(r.Int(9))
	}
	if !r.Null(10) {
		i.Finished = time.UnixMicro(r.Int(10))
	}
	if !r.Null(11) {
		i.Progress = float64(r.Int(11)) / 1e6
	}
	if !r.Null(12) {
		i.Message = string(r.Append(nil, 12))
	}
	if !r.Null(13) {
		i.Caller = r.Append([]byte{}, 13)
	}
	if !r.Null(14) {
		i.Trace = string(r.Append(nil, 14))
	}
	return i
}

// Get returns what is known of a job.
func (q *Queue) Get(ctx context.Context, id ID) (info Info, err error) {
	found := false
	err = q.driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(q.st.get, []value.Value{value.OfInt(int64(id))}, func(row store.Row) error {
			info, found = readInfo(row), true
			if !row.Null(15) {
				info.Args = row.Append([]byte{}, 15)
			}
			if !row.Null(16) {
				info.Result = row.Append([]byte{}, 16)
			}
			if !row.Null(17) {
				info.Errors = readErrors(string(row.Append(nil, 17)))
			}
			return nil
		})
	})
	if err == nil && !found {
		err = notThere(id)
	}
	return info, err
}

func notThere(id ID) error {
	return fault.New(fault.NotFound, "there is no job %s", id).WithHint("finished jobs are deleted after a while")
}

// Filter says which jobs are listed: those that meet all of it.
type Filter struct {
	Queue, Kind string
	States      []State // any of them; none: all
	Before      ID      // older ones than this: the last one of the page before
	Limit       int     // default 50, at most 1000
}

// List returns jobs, the newest first, without their arguments, results and
// errors. A page that is not full is the last one.
func (q *Queue) List(ctx context.Context, f Filter) (out []Info, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	if f.Limit > 1000 {
		return nil, fault.New(fault.LimitExceeded, "%d jobs were asked for", f.Limit).WithHint("ask for at most 1000, and go on with Before")
	}
	var where []string
	var args []value.Value
	add := func(cond string, v value.Value) { where, args = append(where, cond), append(args, v) }
	if f.Before > 0 {
		add(`"id"<?`, value.OfInt(int64(f.Before)))
	}
	if f.Queue != "" {
		add(`"queue"=?`, value.OfText(f.Queue))
	}
	if f.Kind != "" {
		add(`"kind"=?`, value.OfText(f.Kind))
	}
	if len(f.States) > 0 {
		any := make([]string, len(f.States))
		for i, s := range f.States { // literals, which the partial indexes are found by
			any[i] = `"state"=` + strconv.Itoa(int(s))
			if s >= Canceled {
				any[i] = `("state">=4 AND ` + any[i] + `)`
			}
		}
		where = append(where, "("+strings.Join(any, " OR ")+")")
	}
	sql := `SELECT ` + infoColumns + ` FROM "pando_jobs"`
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	st := q.st.write(sql + ` ORDER BY "id" DESC LIMIT ` + strconv.Itoa(f.Limit))
	err = q.driver.Read(ctx, false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(st, args, func(row store.Row) error {
			out = append(out, readInfo(row))
			return nil
		})
	})
	return out, err
}

// watchers are those who wait for a change of a job.
type watchers struct {
	mu   sync.Mutex
	jobs map[ID][]chan struct{}
}

func (w *watchers) init() { w.jobs = map[ID][]chan struct{}{} }

// tell tells that a job has changed.
func (w *watchers) tell(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.jobs) == 0 {
		return
	}
	for _, c := range w.jobs[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (w *watchers) add(id ID) chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs[id] = append(w.jobs[id], c)
	return c
}

func (w *watchers) remove(id ID, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.jobs[id]
	for i := range list {
		if list[i] == c {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if w.jobs[id] = list; len(list) == 0 {
		delete(w.jobs, id)
	}
}

// Watch yields what is known of a job, first as it is and then each time it has
// changed, until it has finished or the caller stops. What happens on this node is
// seen at once, what happens on others after [Config.Poll]; states that come and
// go meanwhile are passed by. An error, the end of ctx among them, is the last
// that is yielded.
func (q *Queue) Watch(ctx context.Context, id ID) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		changed := q.events.add(id)
		defer q.events.remove(id, changed)
		every := q.cfg.Poll
		if !q.shared {
			every *= 10
		}
		t := time.NewTicker(every)
		defer t.Stop()
		var last Info
		for first := true; ; first = false {
			info, err := q.Get(ctx, id)
			if err != nil {
				yield(Info{}, err)
				return
			}
			if first || info.State != last.State || info.Failed != last.Failed || info.Progress != last.Progress || info.Message != last.Message || !info.Started.Equal(last.Started) {
				if !yield(info, nil) || info.State.Finished() {
					return
				}
			}
			last = info
			select {
			case <-ctx.Done():
				yield(Info{}, fault.Wrap(ctx.Err(), fault.QueryCanceled, "the job had not finished"))
				return
			case <-changed:
			case <-t.C:
			}
		}
	}
}
