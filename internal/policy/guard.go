package policy

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Rule is one of the rules of an entity or a field.
type Rule uint8

// The rules. The first five are an entity's, the last two a field's.
const (
	RuleRead   Rule = iota // which stored rows may be read
	RuleCreate             // which new rows may be created
	RuleUpdate             // which stored rows may be changed
	RuleCheck              // into which new rows (it may name the stored one, old)
	RuleDelete             // which stored rows may be deleted
	RuleMask               // of which rows the field may be read
	RuleWrite              // in which rows the field may be given
)

// String is the rule's name in the module language.
func (r Rule) String() string {
	switch r {
	case RuleRead, RuleMask:
		return "read"
	case RuleCreate:
		return "create"
	case RuleUpdate, RuleCheck:
		return "update"
	case RuleDelete:
		return "delete"
	case RuleWrite:
		return "write"
	}
	return "read"
}

// Use is a rule that a plan depends on.
type Use struct {
	Entity *model.Entity
	Rule   Rule
	Field  *model.Field // RuleMask, RuleWrite
}

// Guard is what one identity may see and do. A planner asks it for every
// entity that a query touches, embedded ones included, so that no query can
// reach a row around it.
//
// A plan holds for every guard that gives the same signatures for the plan's
// uses; what differs between such guards are literals, which Args gives anew
// for each run.
type Guard interface {
	// Filter returns a rule's condition for this caller (nil: it always
	// holds), or a fault when no rule allows the action at all. Unknown is as
	// good as false. It may name any field, and lead over relations.
	Filter(u Use) (query.Expr, error)
	// Args appends the values of the literals of Filter's condition, in the
	// order of [query.Literals].
	Args(dst []query.Arg, u Use) ([]query.Arg, error)
	// Signature appends a text that is equal for two callers exactly when
	// Filter's conditions are equal up to literals, or both a fault. That of
	// RuleRead also tells which of the entity's fields are visible. Texts of
	// different uses can be told apart when they stand one after the other.
	Signature(dst []byte, u Use) []byte
	// Visible reports whether the caller may read, filter and order by the
	// field in at least some rows: RuleMask then says in which.
	Visible(f *model.Field) bool
	// Writable reports whether the field may be given in at least some rows.
	Writable(f *model.Field, action query.Action) bool
}

// Ever reports whether a rule lets anything through for a guard's caller: what
// it never does, he need not know of.
func Ever(g Guard, u Use) bool {
	cond, err := g.Filter(u)
	if err != nil {
		return false
	}
	constant, ok := cond.(*query.Const)
	return !ok || constant.Value
}

// RuleOf is the rule that an action on stored rows is judged by.
func RuleOf(a query.Action) Rule {
	switch a {
	case query.Create:
		return RuleCreate
	case query.Update:
		return RuleUpdate
	case query.Delete:
		return RuleDelete
	case query.ReadRows:
	}
	return RuleRead
}

// For returns the guard of an identity, for one request: it is used by one
// goroutine at a time, keeps what it has found out, and the identity must not
// change under it.
//
// The service role may do everything, except to see hidden fields and to write
// the tables of the module auth, where it may write the users' roles. A key that is
// bound to modules may do nothing outside of them.
func (r *Rules) For(id *Identity) Guard {
	c := &caller{rules: r, subject: subject{id: id}}
	c.answers, c.values = c.answerSpace[:0], c.valueSpace[:0]
	return c
}

// Allow tells whether a caller may run an operation. Without an `allow` nobody but
// the service role may, and unknown is no.
func (r *Rules) Allow(o *model.Operation, id *Identity) bool { return r.may(o.Module, o.Allow, id) }

// AllowFunction does so for code behind the functions' door.
func (r *Rules) AllowFunction(f *model.Function, id *Identity) bool {
	return r.may(f.Module, f.Allow, id)
}

func (r *Rules) may(m *model.Module, allow *model.Expression, id *Identity) bool {
	t := r.allow[allow]
	switch {
	case id.Role == "" || id.Modules != nil && !slices.Contains(id.Modules, m.Name):
		return false
	case id.Role == Service:
		return true
	case t == nil:
		return false
	}
	var space [32]byte
	key, _ := t.bind(&subject{id: id}, space[:0], nil)
	return t.fold(key).truth == True
}

// caller is the guard of one identity.
type caller struct {
	rules   *Rules
	subject subject
	answers []answer
	values  []bound // of the answers, one after the other

	// Enough for a usual request, so that nothing else is allocated.
	answerSpace [4]answer
	valueSpace  [4]bound
}

// answer is a rule for this caller.
type answer struct {
	template *template
	residual *residual
	from, to int // of caller.values
}

// answer finds what a rule is for the caller.
func (c *caller) answer(t *template) (*residual, []bound) {
	for i := range c.answers {
		if a := &c.answers[i]; a.template == t {
			return a.residual, c.values[a.from:a.to]
		}
	}
	from := len(c.values)
	var space [32]byte
	key, values := t.bind(&c.subject, space[:0], c.values)
	c.values = values
	r := t.fold(key)
	c.answers = append(c.answers, answer{template: t, residual: r, from: from, to: len(values)})
	return r, values[from:]
}

// access says what is decided before any rule is asked.
type access uint8

