package store

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// Session is a serializable transaction: it runs as if it had the store for
// itself at the moment of its commit.
//
// Until its first write it reads one state of the data, and nobody waits for it.
// Each statement is noted with a hash of the rows that it answered. The first
// write hands the session to the driver's writer, one behind the other: there
// the statements that were noted are asked again, unless nothing was written
// since, and where one answers other rows the session ends as a conflict
// (fault.Serialization). If all answer the same, what was read holds now, rows
// that were not there included, and from here on nobody else commits: the rest
// of the session, which may take [HoldTime], is alone. This is optimistic
// concurrency control with backward validation (H. T. Kung, J. T. Robinson, "On
// Optimistic Methods for Concurrency Control", ACM TODS 6(2), 1981), by what the
// reads answer and not by what they touched: no write that changes no answer is
// in the way.
//
// A plain write ([Driver.Write]) is in the same order. What one of another node
// of the store has looked at before its turn came, say in a policy's relation,
// it has seen as of then; sessions do not have that gap.
//
// A conflict is for good: every further call fails with it, and whoever began the
// session runs his code again in another one. Calls may come from several
// goroutines; they run one after the other. A function given to a session must
// not use it.
type Session struct {
	source SessionSource
	opt    SessionOptions
	ctx    context.Context //nolint:containedctx // the session's life
	lent   lent

	mu      sync.Mutex // held while a call runs, but for the wait for the disk
	ended   bool
	inside  time.Duration
	failed  error // what ended it before its time
	spoiled error // a write that failed in a session that is not eager

	seed  maphash.Seed
	reads []seen
	size  int // of reads' arguments, in bytes
	at    uint64
	pin   Reader // the state that it reads; nil: one statement told nothing of others yet
	unpin func()

	job     Handed // nil: nothing was written
	tx      Tx     // lent by the writer; nil: not yet, or not any more
	ran     bool   // the writer's: tx was lent
	granted chan error
	back    chan error // tells the writer how to go on
}

// seen is a statement with what it answered.
type seen struct {
	st   *Statement
	args []value.Value
	rows int
	sum  uint64
	size int        // of the rows, in bytes
	part bool       // no more rows than that were looked at
	code fault.Code // what it failed with
}

const (
	maxSeen     = 4096    // statements before the first write,
	maxSeenSize = 4 << 20 // with so many bytes of arguments
)

// NewSession begins a session on a source. It is for drivers.
func NewSession(ctx context.Context, source SessionSource, opt SessionOptions) *Session {
	s := &Session{
		source: source, opt: opt, ctx: ctx, seed: maphash.MakeSeed(),
		granted: make(chan error, 1), back: make(chan error, 1),
	}
	s.lent.Context = ctx
	return s
}

// Read calls fn with a reader of the session's state, its own writes among it.
func (s *Session) Read(ctx context.Context, fn func(Reader) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.clock(time.Now())
	if s.job == nil && s.opt.Ahead && !s.opt.ReadOnly {
		if err := s.hand(); err != nil { //nolint:contextcheck // the rest of the session is not the call's
			s.failed = err
			return err
		}
	}
	if s.job != nil {
		return s.command(false, func(tx Tx) error { return fn(tx) })
	}
	err := fn(&noter{s: s, ctx: ctx})
	if s.failed != nil {
		return s.failed
	}
	return err
}

// Write calls fn in the session's transaction. fn's error undoes fn's changes
// alone, and the session goes on: see [SessionOptions.Eager] for when. fn must not
// wait.
func (s *Session) Write(ctx context.Context, fn func(Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.clock(time.Now())
	if s.opt.ReadOnly {
		return OnlyReads()
	}
	if s.job == nil {
		if err := s.hand(); err != nil { //nolint:contextcheck // the rest of the session is not the call's
			s.failed = err
			return err
		}
	}
	return s.command(true, func(tx Tx) error {
		if s.opt.Eager {
			return tx.Savepoint(func() error { return guarded(fn, tx) })
		}
		return guarded(fn, tx)
	})
}

// Commit ends the session; when it returns without an error, what was written is
// on disk. With an error nothing was written, unless that says that it is not
// known.
func (s *Session) Commit() error {
	s.mu.Lock()
	err := s.open(s.ctx)
	if fault.Is(err, fault.QueryCanceled) && s.job == nil && s.failed == nil {
		err = nil // nothing was written: what was read was one state
	}
	if err == nil {
		err = s.failed
	}
	job, lent := s.job, s.tx != nil
	s.end(err)
	s.mu.Unlock()
	if err != nil || job == nil || !lent {
		return err
	}
	<-job.Done()
	return job.Err()
}

func (s *Session) clock(start time.Time) { s.inside += time.Since(start) }

// Inside is how long the calls of Read and Write have taken, waits among it: the
// rest is the code's own time.
func (s *Session) Inside() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inside
}

// Failed is what has ended the session before its time, whether its code has
// looked or not; nil: nothing.
func (s *Session) Failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Rollback undoes what was written. Behind the end it does nothing.
func (s *Session) Rollback() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.end(errUndone)
	}
}

