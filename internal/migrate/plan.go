// Package migrate brings a store's schema to what the model says. The model is
// the truth: a plan is the difference between it and the last manifest, the
// description of the tables that the migration history keeps.
//
// [Prepare] makes a plan and counts in the store what it would lose. [Apply]
// runs it part by part, each in a transaction of its own together with its
// place in the history and the manifest after it, so that the manifest always
// describes the real schema and an interrupted migration goes on where it
// stood. The first part does all that the new model needs: renames, new tables
// and columns, what may be null, other types. After it both the old and the
// new model work, unless something was renamed or became another type: no
// schema has both names or both types. The later parts make indexes, then
// tighten, then drop, and stand alone. Where many indexes are missing they come
// last, and may be made while the application is served ([Options.Later]).
//
// Limits of values (min, max, length) and checks are no part of the schema:
// they hold for new writes.
package migrate

import (
	"fmt"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// Plan is a list of steps, in parts, from the store's schema to the model's.
type Plan struct {
	Steps []*Step `json:"steps"`
	// Resumes is the id of the interrupted migration that this plan goes on
	// with, 0 where there is none.
	Resumes int64 `json:"resumes,omitempty"`
	// Target names the tables that the model asks for, by a digest: a release
	// finds in the history whether the store was once brought to what it needs.
	Target string `json:"target"`
	// Held are the steps that a plan which only expands leaves for later.
	Held []string `json:"held,omitempty"`

	head   head
	tables []*store.Table // of the manifest
	newer  bool           // the store was brought to the model before, and has left it since
	expand bool
	each   Wait // of every part, beside its steps
}

// Step is one change of a plan. The steps of one part are one transaction.
type Step struct {
	Part  int      `json:"part"` // from 1
	Title string   `json:"title"`
	SQL   []string `json:"sql"`
	Risk  Risk     `json:"risk"`
	// Wait is the time the step takes, estimated. Writers wait for a whole part.
	Wait Wait `json:"wait"`
	// Destructive names what the step loses, as Options.Allow must name it.
	Destructive []string `json:"destructive,omitempty"`
	// Additive: no stored value changes, nothing is renamed or dropped. The
	// old model goes on working.
	Additive bool `json:"additive"`
	// Late: nothing needs the step but the speed of queries. Late steps are the
	// last of a plan (Options.Later).
	Late bool `json:"late,omitempty"`
	// Contract: the step takes away what the model before still uses.
	Contract bool `json:"contract,omitempty"`
	// Before is what runs ahead of the transaction while others read and write.
	Before []string `json:"before,omitempty"`
	// Locks says why readers and writers of a large table wait while the step
	// rewrites it (Options.AllowLock).
	Locks string `json:"locks,omitempty"`
	// Blocked says why the step cannot be run on the rows that are there, one
	// reason each; Hint what to do.
	Blocked []string `json:"blocked,omitempty"`
	Hint    string   `json:"hint,omitempty"`

	changes []store.Change
	guards  []guard
	stages  []planned
	vital   bool // the model does not work without it
	after   []*store.Table
}

// planned is a stage of a step. One that looks for losses has their guard.
type planned struct {
	stage store.Stage
	guard *guard
}

// Level is a kind of risk.
type Level string

// The levels.
const (
	None    Level = "none"    // no row changes
	Rewrite Level = "rewrite" // rows are written anew, no value is lost
	Loss    Level = "loss"    // values are lost
)

// Risk is what a step does to the rows that are there.
type Risk struct {
	Level Level    `json:"level"`
	Rows  int64    `json:"rows,omitempty"`  // that are written anew
	Loses []string `json:"loses,omitempty"` // "12 values of orders.lines.note"
}

// String is the risk in words.
func (r Risk) String() string {
	switch r.Level {
	case Rewrite:
		return "rewrites " + counted(r.Rows, "row")
	case Loss:
		return "LOSES DATA: " + strings.Join(r.Loses, "; ")
	case None:
	}
	return "none"
}

// Wait is an estimated duration. Its text, and its JSON, has no more digits
// than the estimate deserves: "< 10 ms", "~50 ms", "~2 s", "~3 min".
type Wait time.Duration

// String implements fmt.Stringer.
func (w Wait) String() string {
	d := time.Duration(w)
	switch {
	case d < 10*time.Millisecond:
		return "< 10 ms"
	case d < 950*time.Millisecond:
		return fmt.Sprintf("~%d ms", (d+5*time.Millisecond)/(10*time.Millisecond)*10)
	case d < 90*time.Second:
		return fmt.Sprintf("~%d s", (d+time.Second/2)/time.Second)
	}
	return fmt.Sprintf("~%d min", (d+time.Minute/2)/time.Minute)
}

// MarshalText implements encoding.TextMarshaler.
func (w Wait) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The history is read for
// people: the estimate itself is gone.
func (w *Wait) UnmarshalText([]byte) error { return nil }

// guard is a count that must be zero when the step runs, unless the loss that
// it counts was allowed: rows may have come since the plan was made.
type guard struct {
	name  string // as in Destructive
	count *store.Statement
	what  string // "values of orders.lines.note"

	// table and lost are the count's, where it is of columns' values. Where
	// writers are not out of the way by themselves, freeze sees to it.
	table  *store.Table
	lost   string
	freeze string
	staged bool // a stage has looked, and keeps looking
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// Fresh reports whether no migration has run on the store.
func (p *Plan) Fresh() bool { return p.head.id == 0 }

// Additive reports whether every step is additive and none is blocked.
func (p *Plan) Additive() bool {
	for _, s := range p.Steps {
		if !s.Additive || len(s.Blocked) > 0 {
			return false
		}
	}
	return true
}

// Destructive returns the names of all losses, as Options.Allow takes them.
func (p *Plan) Destructive() []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.Destructive...)
	}
	return out
}

