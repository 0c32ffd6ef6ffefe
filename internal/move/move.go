// Package move takes an application's data from one store to another while it
// serves. Every change that a transaction makes is captured in the same
// transaction; the rows are copied in the order of their keys; what was
// captured is brought along; every row is compared; then writers wait for less
// than a second while the rest follows and the source is fenced, from where on
// its database refuses every writer. Until it is confirmed, a move can be taken
// back with all that was written since.
//
// Each step is durable before the next begins, on the side that it is about: a
// move that was stopped at any point, by whatever end of either side, goes on
// where it stood. One transaction of the source decides which store is the
// application's. The package works on two [store.Mover]s and knows no database.
package move

import (
	"context"
	"log/slog"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// Config says what is moved, and how. From and To are required.
type Config struct {
	From, To store.Mover
	ID       string // of the move; required by Run
	Name     string // of the target, for people: without its password

	// Freeze is how long writers may wait; a switch that would take longer is
	// given up and tried again. Default 1 s.
	Freeze time.Duration
	// Hold keeps the writers of this process waiting and returns when none is
	// under way; release lets them go on. nil: there are none.
	Hold func(ctx context.Context) (release func(), err error)
	// Ready is called before the switch is decided, with everything in the new
	// store: what is needed to serve from it is opened here. It must not write.
	Ready func(ctx context.Context) error
	// Switched is called once the switch is decided, before writers go on. It
	// cannot fail.
	Switched func()
	// Progress is told what is done; nil: nobody.
	Progress func(Progress)
	Log      *slog.Logger     // default: none
	Now      func() time.Time // default time.Now
}

func (c Config) withDefaults() Config {
	if c.Freeze <= 0 {
		c.Freeze = time.Second
	}
	if c.Hold == nil {
		c.Hold = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Switched == nil {
		c.Switched = func() {}
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Progress is where a running move stands.
type Progress struct {
	Step  Step   `json:"step"`
	Table string `json:"table,omitempty"`
	Done  int64  `json:"done"`  // rows
	Total int64  `json:"total"` // as they were counted before
}

// Result is what a move did.
type Result struct {
	Tables  []TableResult `json:"tables"`
	Rows    int64         `json:"rows"`
	Changes int64         `json:"changes"` // captured and brought along
	Copied  time.Duration `json:"copied_ns"`
	Took    time.Duration `json:"took_ns"`
	Frozen  time.Duration `json:"frozen_ns"` // how long writers waited
}

// TableResult is a table that was compared row by row.
type TableResult struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Hash  string `json:"hash"` // the sum of its rows' hashes, the same in both stores
}

// run is a move under way.
type run struct {
	cfg      Config
	from, to store.Mover
	src, dst store.MoveDialect
	state    State
	tables   []*table
	linked   bool // the target may have its references, by an attempt that was given up
	at       Progress
	result   Result
}

func newRun(c Config) *run {
	r := &run{cfg: c, from: c.From, to: c.To}
	r.src, _ = c.From.Dialect().(store.MoveDialect) // a Mover's dialect is one
	r.dst, _ = c.To.Dialect().(store.MoveDialect)
	return r
}

func (r *run) step(s Step) {
	r.at.Step, r.at.Table = s, ""
	r.cfg.Progress(r.at)
}

// Run moves the data and switches, or goes on with a move that was stopped.
// After an error the application is served from where it was before; what is
// done stands, unless the error is one of [Unfit]'s, after which nothing is left.
func Run(ctx context.Context, c Config) (*Result, error) {
	began := time.Now()
	r := newRun(c.withDefaults())
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{r.copyAll, r.catchUp, r.finish, r.approach, r.cutOver} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	r.result.Took = time.Since(began)
	return &r.result, nil
}

// stopped is the fault of a move that can go on.
func stopped(err error, format string, args ...any) error {
	f := fault.Wrap(err, fault.From(err).Code, format, args...).WithDetails("%s", fault.From(err).Message)
	if d := fault.From(err).Details; d != "" {
		f.Details += ": " + d
	}
	return f.WithHint("the application is served as before; the same command goes on where this one stopped, `pando move abort` takes everything back")
}
