package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// Why the context of a try has ended before its time.
var (
	errCanceled = errors.New("the job was canceled")
	errLost     = errors.New("the node has lost its lease")
	errStopping = errors.New("the node stops")
)

// errNodeLost is what a try fails with whose node is gone.
var errNodeLost = errors.New("the node that ran the job is gone")

// verdict is an error that says what is to become of its job.
type verdict struct {
	err     error
	after   time.Duration
	discard bool
	snooze  bool
}

func (v *verdict) Error() string {
	if v.err == nil {
		return "the job waits for " + v.after.String()
	}
	return v.err.Error()
}

func (v *verdict) Unwrap() error { return v.err }

// RetryAfter is a failed try whose next one is due after d, unless it was the
// last.
func RetryAfter(d time.Duration, err error) error { return &verdict{err: err, after: max(d, 0)} }

// Discard is a failed try after which no other is of use: the job is dead.
func Discard(err error) error { return &verdict{err: err, discard: true} }

// Snooze puts the job off for d. The try does not count.
func Snooze(d time.Duration) error { return &verdict{after: max(d, 0), snooze: true} }

// Unknown is the failed try of a job whose kind the node has no handler for.
// Another one may have it: the job is tried again.
func Unknown(kind string) error {
	return fault.New(fault.NotFound, "there is no handler of jobs %q", kind).
		WithHint("nodes of another release may have it; where none has, cancel the job")
}

// Work is one try of a job, as its handler sees it. It is safe for concurrent
// use.
type Work struct {
	ID       ID
	Kind     string
	Queue    string
	Args     []byte
	Try      int // counted from 1
	Attempts int // tries after which the job is dead
	Caller   []byte
	Trace    string

	q *Queue
	t *try
}

// Progress says how far the try has come, from 0 to 1, and a text for people, of
// which 1 KiB is kept. It returns at once: what was said last is stored within
// half a second.
func (w *Work) Progress(fraction float64, message string) {
	if len(message) > 1<<10 {
		message = message[:1<<10]
	}
	if !utf8.ValidString(message) || !storable(message) {
		message = ""
	}
	w.t.mu.Lock()
	fresh := !w.t.told
	w.t.told, w.t.fraction, w.t.message = true, int64(min(max(fraction, 0), 1)*1e6), message
	w.t.mu.Unlock()
	if fresh {
		w.q.progress.Add(1)
		w.q.completing.poke()
	}
}

// try is a job that this node holds.
type try struct {
	id               ID
	node, attempt    int64 // what tells it from every other try of the job
	queue, kind      string
	args, caller     []byte
	trace, errors    string
	priority, due    int64
	failed, attempts int64
	timeout          time.Duration
	unique           bool
	pool             *pool
	stop             context.CancelCauseFunc
	ctx              context.Context //nolint:containedctx // the handler's
	ended            bool            // the handler has returned; under the queue's lock
	mu               sync.Mutex
	told             bool // there is progress to store
	fraction         int64
	message          string
}

// begin runs the try on a goroutine of its own. [Queue.await] waits for it.
func (t *try) begin(q *Queue) {
	t.ctx, t.stop = context.WithCancelCause(q.work)
	go func() {
		o := q.run(t)
		t.stop(nil)
		q.mu.Lock()
		t.ended = true
		q.mu.Unlock()
		q.completing.add(t, o)
		q.mu.Lock()
		t.pool.used--
		more := t.pool.more
		q.mu.Unlock()
		if more {
			q.poke()
		}
	}()
}

// run calls the handler and judges what has come of it.
func (q *Queue) run(t *try) outcome {
	ctx, cancel := context.WithTimeoutCause(t.ctx, t.timeout, context.DeadlineExceeded)
	defer cancel()
	w := &Work{ID: t.id, Kind: t.kind, Queue: t.queue, Args: t.args, Try: int(t.failed) + 1, Attempts: int(t.attempts), Caller: t.caller, Trace: t.trace, q: q, t: t}
	result, err := call(ctx, q.handler, w)
	if err == nil {
		return q.succeeded(t, result)
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCanceled):
		return outcome{kind: canceledJob}
	case errors.Is(cause, errLost), errors.Is(cause, errStopping):
		return outcome{kind: givenBack}
	case cause != nil:
		err = fmt.Errorf("the try took longer than its %s: %w", t.timeout, err)
	}
	return q.failed(t, err, q.now())
}

// call keeps a panic of a handler from taking the node down.
func call(ctx context.Context, h Handler, w *Work) (result []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(ctx, w)
}

func (q *Queue) succeeded(t *try, result []byte) outcome {
	o := outcome{kind: completed, result: result}
	if len(result) > q.cfg.MaxResult {
		o.result = nil
		o.errors = addError(t.errors, TryError{
			Try: int(t.failed) + 1, At: q.cfg.Now().UTC(),
			Error: fmt.Sprintf("the result has %d bytes and was not kept: at most %d are", len(result), q.cfg.MaxResult),
		})
	}
	return o
}

// failed judges a try that has failed.
func (q *Queue) failed(t *try, err error, now int64) outcome {
	var v *verdict
	if errors.As(err, &v) && v.snooze {
		return outcome{kind: retried, at: now + v.after.Microseconds(), failed: t.failed, errors: t.errors, snoozed: true}
	}
	o := outcome{kind: retried, failed: t.failed + 1}
	o.errors = addError(t.errors, TryError{Try: int(o.failed), At: time.UnixMicro(now).UTC(), Error: err.Error()})
	switch {
	case v != nil && v.discard, o.failed >= t.attempts:
		o.kind = deadJob
	case v != nil:
		o.at = now + v.after.Microseconds()
	case errors.Is(err, errNodeLost):
		o.at = now
	default:
		o.at = now + q.backoff(o.failed).Microseconds()
	}
	return o
}

// backoff is the wait behind the n-th try that failed.
func (q *Queue) backoff(n int64) time.Duration {
	d := q.cfg.MaxBackoff
	if n < 40 {
		if b := q.cfg.Backoff << (n - 1); b > 0 && b>>(n-1) == q.cfg.Backoff {
			d = min(d, b)
		}
	}
	return time.Duration(float64(d) * (0.8 + 0.4*q.cfg.Random()))
}
