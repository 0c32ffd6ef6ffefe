package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Options says what Apply may do.
type Options struct {
	// Allow names the losses that are wanted, as Step.Destructive has them.
	Allow []string
	// Additive refuses every plan that does more than add: what a node may do
	// on its own while nodes of the old model still run. Allow is not looked at.
	Additive bool
	// AllowLock lets steps run that keep readers and writers of a large table
	// waiting for as long as it is rewritten (Step.Locks).
	AllowLock bool
	// Progress is told before each part, and of what takes long; nil: nobody.
	Progress func(Progress)
	// AfterPart is called when a part (from 1) is on disk. Its error stops the
	// migration, which the next plan goes on with. For tests.
	AfterPart func(part int) error
	// BeforeStage is called before each stage; its error stops the migration as
	// a crash would. For tests.
	BeforeStage func(store.Stage) error
	// Later receives the late parts of the plan (Step.Late), once what comes
	// before them is on disk; nil: Apply runs them itself. See [Rest].
	Later func(Rest)
	// Now gives the time for the history; default time.Now.
	Now func() time.Time
}

// Progress is where a running migration stands.
type Progress struct {
	Part, Of int // from 1
	Titles   []string
	Wait     Wait
	// Stage is set where the part is told of again: how far it is, or what it
	// waits for.
	Stage *store.StageProgress `json:",omitempty"`
}

// Rest runs the late parts of a migration. When ctx ends it returns the cause
// at the end of the part that is under way, which takes some milliseconds; a
// later call goes on from there. It must not be called twice at a time. A Rest
// that is never called leaves the migration incomplete: Prepare plans what is
// left.
type Rest func(ctx context.Context) error

// Apply runs a plan, each part in a transaction of its own. Nothing is run
// when a step is blocked or loses what was not allowed: fault.MigrationRefused
// then names it. When another migration ran since the plan was made the error
// is fault.Conflict. After any other error, or a crash, the parts before it
// stand and Prepare plans the rest.
func Apply(ctx context.Context, d store.Driver, p *Plan, opt Options) error {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := p.refuse(opt); err != nil {
		return err
	}
	r := &run{d: d, p: p, opt: opt, at: opt.Now(), parts: p.parts(), head: p.head, manifest: manifest{}}
	r.online, _ = d.(store.Online)
	end := len(r.parts)
	for opt.Later != nil && end > 0 && r.parts[end-1][0].Late {
		end--
	}
	if err := r.exclusively(ctx, func(ctx context.Context) error { return r.start(ctx, end) }); err != nil {
		return err
	}
	if end < len(r.parts) {
		opt.Later(func(ctx context.Context) error {
			return r.exclusively(ctx, func(ctx context.Context) error { return r.to(ctx, len(r.parts)) })
		})
	}
	return nil
}

