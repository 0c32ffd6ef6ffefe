package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Reads that come at the same time share a connection, a lane: they go out in
// one message and come back in one, which saves most of what a point read costs
// (the switches between the processes, and a transaction each). Whoever finds
// the lane free leads: he sends what waits, his own among it, and hands each its
// rows. Only statements that have proven quick use lanes; whatever fails, is
// slow, or answers much runs by itself instead, on a connection of its own.
const (
	laneBatch  = 64                     // statements in one message
	laneRows   = 32 << 10               // bytes of an answer that is quick
	laneMost   = 256 << 10              // beyond which an answer is not kept
	laneQuick  = 10 * time.Millisecond  // within which the first row of a quick statement is there
	laneSlow   = 20 * time.Millisecond  // after which the statements of a message have to prove themselves again
	laneStuck  = 5 * time.Millisecond   // after which nobody queues behind a message
	laneCancel = 100 * time.Millisecond // after which a message is given up
	laneProof  = 3                      // quick runs that a statement needs
	laneBad    = -1000                  // runs that one which was slow has to stay away
)

// lane is one shared connection.
type lane struct {
	p     *pool
	mu    sync.Mutex
	queue []*ticket
	since time.Time // when the message that runs was sent; zero: none does
	busy  bool
	shut  bool
	led   sync.WaitGroup // by those whose statements it takes
	c     *conn          // the leader's
}

// ticket is one statement on its way through a lane.
type ticket struct {
	st    *store.Statement
	args  []value.Value
	rows  []byte // each with its length before it
	proof *proof
	typed *prepared
	ok    bool // rows are all of the answer
	leads bool // nothing was sent: its owner leads now
	done  chan struct{}
}

//nolint:gochecknoglobals // a pool has to outlive the drivers that share it
var tickets = sync.Pool{New: func() any { return &ticket{done: make(chan struct{}, 1)} }}

func (t *ticket) release() {
	t.st, t.args, t.proof, t.typed, t.ok, t.leads = nil, nil, nil, nil, false, false
	if t.rows = t.rows[:0]; cap(t.rows) <= laneMost {
		tickets.Put(t)
	}
}

// lanes are the lanes of a pool.
type lanes struct {
	all   []*lane
	proof sync.Map // of *store.Statement: *proof
	count int      // of proof
	mu    sync.Mutex
}

// proof is what is known of a statement's runs.
type proof struct {
	mu    sync.Mutex
	quick int // runs in a row; below 0: how many more it stays away
}

func newLanes(p *pool) *lanes {
	l := &lanes{all: make([]*lane, max(1, min(runtime.GOMAXPROCS(0), cap(p.sem)/4)))}
	for i := range l.all {
		l.all[i] = &lane{p: p}
	}
	return l
}

// of finds what is known of a statement.
func (l *lanes) of(st *store.Statement) *proof {
	if p, ok := l.proof.Load(st); ok {
		return p.(*proof) //nolint:forcetypeassert // the map holds nothing else
	}
	l.mu.Lock()
	if l.count++; l.count > 4*maxStatements { // those in use prove themselves again
		l.proof.Clear()
		l.count = 0
	}
	l.mu.Unlock()
	p, _ := l.proof.LoadOrStore(st, &proof{})
	return p.(*proof) //nolint:forcetypeassert // the map holds nothing else
}

func (p *proof) holds() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quick < 0 {
		p.quick++
	}
	return p.quick >= laneProof
}

// ran notes a run by itself.
func (p *proof) ran(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.quick < 0:
	case took > laneQuick:
		p.quick = 0
	default:
		p.quick++
	}
}

// set begins the proof anew.
func (p *proof) set(quick int) {
	p.mu.Lock()
	p.quick = quick
	p.mu.Unlock()
}

// pick finds a lane that is free, or the shortest queue; nil where none moves.
func (l *lanes) pick(now time.Time) *lane {
	var best *lane
	least := laneBatch
	for _, ln := range l.all {
		ln.mu.Lock()
		n, stuck, busy := len(ln.queue), !ln.since.IsZero() && now.Sub(ln.since) > laneStuck, ln.busy
		ln.mu.Unlock()
		if !busy {
			return ln
		}
		if !stuck && n < least {
			best, least = ln, n
		}
	}
	return best
}

// ask sends a statement through a lane and waits for its rows. Without ok it has
// to run by itself.
func (l *lanes) ask(t *ticket) (ok bool) {
	ln := l.pick(time.Now())
	if ln == nil {
		return false
	}
	ln.mu.Lock()
	if ln.shut {
		ln.mu.Unlock()
		return false
	}
	ln.led.Add(1)
	defer ln.led.Done()
	if ln.busy {
		ln.queue = append(ln.queue, t)
		ln.mu.Unlock()
		<-t.done
		if !t.leads {
			return t.ok
		}
	} else {
		ln.busy = true
		ln.mu.Unlock()
		// Those that are about to ask come along.
		runtime.Gosched()
	}
	ln.lead(t)
	return t.ok
}

