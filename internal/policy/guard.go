package policy

import (
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

// For returns the guard of an identity. Until rules are active, the service
// role sees every row and everybody else nothing.
func (r *Rules) For(id *Identity) Guard {
	if id.Role == Service {
		return service{}
	}
	return nobody{anonymous: id.Role != Authenticated}
}

type service struct{}

func (service) Filter(Use) (query.Expr, error)                   { return nil, nil }
func (service) Args(dst []query.Arg, _ Use) ([]query.Arg, error) { return dst, nil }
func (service) Signature(dst []byte, _ Use) []byte               { return append(dst, 's') }
func (service) Visible(f *model.Field) bool                      { return !f.Hidden }
func (service) Writable(*model.Field, query.Action) bool         { return true }

type nobody struct{ anonymous bool }

func (n nobody) Filter(u Use) (query.Expr, error) {
	if n.anonymous {
		return nil, fault.New(fault.MissingCredential, "an API key is required for %s", u.Entity.QualifiedName()).
			WithHint("send the secret key as the apikey header; `pando keys` shows it")
	}
	return nil, fault.New(fault.Forbidden, "permission denied for %s", u.Entity.QualifiedName()).
		WithHint("no policy of %s allows it", u.Entity.QualifiedName())
}
func (n nobody) Args(dst []query.Arg, u Use) ([]query.Arg, error) {
	_, err := n.Filter(u)
	return dst, err
}
func (nobody) Signature(dst []byte, _ Use) []byte       { return append(dst, 'n') }
func (nobody) Visible(*model.Field) bool                { return false }
func (nobody) Writable(*model.Field, query.Action) bool { return false }