// start runs the parts before end; of a plan without any, what there is to
// close.
func (r *run) start(ctx context.Context, end int) error {
	p := r.p
	if !p.Empty() {
		return r.to(ctx, end)
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	switch {
	case p.Resumes != 0:
		return r.transact(ctx, func(tx store.Tx) error { return settle(tx, r.d.Dialect(), p.head, Resumed) })
	case p.end() == Expanded && p.head.target != p.Target:
		// Nothing to add, but the history has to know that what is there to be
		// taken away is held back.
		return r.transact(ctx, func(tx store.Tx) (err error) {
			if err = r.head.check(tx); err == nil {
				_, err = r.record(tx, 0)
			}
			return err
		})
	}
	return nil
}

// end is the state that a plan leads to.
func (p *Plan) end() State {
	if p.expand && len(p.Held) > 0 {
		return Expanded
	}
	return Done
}

// run is a migration under way.
type run struct {
	d      store.Driver
	online store.Online // d, where it can do without long locks
	p      *Plan
	opt    Options
	at     time.Time
	parts  [][]*Step

	head       head
	next, done int // the part that comes next, the steps that are on disk
	manifest   manifest
}

// to runs the parts before end that have not been run.
func (r *run) to(ctx context.Context, end int) error {
	for r.next < end {
		part := r.parts[r.next]
		if r.opt.Progress != nil {
			r.opt.Progress(Progress{Part: r.next + 1, Of: len(r.parts), Titles: titles(part), Wait: r.p.waitOf(part)})
		}
		if err := r.part(ctx, part); err != nil {
			return stopped(err, r.next, len(r.parts))
		}
		r.next, r.done = r.next+1, r.done+len(part)
		if r.next == len(r.parts) {
			if err := r.close(ctx); err != nil {
				return stopped(err, r.next, len(r.parts))
			}
		}
		if r.opt.AfterPart != nil {
			if err := r.opt.AfterPart(r.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// part runs one part in its transaction.
func (r *run) part(ctx context.Context, part []*Step) error {
	transact := r.transact
	if indexesOnly(part) && r.online == nil {
		transact = r.d.Write // Alter would check every reference of the database
	}
	if part[0].Late {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.QueryCanceled, "the migration was stopped between two parts")
		}
		if r.online == nil {
			ctx = context.WithoutCancel(ctx)
		}
	}
	if err := r.ahead(ctx, part); err != nil {
		return err
	}
	next := r.head
	err := transact(ctx, func(tx store.Tx) error {
		if err := r.head.check(tx); err != nil {
			return err
		}
		for _, s := range part {
			if err := s.guard(tx, r.opt.Allow); err != nil {
				return failed(err, s)
			}
			if err := s.run(tx); err != nil {
				return failed(err, s)
			}
		}
		var err error
		next, err = r.record(tx, r.done+len(part))
		return err
	})
	if err == nil {
		r.head = next
	}
	return err
}

// indexesOnly reports whether a part does nothing but make and drop indexes.
func indexesOnly(part []*Step) bool {
	for _, s := range part {
		for _, c := range s.changes {
			if c.Kind != store.CreateIndex && c.Kind != store.DropIndex {
				return false
			}
		}
	}
	return true
}

func titles(part []*Step) []string {
	out := make([]string, len(part))
	for i, s := range part {
		out[i] = s.Title
	}
	return out
}

// guard looks once more for what would be lost.
func (s *Step) guard(tx store.Tx, allow []string) error {
	for _, g := range s.guards {
		if slices.Contains(allow, g.name) || g.staged {
			continue
		}
		if g.freeze != "" {
			if _, err := tx.Exec(&store.Statement{SQL: g.freeze}, nil); err != nil {
				return err
			}
		}
		var n int64
		if err := tx.Query(g.count, nil, func(row store.Row) error {
			n = row.Int(0)
			return nil
		}); err != nil {
			return err
		}
		if n > 0 {
			return g.refuse(fmt.Sprint(n))
		}
	}
	return nil
}

// refuse is the error of a loss that was not planned.
func (g *guard) refuse(count string) error {
	return fault.New(fault.MigrationRefused, "the migration would lose data").
		WithDetails("%s %s, written since the migration was planned", count, g.what).
		WithHint("to lose them: %s", command([]string{g.name}))
}

// run changes the schema.
func (s *Step) run(tx store.Tx) error {
	for _, sql := range s.SQL {
		if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
			return err
		}
	}
	return nil
}

// settle closes a migration that has nothing left to do.
func settle(tx store.Tx, d store.Dialect, h head, as State) error {
	if err := h.check(tx); err != nil {
		return err
	}
	st := &store.Statement{SQL: "UPDATE pando_migrations SET state = " + d.Param(1) + " WHERE id = " + d.Param(2)}
	_, err := tx.Exec(st, []value.Value{value.OfText(string(as)), value.OfInt(h.id)})
	return err
}

// failed adds to an error the step that it comes from.
func failed(err error, s *Step) error {
	f := *fault.From(err)
	f.Message = fmt.Sprintf("migration step %q failed: %s", s.Title, f.Message)
	return &f
}

// stopped adds to an error where the migration stands. done parts are on disk.
func stopped(err error, done, of int) error {
	f := *fault.From(err)
	if f.Hint == "" {
		f.Hint = "the transaction changed nothing; `pando migrate plan` shows what is left"
	}
	if done > 0 {
		f.Details = strings.TrimPrefix(f.Details+fmt.Sprintf("; %d of %d transactions are done and stand", done, of), "; ")
	}
	return &f
}

// refuse returns why a plan must not be run at all.
func (p *Plan) refuse(opt Options) error {
	var blocked, hints, lost, changing, missing, locks []string
	for _, s := range p.Steps {
		blocked = append(blocked, s.Blocked...)
		if len(s.Blocked) > 0 && !slices.Contains(hints, s.Hint) {
			hints = append(hints, s.Hint)
		}
		if !s.Additive {
			changing = append(changing, s.Title)
		}
		if s.Locks != "" && (opt.Additive || !opt.AllowLock) {
			locks = append(locks, s.Locks)
		}
		for i, name := range s.Destructive {
			if opt.Additive || !slices.Contains(opt.Allow, name) {
				missing, lost = append(missing, name), append(lost, s.Risk.Loses[i])
			}
		}
	}
	switch {
	case len(blocked) > 0:
		return fault.New(fault.MigrationRefused, "the rows that are stored do not fit the model").
			WithDetails("%s", strings.Join(blocked, "; ")).WithHint("%s", strings.Join(hints, "; "))
	case len(missing) > 0:
		return fault.New(fault.MigrationRefused, "the migration would lose data").
			WithDetails("%s", strings.Join(lost, "; ")).WithHint("%s", p.allowHint(missing, opt))
	case len(locks) > 0:
		return fault.New(fault.MigrationRefused, "the migration would keep readers and writers waiting while it rewrites a table").
			WithDetails("%s", strings.Join(locks, "; ")).
			WithHint("add a field of the other type, move the values there and drop the old one; or run it when nobody works: pando migrate apply --allow-lock")
	case opt.Additive && len(changing) > 0:
		return fault.New(fault.MigrationRefused, "the schema change does more than add, so it is not made unasked").
			WithDetails("%s", strings.Join(changing, "; ")).WithHint("look at it with `pando migrate plan`, then run `pando migrate apply`")
	}
	return nil
}

// allowHint names the command; a name given that is near one that is missing
// was probably meant to be it.
func (p *Plan) allowHint(missing []string, opt Options) string {
	known := p.Destructive()
	for _, given := range opt.Allow {
		if slices.Contains(known, given) {
			continue
		}
		if near := fault.Nearest(given, missing); near != "" {
			return fmt.Sprintf("%q is no change of this plan; did you mean --allow %q?", given, near)
		}
	}
	return "to lose them: " + command(known)
}

func command(names []string) string {
	var b strings.Builder
	b.WriteString("pando migrate apply")
	for _, n := range names {
		fmt.Fprintf(&b, " --allow %q", n)
	}
	return b.String()
}
