package engine

import (
	"context"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// Question asks what the policies make of an action.
type Question struct {
	Action query.Action
	Target query.Target
	// Key is a stored row's primary key as text; nil: no row is judged.
	Key *string
	// Written says that the row of Key is what a create or an update made of it,
	// in the transaction that the driver reads: it is judged as a new row.
	Written bool
}

// Decision is what the policies make of an action of one caller.
type Decision struct {
	Entity *model.Entity
	Rules  []RuleDecision // in the order in which they are asked
	Fields []FieldDecision
	// SQL is what runs, in order: what judges before a write, then the statement
	// itself. It is empty, and Denied says why, where nothing runs.
	SQL    []string
	Denied error
	Found  bool // the row of Key is there
}

// RuleDecision is one rule for the caller, and for the row where one is judged.
type RuleDecision struct {
	policy.Use
	policy.Explanation
	// Terms are the rule's conditions with the answers of the store, and last
	// the rule itself; nil: no row is judged by it.
	Terms []policy.Term
}

// FieldDecision is what the caller may do with a field. The rules of it are
// nil where it has none of its own.
type FieldDecision struct {
	Field             *model.Field
	Visible, Writable bool // in at least some rows
	Read, Write       *RuleDecision
}

// Decide explains an action: the rules, what they are for this caller, what
// would run, and for one row which term says no. It changes nothing and puts
// nothing on record. A row is judged by the store, as queries are.
func (e *Engine) Decide(ctx context.Context, id policy.Identity, q *Question) (*Decision, error) {
	ent, err := e.planner.Entity(q.Target)
	if err != nil {
		return nil, err
	}
	g := e.guards(&id)
	d := &Decision{Entity: ent}
	for _, r := range rulesOf(q.Action) {
		u := policy.Use{Entity: ent, Rule: r}
		d.Rules = append(d.Rules, RuleDecision{Use: u, Explanation: policy.Explain(g, u)})
	}
	d.SQL, d.Denied = e.statements(g, q, ent)
	for _, f := range ent.Fields {
		d.Fields = append(d.Fields, fieldDecision(g, f, q.Action))
	}
	if q.Key == nil {
		return d, nil
	}
	return d, e.driver.Read(ctx, true, func(r store.Reader) error { return e.judgeRow(r, d, q) })
}

func rulesOf(a query.Action) []policy.Rule {
	switch a {
	case query.Create:
		return []policy.Rule{policy.RuleCreate}
	case query.Update:
		return []policy.Rule{policy.RuleRead, policy.RuleUpdate, policy.RuleCheck}
	case query.Delete:
		return []policy.Rule{policy.RuleRead, policy.RuleDelete}
	case query.ReadRows:
	}
	return []policy.Rule{policy.RuleRead}
}

func fieldDecision(g policy.Guard, f *model.Field, a query.Action) FieldDecision {
	if a == query.ReadRows || a == query.Delete {
		a = query.Update
	}
	d := FieldDecision{Field: f, Visible: g.Visible(f), Writable: g.Writable(f, a)}
	of := func(r policy.Rule, x *model.Expression) *RuleDecision {
		if x == nil {
			return nil
		}
		u := policy.Use{Entity: f.Entity, Rule: r, Field: f}
		return &RuleDecision{Use: u, Explanation: policy.Explain(g, u)}
	}
	d.Read, d.Write = of(policy.RuleMask, f.Read), of(policy.RuleWrite, f.Write)
	return d
}

// statements plans the action as a request of all that the caller may read or
// give; a change names its row by the key.
func (e *Engine) statements(g policy.Guard, q *Question, ent *model.Entity) ([]string, error) {
	for _, r := range rulesOf(q.Action) {
		if _, err := g.Filter(policy.Use{Entity: ent, Rule: r}); err != nil {
			return nil, err
		}
	}
	key := ""
	if q.Key != nil {
		key = *q.Key
	}
	w := &query.Write{Action: q.Action, Target: q.Target, Where: keyIs(ent, key)}
	var given []*model.Field
	for _, f := range ent.Fields {
		if g.Writable(f, q.Action) && (q.Action == query.Create || !f.Primary && f != ent.PartitionKey()) {
			given = append(given, f)
		}
	}
	var plan *store.WritePlan
	var err error
	switch q.Action {
	case query.ReadRows:
		read := &query.Read{Target: q.Target}
		if q.Key != nil {
			read.Node.Where = w.Where
		}
		p, err := e.planner.CompileRead(read, g, store.ReadOptions{})
		if err != nil {
			return nil, err
		}
		return []string{p.SQL()}, nil
	case query.Create:
		plan, err = e.planner.CompileInsert(ent, g, e.rules, &store.Insert{Given: given})
	case query.Update:
		if len(given) == 0 {
			return nil, fault.New(fault.Forbidden, "no field of %s may be changed", ent.Qualified())
		}
		for _, f := range given {
			w.Columns = append(w.Columns, f.Name)
		}
		w.Rows = [][]query.Cell{make([]query.Cell, len(given))}
		plan, err = e.planner.CompileUpdate(w, ent, given, given, g, e.rules)
	case query.Delete:
		plan, err = e.planner.CompileDelete(w, ent, g)
	}
	if err != nil {
		return nil, err
	}
	return plan.Statements(), nil
}

func keyIs(ent *model.Entity, key string) query.Expr {
	return &query.Compare{
		Left: &query.FieldRef{Path: query.Path{Field: ent.Primary.Name}}, Op: query.Eq, Right: &query.Literal{Text: key},
	}
}

// judgeRow answers the rules for one row.
func (e *Engine) judgeRow(r store.Reader, d *Decision, q *Question) error {
	var err error
	if d.Found, err = e.holds(r, d.Entity, *q.Key, nil); err != nil || !d.Found {
		return err
	}
	for i := range d.Rules {
		rule := &d.Rules[i]
		if aboutNew := rule.Rule == policy.RuleCheck || rule.Rule == policy.RuleCreate; aboutNew != q.Written {
			continue
		}
		if err := e.judgeRule(r, rule, *q.Key); err != nil {
			return err
		}
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		for _, rule := range []*RuleDecision{f.Read, f.Write} {
			if rule == nil || q.Written && rule == f.Read {
				continue
			}
			if err := e.judgeRule(r, rule, *q.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Engine) judgeRule(r store.Reader, d *RuleDecision, key string) error {
	for _, c := range d.Conditions() {
		term := policy.Term{Source: policy.Text(d.Entity, c)}
		if c == nil {
			term.Truth, term.Known = policy.True, true
		} else if !policy.NamesOld(c) {
			var err error
			if term.Truth, err = e.truth(r, d.Entity, key, c); err == nil {
				term.Known = true
			} else if !fault.Is(err, fault.NumericOutOfRange) {
				return err
			}
		}
		d.Terms = append(d.Terms, term)
	}
	return nil
}

// truth asks the store for a condition's answer about a row.
func (e *Engine) truth(r store.Reader, ent *model.Entity, key string, c query.Expr) (policy.Truth, error) {
	if yes, err := e.holds(r, ent, key, c); yes || err != nil {
		return policy.True, err
	}
	if no, err := e.holds(r, ent, key, &query.Not{Arg: c}); no || err != nil {
		return policy.False, err
	}
	return policy.Unknown, nil
}

// holds reports whether the row of a key is there and meets a condition.
func (e *Engine) holds(r store.Reader, ent *model.Entity, key string, c query.Expr) (bool, error) {
	g := onlyRule{ent, c}
	read := &query.Read{Target: query.Target{Module: ent.Module.Name, Entity: ent.Name}, Unbounded: true}
	read.Node.Where = keyIs(ent, key)
	read.Node.Select = []query.Item{&query.Column{Path: query.Path{Field: ent.Primary.Name}}}
	plan, err := e.planner.CompileRead(read, g, store.ReadOptions{})
	if err != nil {
		return false, err
	}
	_, args := read.Shape(nil, nil)
	if args, err = plan.Args(args, g); err != nil {
		return false, err
	}
	page := &store.Page{}
	err = plan.Run(r, args, store.RunOptions{}, page)
	return page.Rows > 0, err
}

// onlyRule is a guard that makes one condition the read rule of one entity: the
// way to ask the store for the truth of a term. It shows and allows the rest.
type onlyRule struct {
	entity *model.Entity
	cond   query.Expr
}

var _ policy.Guard = onlyRule{}

// Filter implements [policy.Guard].
func (o onlyRule) Filter(u policy.Use) (query.Expr, error) {
	if u.Entity == o.entity && u.Rule == policy.RuleRead {
		return o.cond, nil
	}
	return nil, nil //nolint:nilnil // no condition and no fault: all rows
}

// Args implements [policy.Guard].
func (o onlyRule) Args(dst []query.Arg, u policy.Use) ([]query.Arg, error) {
	if c, _ := o.Filter(u); c != nil {
		return query.Literals(c, dst), nil
	}
	return dst, nil
}

// Signature implements [policy.Guard]: its plans are never kept.
func (onlyRule) Signature(dst []byte, _ policy.Use) []byte { return dst }

// Visible implements [policy.Guard].
func (onlyRule) Visible(*model.Field) bool { return true }

// Writable implements [policy.Guard].
func (onlyRule) Writable(*model.Field, query.Action) bool { return false }
