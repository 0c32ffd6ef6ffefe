// Package policy decides who may do what: an [Identity] and a query come in, a
// decision, a row filter and the visible fields come out. It is pure and knows
// no store and no transport. Nothing is allowed that no rule allows.
package policy

import (
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Role is what kind of caller an identity is.
type Role string

// The roles.
const (
	Anon          Role = "anon"
	Authenticated Role = "authenticated"
	Service       Role = "service"
)

// Identity is the caller of one request. The zero value is nobody and may do
// nothing.
type Identity struct {
	Role Role
	UID  string // empty: auth.uid is null
	// Key names the API key that was used, never the key itself.
	Key string
}

// Scope is a text that is equal for two identities exactly when they are the
// same caller; cursors and idempotency keys are bound to it.
func (id Identity) Scope() string { return string(id.Role) + ":" + id.UID }

// Guard is what one identity may see and do. A planner asks it for every
// entity that a query touches, embedded ones included, so that no query can
// reach a row around it. Fingerprint is equal for two guards whose answers are
// equal up to literals; plans are cached by it.
type Guard interface {
	// Rows returns the filter for an action on an entity's rows (nil: every
	// row), or a fault when no rule allows the action at all.
	Rows(e *model.Entity, action query.Action) (query.Expr, error)
	// Visible reports whether the field may be read, filtered and ordered by.
	Visible(f *model.Field) bool
	// Writable reports whether the field may be given in a write.
	Writable(f *model.Field, action query.Action) bool
	Fingerprint() string
}

// For returns the guard of an identity. Until rules are active, the service
// role sees every row and everybody else nothing.
func For(id Identity) Guard {
	if id.Role == Service {
		return service{}
	}
	return nobody{anonymous: id.Role != Authenticated}
}

type service struct{}

func (service) Rows(*model.Entity, query.Action) (query.Expr, error) { return nil, nil }
func (service) Visible(f *model.Field) bool                          { return !f.Hidden }
func (service) Writable(*model.Field, query.Action) bool             { return true }
func (service) Fingerprint() string                                  { return "service" }

type nobody struct{ anonymous bool }

func (n nobody) Rows(e *model.Entity, _ query.Action) (query.Expr, error) {
	if n.anonymous {
		return nil, fault.New(fault.MissingCredential, "an API key is required for %s", e.QualifiedName()).
			WithHint("send the secret key as the apikey header; `pando keys` shows it")
	}
	return nil, fault.New(fault.Forbidden, "permission denied for %s", e.QualifiedName()).
		WithHint("no policy of %s allows it", e.QualifiedName())
}
func (nobody) Visible(*model.Field) bool                { return false }
func (nobody) Writable(*model.Field, query.Action) bool { return false }
func (nobody) Fingerprint() string                      { return "nobody" }