const (
	judged access = iota // by the rule
	always
	never
)

// access tells whether a rule is asked at all, and which. A field without a
// rule of its own follows its entity.
func (c *caller) access(u Use) (access, *template) {
	id := c.subject.id
	if u.Entity.Internal || id.Role == "" || !c.within(u.Entity.Module) {
		return never, nil
	}
	if u.Entity.Module.Builtin && !u.Rule.reads() && (id.Role != Service || u.Entity.Name != userRoles) {
		return never, nil
	}
	if u.Entity.ReadOnly && !u.Entity.Managed && !u.Rule.reads() {
		return never, nil
	}
	if id.Role == Service {
		return always, nil
	}
	switch u.Rule {
	case RuleMask:
		if u.Field.Read == nil {
			return always, nil
		}
	case RuleWrite:
		if u.Field.Write == nil {
			return always, nil
		}
	case RuleRead, RuleCreate, RuleUpdate, RuleCheck, RuleDelete:
	}
	t := c.rules.rules[u]
	if t == nil {
		return never, nil
	}
	return judged, t
}

// unauthorized is the status that asks a caller to say who they are: RFC 9110,
// section 15.5.2.
const unauthorized = 401

// userRoles is the entity of the module auth that the service role may write.
const userRoles = "user_roles"

func (r Rule) reads() bool { return r == RuleRead || r == RuleMask }

// within reports whether the caller's key reaches a module.
func (c *caller) within(m *model.Module) bool {
	modules := c.subject.id.Modules
	return modules == nil || slices.Contains(modules, m.Name)
}

// Filter implements [Guard].
func (c *caller) Filter(u Use) (query.Expr, error) {
	switch access, t := c.access(u); access {
	case always:
		return nil, nil //nolint:nilnil // no condition and no fault: all rows
	case judged:
		r, values := c.answer(t)
		return r.fill(values), nil
	case never:
	}
	return nil, c.denied(u)
}

// Args implements [Guard].
func (c *caller) Args(dst []query.Arg, u Use) ([]query.Arg, error) {
	switch access, t := c.access(u); access {
	case always:
		return dst, nil
	case judged:
		r, values := c.answer(t)
		return r.appendArgs(dst, values), nil
	case never:
	}
	return dst, c.denied(u)
}

// Signature implements [Guard].
func (c *caller) Signature(dst []byte, u Use) []byte {
	access, t := c.access(u)
	if access == never {
		return append(dst, sigFault)
	}
	dst = c.sign(dst, access, t)
	if u.Rule == RuleRead {
		for _, f := range c.rules.masked[u.Entity] {
			access, t := c.access(Use{Entity: u.Entity, Rule: RuleMask, Field: f})
			dst = c.sign(dst, access, t)
		}
	}
	return dst
}

func (c *caller) sign(dst []byte, access access, t *template) []byte {
	switch access {
	case always:
		return append(dst, sigTrue)
	case judged:
		r, _ := c.answer(t)
		return append(dst, r.sig...)
	case never:
	}
	return append(dst, sigFalse)
}

// Visible implements [Guard].
func (c *caller) Visible(f *model.Field) bool {
	if f.Hidden {
		return false
	}
	if access, _ := c.access(Use{Entity: f.Entity, Rule: RuleRead}); access == never {
		return false
	}
	return c.some(Use{Entity: f.Entity, Rule: RuleMask, Field: f})
}

// Writable implements [Guard].
func (c *caller) Writable(f *model.Field, action query.Action) bool {
	e := f.Entity
	if action != query.Create && action != query.Update || f.Generated {
		return false
	}
	if access, _ := c.access(Use{Entity: e, Rule: RuleOf(action)}); access == never {
		return false
	}
	if c.subject.id.Role != Service && action == query.Update && len(e.Policy.Update.Fields) > 0 &&
		!slices.Contains(e.Policy.Update.Fields, f) {
		return false
	}
	return c.some(Use{Entity: e, Rule: RuleWrite, Field: f})
}

// some reports whether a rule may hold for a row.
func (c *caller) some(u Use) bool {
	access, t := c.access(u)
	if access != judged {
		return access == always
	}
	r, _ := c.answer(t)
	return r.truth != False
}

// denied says why no row is within reach.
func (c *caller) denied(u Use) error {
	id, name := c.subject.id, u.Entity.Qualified()
	if id.Role == "" {
		return fault.New(fault.MissingCredential, "an API key is required for %s", name).
			WithHint("send a key as the apikey header; `pando keys` shows it")
	}
	f := fault.New(fault.Forbidden, "permission denied for %s", name)
	switch {
	case u.Entity.Internal || u.Entity.Module.Builtin && !u.Rule.reads():
		f = f.WithHint("the identity door /auth/v1 changes what belongs to users")
	case u.Entity.ReadOnly && !u.Rule.reads():
		f = f.WithHint("%s is read_only", name)
	case !c.within(u.Entity.Module):
		f = f.WithHint("the key is bound to other modules: %s", strings.Join(id.Modules, ", "))
	default:
		f = f.WithHint("no %s policy of %s allows it", u.Rule, name)
	}
	if id.Role == Anon {
		f = f.WithStatus(unauthorized)
	}
	return f
}
