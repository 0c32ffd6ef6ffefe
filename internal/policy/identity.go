package policy

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	Client    string // what the client's library says of itself (X-Client-Info); it decides nothing
	Version   string // of the API: v1
	ID        string // the request's and the trace's id
	Time      time.Time
}

// Scope is a text that is equal for two identities exactly when they are the
// same caller; cursors and idempotency keys are bound to it. A caller who is no
// user is told apart by the key or client and by what the token claims;
// strangers with one publishable key are one.
func (id *Identity) Scope() string {
	b := append([]byte(id.Role), ':')
	b = strconv.AppendInt(b, int64(len(id.UID)), 10)
	b = append(append(b, ':'), id.UID...)
	if id.UID != "" && id.Role != Service {
		return string(b)
	}
	b = strconv.AppendInt(append(b, ':'), int64(len(id.Key)), 10)
	b = append(append(b, ':'), id.Key...)
	return string(appendClaims(append(b, ':'), id.Claims))
}

// appendClaims appends a digest of the claims that stay when a token is
// renewed; nothing where there are none.
func appendClaims(dst []byte, claims map[string]any) []byte {
	if len(claims) == 0 {
		return dst
	}
	lasting := maps.Clone(claims)
	for _, name := range [...]string{"exp", "iat", "nbf", "jti"} {
		delete(lasting, name)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", lasting)) // maps are printed in the order of their keys
	return append(dst, sum[:]...)
}

// Rights is a text that is equal for two identities of one [Identity.Scope]
// when nothing that gives rights was granted to or taken from the caller between
// them: roles, the key's modules, the assurance level.
func (id *Identity) Rights() string {
	return fmt.Sprintf("%q %q %t %q", id.Roles, id.Modules, id.Modules == nil, id.AAL)
}

// HasRole reports whether the caller has a role of the application.
func (id *Identity) HasRole(name string) bool {
	return slices.Contains(id.Roles, name)
}
