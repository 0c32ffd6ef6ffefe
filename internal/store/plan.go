package store

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// param is one parameter of a statement: a value that is fixed by the plan,
// one of those that a write gives, or a literal of the query, read by the type
// that the plan found for it.
type param struct {
	slot  int                           // index in the args; -1: fixed
	value int                           // index in the values of a write, from 1; 0: none of them
	made  func(value.Value) value.Value // what is bound in place of that value; nil: itself
	fixed value.Value
	read  func(query.Arg) (value.Value, error)
}

// bindParams reads the literals of a query by the types of a plan.
func bindParams(ps []param, values []value.Value, args []query.Arg, into []value.Value) ([]value.Value, error) {
	for i := range ps {
		p := &ps[i]
		if p.value > 0 {
			v := values[p.value-1]
			if p.made != nil {
				v = p.made(v)
			}
			into = append(into, v)
			continue
		}
		if p.slot < 0 {
			into = append(into, p.fixed)
			continue
		}
		v, err := p.read(args[p.slot])
		if err != nil {
			return into, err
		}
		into = append(into, v)
	}
	return into, nil
}

// ReadPlan is a compiled read. It is immutable, but for its Usage, and safe for
// concurrent use.
type ReadPlan struct {
	Entity *model.Entity
	Usage  Usage

	rows        Statement
	params      []param
	count       Statement
	countParams []param
	estimate    Statement

	out *object
	rules
	keys    []key // the total order, for cursors; nil: no cursors
	reverse bool  // rows arrive in the opposite order (a page before a cursor)
	plain   []int // the field of each column, where all are stored fields; else nil
	primary int   // column of the primary key; -1: not among the columns
	nothing bool  // the caller's rule lets no row through: there is nothing to ask for
	asked   asking
	// connection, not nil: one row holds the whole answer
	connection *connectionRow
}

// rules are a plan's ties to a guard.
type rules struct {
	uses   []policy.Use // at each run the guard is asked for their literals
	deps   []policy.Use // what the guard was asked about
	judges []string

	scattered []*model.Entity
}

// Judges are the entities that the plan's rules look into, see [Wish.Judges].
func (r *rules) Judges() []string { return r.judges }

// Uses are the rules that the plan depends on: it holds for every guard that
// has the same signatures for them.
func (r *rules) Uses() []policy.Use { return r.deps }

// Args adds to a query's literals those of the guard's rules, in the order in
// which the plan counts them.
func (r *rules) Args(args []query.Arg, g policy.Guard) ([]query.Arg, error) {
	var err error
	for _, u := range r.uses {
		if args, err = g.Args(args, u); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func (c *compiler) asked() rules {
	return rules{uses: c.uses, deps: c.deps, judges: c.looked, scattered: c.scattered}
}

// SQL is the statement's text, for explanations and tests.
func (p *ReadPlan) SQL() string { return p.rows.SQL }

// CountSQL is the text of the statement that counts; empty: none.
func (p *ReadPlan) CountSQL() string { return p.count.SQL }

// Planner compiles queries for one application on one database. It keeps
// nothing; its owner caches the plans by shape.
type Planner struct {
	App     *model.App
	Dialect Dialect
	// MaxRows bounds every page that is not unbounded; 0: no bound.
	MaxRows int64
	// MaxDepth bounds the nesting of embeds.
	MaxDepth int
	// Former tells of which changes the rows are wanted as they were
	// ([Outcome.Former]); nil: of none.
	Former func(e *model.Entity, a query.Action) bool
}

// Entity finds the entity of a target, or says what is nearest.
func (pl *Planner) Entity(t query.Target) (*model.Entity, error) {
	if e := pl.App.Entity(t.Module, t.Entity); e != nil && !e.Internal {
		return e, nil
	}
	return nil, unknownEntity(pl.App, t)
}

func unknownEntity(app *model.App, t query.Target) error {
	var entities []*model.Entity
	var owners []string
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if e.Internal || t.Module == "" && m.Builtin || t.Module != "" && m.Name != t.Module {
				continue
			}
			entities = append(entities, e)
			if e.Name == t.Entity {
				owners = append(owners, m.Name)
			}
		}
	}
	full := t.Entity
	if t.Module != "" {
		full = t.Module + "." + t.Entity
	}
	f := fault.New(fault.UnknownEntity, "Could not find the entity '%s' in the application", full)
	if len(owners) > 1 {
		return f.WithDetails("More than one module has an entity of that name: %s", strings.Join(owners, ", ")).
			WithHint("Name the module with the Accept-Profile (reading) or Content-Profile (writing) header.")
	}
	if near, ok := fault.NearestOf(t.Entity, entities); ok {
		return f.WithHint("Perhaps you meant '%s'", near)
	}
	if len(entities) > 0 && len(entities) <= 12 {
		return f.WithHint("There are: %s", fault.List(entities))
	}
	return f
}

func undefinedField(e *model.Entity, name string, visible func(*model.Field) bool) error {
	var fields []*model.Field
	for _, f := range e.Fields {
		if visible(f) {
			fields = append(fields, f)
		}
	}
	f := fault.New(fault.UndefinedField, "column %s.%s does not exist", e, name)
	if near, ok := fault.NearestOf(name, fields); ok {
		return f.WithHint("Perhaps you meant '%s'.", near)
	}
	return f.WithHint("'%s' has: %s.", e, fault.List(fields))
}