var errUndone = fault.New(fault.QueryCanceled, "the transaction was undone")

// end gives back what the session holds.
func (s *Session) end(err error) {
	s.ended = true
	s.release()
	if s.tx != nil {
		s.tx = nil
		s.back <- err
	}
}

func (s *Session) release() {
	if s.pin != nil {
		s.unpin()
		s.pin, s.unpin = nil, nil
	}
}

// open reports why the session takes no call.
func (s *Session) open(ctx context.Context) error {
	if s.ended {
		return fault.New(fault.BadRequest, "the transaction has ended").
			WithHint("wait for every call (await) before the function returns")
	}
	if s.failed == nil && s.spoiled != nil {
		s.failed = conflict(s.spoiled)
	}
	if s.failed != nil {
		return s.failed
	}
	for _, c := range []context.Context{ctx, s.ctx} {
		if err := c.Err(); err != nil {
			return fault.Wrap(err, fault.QueryCanceled, "the transaction was canceled")
		}
	}
	return nil
}

func conflict(cause error) *fault.Error {
	return fault.Wrap(cause, fault.Serialization, "a concurrent change is in the way").WithHint("try again")
}

// OnlyReads is the fault of a write in a transaction that only reads.
func OnlyReads() *fault.Error {
	return fault.New(fault.ReadOnlyTransaction, "the transaction only reads").
		WithHint("leave out `reads: true` where something is written")
}

func tooSlow() *fault.Error {
	return fault.New(fault.TransactionTimeout, "the transaction took more than %d ms behind its first write", HoldTime.Milliseconds()).
		WithHint("other writes wait from the first write on: write last, or set `transaction: false`, or leave the slow part to a job")
}

// guarded keeps a panic from taking the lent transaction along.
func guarded(fn func(Tx) error, tx Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(panicked{p, debug.Stack()}, fault.Internal, "an internal error occurred")
		}
	}()
	return fn(tx)
}

type panicked struct {
	value any
	stack []byte
}

func (p panicked) Error() string { return "panic in a transaction: " + string(p.stack) }

// lent is the context of what runs while the writer waits.
type lent struct {
	context.Context //nolint:containedctx // the session's
	until           atomic.Int64
}

func (l *lent) spent() bool {
	until := l.until.Load()
	return until != 0 && time.Now().UnixNano() > until
}

// Err implements [context.Context]: drivers look at it now and then.
func (l *lent) Err() error {
	if l.spent() {
		return context.DeadlineExceeded
	}
	return l.Context.Err()
}

// command runs a call on the transaction that the writer lends.
func (s *Session) command(writes bool, fn func(Tx) error) error {
	if s.tx == nil { // taken back
		return s.failed
	}
	err := fn(s.tx)
	if err == nil {
		return nil
	}
	switch {
	case s.lent.spent() && s.ctx.Err() == nil:
		s.failed = tooSlow()
	case fault.Is(err, fault.Serialization):
		s.failed = err
	case s.source.Ended(s.tx):
		if s.failed = err; !s.opt.Eager {
			s.failed = conflict(err)
		}
	case writes && !s.opt.Eager:
		s.spoiled = err
	}
	if s.failed != nil {
		return s.failed
	}
	return err
}

// hand hands the session to the writer, and waits for its turn.
func (s *Session) hand() error {
	s.release() // from here on it reads what is, or ends
	job, err := s.source.Hand(&s.lent, s.opt.Eager, s.run)
	if err != nil {
		return err
	}
	s.job = job
	select {
	case err = <-s.granted:
	case <-job.Done():
		err = job.Err()
	}
	return err
}

// run is the session's part of the writer's work: it lends the transaction until
// the session has ended, or its time has.
func (s *Session) run(tx Tx) error {
	if s.ran { // the work of the group is lost, and the code that did this part is not here
		return conflict(nil)
	}
	if err := s.validate(tx); err != nil {
		if !s.source.Ended(tx) { // else a neighbour's failure: it runs once more
			s.ran = true
			s.granted <- err
		}
		return err
	}
	s.ran = true
	s.lent.until.Store(time.Now().Add(statementTime).UnixNano())
	s.tx = tx
	s.granted <- nil
	t := time.NewTimer(HoldTime)
	defer t.Stop()
	select {
	case err := <-s.back:
		return err
	case <-t.C:
		return s.revoke(tooSlow())
	case <-s.ctx.Done():
		return s.revoke(fault.Wrap(s.ctx.Err(), fault.QueryCanceled, "the transaction was canceled"))
	}
}

// revoke takes the transaction back, once the call that runs has ended.
func (s *Session) revoke(why *fault.Error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return <-s.back
	}
	s.tx = nil
	if s.failed == nil {
		s.failed = why
	}
	return s.failed
}