// lead sends what waits and hands each its rows.
func (ln *lane) lead(own *ticket) {
	ln.mu.Lock()
	n := min(len(ln.queue), laneBatch-1)
	batch := append(make([]*ticket, 0, n+1), own)
	batch = append(batch, ln.queue[:n]...)
	ln.queue = append(ln.queue[:0], ln.queue[n:]...)
	start := time.Now()
	ln.since = start
	ln.mu.Unlock()
	defer ln.hand(batch, start) // whatever happens: others wait
	ln.run(batch)
}

// hand wakes those whose statements have run, and passes the lane on.
func (ln *lane) hand(batch []*ticket, start time.Time) {
	ln.mu.Lock()
	ln.since = time.Time{} // from here on the watch lets the connection be
	c := ln.c
	ln.mu.Unlock()
	if c != nil {
		c.end()
	}
	judge(batch, time.Since(start) > laneSlow)
	for _, t := range batch[1:] {
		t.done <- struct{}{}
	}
	ln.mu.Lock()
	var next *ticket
	if len(ln.queue) > 0 {
		next = ln.queue[0]
		ln.queue = append(ln.queue[:0], ln.queue[1:]...)
		next.leads = true
	} else {
		ln.busy = false
	}
	ln.mu.Unlock()
	if next != nil {
		next.done <- struct{}{}
	}
}

// judge keeps statements away that answer much, and has all of a message that
// was slow prove themselves again.
func judge(batch []*ticket, slow bool) {
	for _, t := range batch {
		switch {
		case len(t.rows) > laneRows:
			t.proof.set(laneBad)
		case slow:
			t.proof.set(0)
		}
	}
}

// run sends the statements of a batch as one group of the protocol. At a
// failure the server skips the rest, which run by themselves then.
func (ln *lane) run(batch []*ticket) {
	c := ln.ready()
	if c == nil {
		return
	}
	for _, t := range batch {
		var err error
		if t.typed, err = c.prepare(t.st); err != nil {
			return // each by itself is told what is wrong with it
		}
	}
	for i, t := range batch {
		if c.put(t.st, t.typed, t.args) != nil {
			batch = batch[:i]
			break
		}
	}
	c.sync()
	if c.translate(c.flush()) != nil {
		return
	}
	at := 0
	for {
		kind, body, err := c.next()
		if err != nil {
			_ = c.translate(err) // the owners meet it again, and are told
			return
		}
		switch kind {
		case ansRow:
			if t := batch[at]; len(t.rows) < laneMost {
				t.rows = binary.BigEndian.AppendUint32(t.rows, uint32(len(body))) //nolint:gosec // bounded by maxMessage
				t.rows = append(t.rows, body...)
			}
		case ansComplete, ansEmpty:
			batch[at].ok = len(batch[at].rows) < laneMost
			at++
		case ansError:
			err := failure(body)
			_ = c.translate(err)
			c.retire = c.retire || state(err) == stateStalePlan // all is prepared anew
		case ansReady:
			return
		}
	}
}

// ready finds the lane's connection, or opens one; nil: there is none.
func (ln *lane) ready() *conn {
	c := ln.c
	if c != nil && (!c.usable() || c.age != ln.p.set.age.Load() || c.renew(ln.p.schema.Load()) != nil) {
		ln.p.discard(c)
		c = nil
	}
	if c == nil {
		ctx, cancel := context.WithTimeout(ln.p.set.base, patience)
		defer cancel()
		var err error
		if c, err = ln.p.connect(ctx); err != nil {
			c = nil
		}
	}
	ln.mu.Lock()
	ln.c = c
	ln.mu.Unlock()
	return c
}

// look gives up a message that takes too long: its statements run by
// themselves, and can then be canceled by themselves.
func (l *lanes) look(now time.Time) {
	for _, ln := range l.all {
		ln.mu.Lock()
		if ln.c != nil && !ln.since.IsZero() && now.Sub(ln.since) > laneCancel {
			ln.c.begin(ended{})
			ln.c.look(now)
		}
		ln.mu.Unlock()
	}
}

// ended is a context that has ended.
type ended struct{ context.Context }

func (ended) Err() error { return context.DeadlineExceeded }

// close closes the lanes once whoever leads has ended.
func (l *lanes) close() error {
	var errs []error
	for _, ln := range l.all {
		ln.mu.Lock()
		ln.shut = true
		ln.mu.Unlock()
		ln.led.Wait()
		if ln.c != nil {
			errs = append(errs, ln.c.close())
		}
	}
	return errors.Join(errs...)
}
