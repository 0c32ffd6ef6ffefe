package policy

import (
	"slices"
	"time"
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
// nothing. What it refers to is shared between requests: it is never changed.
type Identity struct {
	Role Role
	UID  string // empty: auth.uid is null
	// Key names the API key or the client that was used, never the key itself.
	Key string
	// Roles are the application's roles with all that they inherit, sorted.
	Roles   []string
	Email   string
	AAL     string // aal1 or aal2; empty: no session
	Session string
	// Claims are those of the access token; nil: there is none. Its amr is
	// auth.amr.
	Claims map[string]any
	// Modules bounds a key to some modules; nil: all of them.
	Modules []string
	// OnBehalf is the user for whom a service acts; it decides nothing, and
	// stands in the audit record.
	OnBehalf string
	// Request is what the caller asks through; nil: the application itself.
	Request *Request
}

// Request is what a rule may know of the request, and an audit record tells.
type Request struct {
	Door      string // rest, auth, graphql, grpc, cli, ...
	Method    string // of HTTP; empty elsewhere
	Operation string // what a door calls it, for the audit record
	IP        string // the client's address; never a header's word for it
	UserAgent string
	Version   string // of the API: v1
	ID        string // the request's and the trace's id
	Time      time.Time
}

// Scope is a text that is equal for two identities exactly when they are the
// same caller; cursors and idempotency keys are bound to it.
func (id *Identity) Scope() string {
	if id.Role == Service {
		return string(id.Role) + ":" + id.UID + ":" + id.Key
	}
	return string(id.Role) + ":" + id.UID
}

// HasRole reports whether the caller has a role of the application.
func (id *Identity) HasRole(name string) bool {
	return slices.Contains(id.Roles, name)
}