// validate asks what was read once more.
func (s *Session) validate(r Tx) error {
	if len(s.reads) == 0 || s.source.Unchanged(s.at) {
		return nil
	}
	if v, ok := r.(Verifier); ok && s.verifiable() && v.Verifies() {
		return s.verify(v)
	}
	start := time.Now()
	for i := range s.reads {
		same, err := s.again(r, &s.reads[i])
		switch {
		case err != nil:
			return err
		case !same || time.Since(start) > HoldTime:
			return conflict(nil)
		}
	}
	return nil
}

// What is asked again without a wait has to be little: nobody reads the answers
// meanwhile.
const (
	maxVerified     = 8
	maxVerifiedSize = 8 << 10
)

func (s *Session) verifiable() bool {
	size := 0
	for i := range s.reads {
		o := &s.reads[i]
		if size += o.size; o.part || o.code != "" {
			return false
		}
	}
	return !s.opt.Eager && len(s.reads) <= maxVerified && size <= maxVerifiedSize
}

// verify is validate for answers that come later.
func (s *Session) verify(v Verifier) error {
	for i := range s.reads {
		was := &s.reads[i]
		var h maphash.Hash
		h.SetSeed(s.seed)
		rows, b := 0, make([]byte, 0, was.size)
		err := v.Verify(was.st, was.args, func(row Row) {
			b = s.source.Whole(b[:0], row)
			_, _ = h.Write(b) // it never fails
			rows++
		}, func() bool { return rows == was.rows && h.Sum64() == was.sum })
		if err != nil {
			return err
		}
	}
	return nil
}

var errEnough = errors.New("enough rows")

// again reports whether a statement answers what it has answered before.
func (s *Session) again(r Reader, was *seen) (bool, error) {
	if was.part && was.rows == 0 {
		return true, nil
	}
	now := seen{st: was.st, args: was.args}
	err := s.observe(r, &now, func(Row) error {
		if was.part && now.rows == was.rows || now.rows > was.rows {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
	case err != nil && !now.told():
		return false, err
	}
	return now.rows == was.rows && now.sum == was.sum && now.code == was.code, nil
}

// observe runs a statement and takes down what it answers.
func (s *Session) observe(r Reader, o *seen, each func(Row) error) error {
	var h maphash.Hash
	h.SetSeed(s.seed)
	var room [256]byte
	b := room[:0]
	err := r.Query(o.st, o.args, func(row Row) error {
		b = s.source.Whole(b[:0], row)
		_, _ = h.Write(b) // it never fails
		o.rows++
		o.size += len(b)
		err := each(row)
		o.part = o.part || err != nil
		return err
	})
	o.sum = h.Sum64()
	if err != nil && !o.part {
		o.code = fault.From(err).Code
	}
	return err
}

// told reports whether a statement's outcome says something of the data.
func (o *seen) told() bool {
	switch o.code {
	case fault.QueryCanceled, fault.TooManyConns, fault.StoreUnavailable, fault.StoreIO, fault.ShuttingDown, fault.Serialization, fault.Internal:
		return false
	default:
		return true
	}
}

// noter is the reader of a session that has not written.
type noter struct {
	s   *Session
	ctx context.Context //nolint:containedctx // that of the call
}

// Query implements [Reader].
func (n *noter) Query(st *Statement, args []value.Value, each func(Row) error) error {
	s := n.s
	if err := s.settle(); err != nil {
		return err
	}
	if len(s.reads) == 0 && s.pin == nil {
		s.at = s.source.At()
	}
	o := seen{st: st, args: slices.Clone(args)}
	ask := func(r Reader) error { return s.observe(r, &o, each) }
	var err error
	if s.pin != nil {
		err = ask(s.pin)
	} else {
		err = s.source.Read(n.ctx, false, ask)
	}
	if !o.told() || s.opt.ReadOnly {
		return err
	}
	return errors.Join(err, s.note(o))
}

// note keeps what has to be asked again.
func (s *Session) note(o seen) error {
	for i := range o.args {
		s.size += len(o.args[i].Str)
	}
	if len(s.reads) >= maxSeen || s.size > maxSeenSize {
		s.failed = fault.New(fault.LimitExceeded, "more than %d reads in one transaction before its first write", maxSeen).
			WithHint("read many rows with one request, or set `reads: true` or `transaction: false`")
		return s.failed
	}
	s.reads = append(s.reads, o)
	return nil
}

// settle sees to it that all statements see one state. A single one does by
// itself, so that a session which reads once takes no connection for its life;
// before the second, a state is taken in which the first answers the same. Where
// that has been in vain, and for one that only reads, the state is taken first.
func (s *Session) settle() error {
	if s.failed != nil {
		return s.failed
	}
	if s.pin != nil || len(s.reads) == 0 && !s.opt.Eager && !s.opt.ReadOnly {
		return nil
	}
	at := s.source.At()
	r, back, err := s.source.Snapshot(s.ctx)
	if err != nil {
		return err
	}
	s.pin, s.unpin, s.at = r, back, at
	if len(s.reads) == 0 {
		return nil
	}
	same, err := s.again(r, &s.reads[0])
	switch {
	case err != nil:
		s.failed = err // nothing else can be read in its place
	case !same:
		s.failed = conflict(nil)
	}
	return s.failed
}
