package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// run is one call while it runs: the event loop of its isolate. What the
// loop's goroutine alone touches needs no lock; ready and what is below it does.
type run struct {
	rt     *Runtime
	iso    *isolate
	snap   *snapshot
	ctx    context.Context
	call   *Call
	bundle *bundle
	logger *slog.Logger

	loading  bool // a module's own code runs: there is nobody to call for
	settled  bool
	ok       bool
	text     string
	arrival  time.Time
	began    time.Time
	turn     time.Time // since when it computes
	computed time.Duration
	calls    int
	waiting  []request // calls of the host that wait for others to end
	flying   int
	timers   timers
	logged   struct{ lines, bytes int }

	mu    sync.Mutex
	ready []event
	wake  chan struct{}
	wg    sync.WaitGroup // calls of the host
}

// request is a call of the host that the function made.
type request struct {
	id     float64
	method string
	body   string
}

// event is what the loop hands to the prelude.
type event struct {
	id   float64
	ok   bool
	text []byte
}

// errStopped is what a tick stops the guest with.
var errStopped = errors.New("stopped")

// enter waits for the call's turn to compute.
func (r *run) enter() error {
	if err := r.rt.gate.enter(r.ctx, age(r.computed)); err != nil {
		return err
	}
	r.turn = time.Now()
	return nil
}

// mustEnter waits for a turn, and reports whether the call may go on. It has one
// in either case, for whoever leaves.
func (r *run) mustEnter() bool {
	if r.enter() == nil {
		return true
	}
	r.rt.gate.force()
	r.turn = time.Now()
	return false
}

func (r *run) enterOrStop() {
	if !r.mustEnter() {
		panic(errStopped)
	}
}

func (r *run) leave() {
	r.computed += time.Since(r.turn)
	r.rt.gate.leave()
}

// tick is called by the guest again and again while it computes.
func (r *run) tick() {
	runtime.Gosched()
	if r.ctx.Err() != nil {
		panic(errStopped)
	}
	if since := time.Since(r.turn); r.rt.gate.waits(age(r.computed+since), since) {
		r.leave()
		r.enterOrStop()
	}
}

// execute runs the function to its end, in an isolate that is as its snapshot.
func (r *run) execute() (json.RawMessage, error) {
	if err := r.enter(); err != nil {
		return nil, r.stopped()
	}
	r.iso.run = r
	err := r.loop()
	r.iso.run = nil
	r.leave()
	if err != nil {
		return nil, r.failed(err)
	}
	if !r.ok {
		return nil, r.thrown(r.text)
	}
	if !json.Valid([]byte(r.text)) { // only a function that broke the prelude gets here
		return nil, fault.New(fault.Internal, "the function's result is not JSON")
	}
	return json.RawMessage(r.text), nil
}

// loop starts the function and hands it events until it is settled. It is
// entered and left with the turn to compute.
func (r *run) loop() error {
	if _, err := r.iso.call("qjs_set_memory_limit", uint64(r.call.Limits.Memory)); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	for {
		if err := r.iso.jobs(); err != nil {
			return err
		}
		if r.settled {
			return nil
		}
		if r.ctx.Err() != nil {
			return errStopped
		}
		r.launch()
		events, err := r.await()
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := r.deliver("result", e); err != nil {
				return err
			}
			if err := r.iso.jobs(); err != nil {
				return err
			}
		}
		for id := range r.timers.due(r.rt.cfg.Now()) {
			kind := "timer"
			if id == abortTimer {
				kind = "abort"
			}
			if err := r.deliver(kind, event{id: id}); err != nil {
				return err
			}
			if err := r.iso.jobs(); err != nil {
				return err
			}
		}
	}
}

// abortTimer is the timer of the context's signal.
const abortTimer = -1

// start hands the call to the prelude.
func (r *run) start() error {
	var seed [16]byte
	r.rt.cfg.Random(seed[:])
	export := r.call.Export
	if export == "" {
		export = "default"
	}
	about := struct {
		Export   string          `json:"export"`
		Kind     Kind            `json:"kind"`
		Entry    string          `json:"entry"`
		Context  json.RawMessage `json:"context"`
		Deadline int64           `json:"deadline"` // ms since 1970
		Seed     []int           `json:"seed"`
		Output   int64           `json:"output"`
	}{Export: export, Kind: r.call.Kind, Entry: r.call.Entry, Context: r.call.Context, Output: r.call.Limits.Output}
	if deadline, ok := r.ctx.Deadline(); ok {
		now := r.rt.cfg.Now()
		left := time.Until(deadline)
		about.Deadline = now.Add(left).UnixMilli()
		r.timers.add(abortTimer, now.Add(left-min(left/10, time.Second)))
	}
	for _, b := range seed {
		about.Seed = append(about.Seed, int(b))
	}
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return r.dispatch("start", text, r.call.Input)
}