// Wait is the longest that a writer waits: between two parts others get their
// turn.
func (p *Plan) Wait() Wait {
	var longest Wait
	for _, part := range p.parts() {
		longest = max(longest, p.waitOf(part))
	}
	return longest
}

// waitOf is how long writers wait for the steps of one part.
func (p *Plan) waitOf(part []*Step) Wait {
	wait := p.each
	if indexesOnly(part) {
		wait = Wait(commitCost) // no reference is checked
	}
	for _, s := range part {
		wait += s.Wait
	}
	return wait
}

// parts returns the steps by transaction.
func (p *Plan) parts() [][]*Step {
	var out [][]*Step
	for i, s := range p.Steps {
		if i == 0 || s.Part != p.Steps[i-1].Part {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

// String is the plan for people, its SQL included.
func (p *Plan) String() string {
	if p.Empty() && len(p.Held) == 0 {
		return "The schema is what the model says: nothing to do.\n"
	}
	var b strings.Builder
	if p.Resumes != 0 {
		fmt.Fprintf(&b, "Goes on with migration %d, which is not complete.\n\n", p.Resumes)
	}
	if len(p.Held) > 0 {
		fmt.Fprintf(&b, "Held back: %s.\n\n", strings.Join(p.Held, "; "))
	}
	parts, n := p.parts(), 0
	for i, part := range parts {
		fmt.Fprintf(&b, "Transaction %d of %d: writers wait %s.\n\n", i+1, len(parts), p.waitOf(part))
		for _, s := range part {
			n++
			fmt.Fprintf(&b, "%d. ", n)
			s.write(&b)
		}
	}
	return b.String()
}

func (s *Step) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", s.Title)
	for _, reason := range s.Blocked {
		fmt.Fprintf(b, "   IMPOSSIBLE: %s\n", reason)
	}
	if len(s.Blocked) > 0 && s.Hint != "" {
		fmt.Fprintf(b, "   hint: %s\n", s.Hint)
	}
	fmt.Fprintf(b, "   risk: %s\n", s.Risk)
	for _, name := range s.Destructive {
		fmt.Fprintf(b, "   runs only with --allow %q\n", name)
	}
	if s.Locks != "" {
		fmt.Fprintf(b, "   LOCKS %s: readers and writers wait; runs only with --allow-lock\n", s.Locks)
	}
	for _, sql := range s.Before {
		fmt.Fprintf(b, "     %s; -- ahead, while others read and write\n", sql)
	}
	for _, sql := range s.SQL {
		fmt.Fprintf(b, "     %s;\n", sql)
	}
	b.WriteByte('\n')
}

// counted is "1 row", "2 rows".
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
