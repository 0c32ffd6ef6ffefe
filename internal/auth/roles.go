package auth

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// closures are an application's roles with all that each inherits, itself
// included. The model has no circles.
func closures(roles map[string]model.Role) map[string][]string {
	out := make(map[string][]string, len(roles))
	var of func(name string) []string
	of = func(name string) []string {
		if all, ok := out[name]; ok {
			return all
		}
		all := []string{name}
		for _, i := range roles[name].Inherits {
			all = append(all, of(i)...)
		}
		slices.Sort(all)
		out[name] = slices.Compact(all)
		return out[name]
	}
	for name := range roles {
		of(name)
	}
	return out
}

// closure is every role that the named ones give, sorted. Names that the
// application does not know give none.
func (l *live) closure(names ...[]string) []string {
	var out []string
	for _, list := range names {
		for _, n := range list {
			out = append(out, l.roles[n]...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// rolesOf are the roles that auth.user_roles gives a user, sorted.
func (a *Auth) rolesOf(r store.Reader, userID string) (out []string, err error) {
	err = all(r, a.st.rolesOf, args(text(userID)), func(s *scan) { out = append(out, s.text()) })
	return out, err
}