// dispatch hands texts to the prelude.
func (r *run) dispatch(kind string, texts ...[]byte) error {
	args := make([]uint32, 0, 3)
	for _, text := range append([][]byte{[]byte(kind)}, texts...) {
		v, err := r.iso.newString(text)
		if err != nil {
			return err
		}
		args = append(args, v)
	}
	v, err := r.iso.invoke(r.snap.dispatch, r.snap, args...)
	if err != nil {
		return err
	}
	return r.iso.freeValue(v)
}

func (r *run) deliver(kind string, e event) error {
	ok := "1"
	if !e.ok {
		ok = ""
	}
	id := strconv.FormatFloat(e.id, 'f', -1, 64)
	return r.dispatch(kind, []byte(id), []byte(ok), e.text)
}

// await waits, without the turn to compute, until there are events to hand
// over or a timer is due.
func (r *run) await() ([]event, error) {
	if events := r.arrived(); len(events) > 0 || r.timers.isDue(r.rt.cfg.Now()) {
		return events, nil
	}
	if r.flying == 0 && !r.timers.waits() {
		return nil, errNeverAnswers
	}
	r.leave()
	events, err := r.wait()
	if !r.mustEnter() {
		return nil, errStopped
	}
	return events, err
}

var errNeverAnswers = errors.New("the function never answers: it waits for a promise that nothing is left to fulfil")

func (r *run) wait() ([]event, error) {
	var due <-chan time.Time
	if next, ok := r.timers.next(); ok {
		t := time.NewTimer(next.Sub(r.rt.cfg.Now()))
		defer t.Stop()
		due = t.C
	}
	for {
		select {
		case <-r.wake:
			if events := r.arrived(); len(events) > 0 {
				return events, nil
			}
		case <-due:
			return r.arrived(), nil
		case <-r.ctx.Done():
			return nil, errStopped
		}
	}
}

// arrived takes the events that are there.
func (r *run) arrived() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.ready
	r.ready = nil
	r.flying -= len(events)
	return events
}

// launch starts calls of the host, as many as may run at a time.
func (r *run) launch() {
	for len(r.waiting) > 0 && r.flying < r.call.Limits.Concurrent {
		q := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.flying++
		r.wg.Go(func() {
			e := r.ask(q)
			r.mu.Lock()
			r.ready = append(r.ready, e)
			r.mu.Unlock()
			select {
			case r.wake <- struct{}{}:
			default:
			}
		})
	}
}

// ask calls the host.
func (r *run) ask(q request) (e event) {
	e.id = q.id
	answer, err := r.host(q)
	if err == nil && int64(len(answer)) > r.call.Limits.Output {
		err = fault.New(fault.LimitExceeded, "the answer to %s has %d bytes; a function takes %d", q.method, len(answer), r.call.Limits.Output).
			WithHint("ask for less: fewer fields, a limit, a page at a time")
	}
	if err != nil {
		e.text = problemJSON(fault.From(err))
		return e
	}
	if len(answer) == 0 {
		answer = []byte("null")
	}
	e.ok, e.text = true, answer
	return e
}

func (r *run) host(q request) (answer []byte, err error) {
	if r.call.Host == nil {
		return nil, fault.New(fault.NotImplemented, "there is no %s here", q.method)
	}
	defer func() {
		if p := recover(); p != nil { // of the host: it ends the call that asked, not the process
			answer, err = nil, fmt.Errorf("panic in %s: %v", q.method, p)
		}
	}()
	return r.call.Host.Call(r.ctx, q.method, []byte(q.body))
}

// request takes a call of the host from the function.
func (r *run) request(q request) error {
	if r.loading {
		return errLoading
	}
	if r.calls >= r.call.Limits.Calls {
		return fmt.Errorf("the function called out %d times, which is its limit", r.calls)
	}
	r.calls++
	if int64(len(q.body)) > r.call.Limits.Output {
		return fmt.Errorf("%s with %d bytes, which is more than the limit of %d", q.method, len(q.body), r.call.Limits.Output)
	}
	r.waiting = append(r.waiting, q)
	return nil
}

var errLoading = errors.New("a module's own code cannot call out, wait or ask for randomness, for what it makes is shared by all calls: do it in the function")
