package matrix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// row is a stored row, by its fields' names: null, int or string.
type row map[string]any

// rule is one of an entity's rules.
type rule int

const (
	toRead rule = iota
	toCreate
	toUpdate
	toCheck
	toDelete
)

// field is one field of a generated entity.
type field struct {
	name        string
	decl        string // in the module language, without its rules
	hidden      bool
	read, write *clause
	ref         *entity // what it refers to
}

// entity is one generated entity.
type entity struct {
	module, name string
	family       string
	fields       []*field
	rules        map[rule]*clause
	only         []string // the fields that an update may set; none: all

	parent  *entity // of the relation parent
	left    *entity // of a link: what it links, in the fields left_id and right_id
	right   *entity
	of      *entity // of members: whose
	member  *entity // the entity of the members; nil: it has none
	builtin bool
}

func (e *entity) field(name string) *field {
	for _, f := range e.fields {
		if f.name == name {
			return f
		}
	}
	panic(e.name + " has no field " + name)
}

// family is a policy as applications have them.
type family struct {
	name    string
	rules   map[rule]*clause
	only    []string
	members bool
}

// policy makes the same rule that of every action, but for checks, which
// follow from the update's.
func policy(c *clause) map[rule]*clause {
	return map[rule]*clause{toRead: c, toCreate: c, toUpdate: c, toCheck: c, toDelete: c}
}

// rules are those given, in order: read, create, update, check, delete; nil is
// none, and without a check it is the update's.
func rules(cs ...*clause) map[rule]*clause {
	out := map[rule]*clause{}
	for i, c := range cs {
		if c != nil {
			out[rule(i)] = c
		}
	}
	if out[toCheck] == nil && out[toUpdate] != nil {
		out[toCheck] = out[toUpdate]
	}
	return out
}

// families are the policies that no seed may leave out.
func families() []family {
	staff, admin := hasRole("staff"), hasRole("admin")
	return []family{
		{name: "public", rules: policy(everybody())},
		{name: "owner", rules: policy(owner())},
		{name: "owner_or_staff", rules: policy(either(owner(), staff))},
		{name: "staff", rules: policy(staff)},
		{name: "admin", rules: policy(admin)},
		{name: "none", rules: rules()},
		{name: "read_only", rules: rules(everybody())},
		{name: "drop_box", rules: rules(nil, signedIn())},
		{name: "status", rules: rules(either(hasStatus("open"), owner()), owner(), all(owner(), hasStatus("open")), owner(), admin), only: []string{"name", "status", "owner_id", "locked"}},
		{name: "tenant", rules: policy(tenant())},
		{name: "tenant_or_admin", rules: rules(either(tenant(), admin), tenant(), all(tenant(), proper()), tenant(), admin)},
		{name: "members", rules: rules(either(member(), owner()), signedIn(), member(), nil, owner()), members: true},
		{name: "strangers", rules: policy(not(member())), members: true},
		{name: "listed", rules: rules(listed(), owner(), listed(), everybody(), listed()), members: true},
		{name: "ranked", rules: rules(ranked(), staff, all(ranked(), signedIn()), nil, ranked()), members: true},
		{name: "of_parent", rules: policy(ownedParent(1))},
		{name: "of_grandparent", rules: policy(either(ownedParent(2), staff))},
		{name: "current", rules: rules(current(), signedIn(), all(current(), owner()), owner(), not(current()))},
		{name: "unowned", rules: policy(either(unowned(), owner()))},
		{name: "not_mine", rules: policy(not(owner()))},
		{name: "of_others", rules: policy(all(notOwner(), authenticated()))},
		{name: "grows", rules: rules(everybody(), owner(), owner(), steady(), owner())},
		{name: "into_own_parent", rules: rules(signedIn(), signedIn(), signedIn(), ownedParent(1), staff)},
		{name: "blind", rules: rules(staff, owner(), everybody(), everybody(), everybody())},
		{name: "given_away", rules: rules(owner(), owner(), owner(), everybody(), owner())},
		{name: "rich", rules: rules(above(10), above(20), above(10), above(30), above(10))},
		{name: "by_method", rules: rules(either(reading(), staff), proper(), proper(), nil, proper())},
		{name: "no_delete", rules: rules(authenticated(), proper(), owner(), nil, nil)},
	}
}

// atoms are what the drawn policies are made of.
func atoms() []*clause {
	return []*clause{
		owner(), notOwner(), unowned(), hasStatus("open"), hasStatus("closed"), tenant(), above(10), current(), hasRole("staff"), hasRole("admin"),
		signedIn(), authenticated(), proper(), ownedParent(1), everybody(),
	}
}

// drawn is a random rule of at most 2^depth atoms.
func drawn(r *rand.Rand, depth int) *clause {
	if depth > 0 {
		switch r.IntN(5) {
		case 0, 1:
			return all(drawn(r, depth-1), drawn(r, depth-1))
		case 2, 3:
			return either(drawn(r, depth-1), drawn(r, depth-1))
		case 4:
			return not(drawn(r, depth-1))
		}
	}
	as := atoms()
	return as[r.IntN(len(as))]
}

// app is a generated application.
type app struct {
	entities []*entity // a parent before its children
	users    *entity
	roles    *entity
}

// modules are those of the generated application; keys are bound to the first.
func modules() []string { return []string{"crm", "desk", "lab"} }

// generate draws an application. The same seed makes the same one.
func generate(seed uint64) *app {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it has to be the same each time
	a := &app{}
	a.users = &entity{module: "auth", name: "users", builtin: true, family: "users", rules: map[rule]*clause{
		toRead: ofBoth("", hasUID, never, func(j *judged) truth { return same(j.row["id"], orNull(j.who.uid)) }),
	}, fields: []*field{{name: "id"}, {name: "email"}, {name: "password", hidden: true}, {name: "is_anonymous"}}}
	a.roles = &entity{module: "auth", name: "user_roles", builtin: true, family: "users", rules: map[rule]*clause{
		toRead: ofBoth("", hasUID, never, func(j *judged) truth { return same(j.row["user_id"], orNull(j.who.uid)) }),
	}, fields: []*field{{name: "user_id", ref: a.users}, {name: "role"}}}
	list := families()
	for i := range 4 {
		list = append(list, family{name: "drawn_" + itoa(i), rules: rules(drawn(r, 2), drawn(r, 1), drawn(r, 2), drawn(r, 1), drawn(r, 1))})
	}
	for i, fam := range list {
		e := a.plain(r, fam, i)
		a.entities = append(a.entities, e)
		if fam.members {
			m := a.plain(r, family{name: fam.name + "_members", rules: rules(either(owner(), everybody()), owner(), owner(), nil, owner())}, i)
			e.member, m.of = m, e
			if fam.name == "listed" {
				m.rules = rules(owner()) // most members cannot be read, and let in all the same
			}
			m.fields = append(m.fields,
				&field{name: "of_id", decl: "ref: " + e.module + "." + e.name + ", on_delete: cascade, inverse: members", ref: e},
				&field{name: "user_id", decl: "ref: auth.users, on_delete: cascade", ref: a.users},
				&field{name: "rank", decl: "type: int, optional: true, default: 1"})
			a.entities = append(a.entities, m)
		}
	}
	ends := a.parents()
	for i, c := range []*clause{everybody(), hasStatus("open"), owner()} {
		l := a.plain(r, family{name: "link_" + itoa(i), rules: policy(c)}, i)
		l.left, l.right = ends[i], ends[8+3*i]
		for name, to := range map[string]*entity{"left_id": l.left, "right_id": l.right} {
			l.fields = append(l.fields, &field{name: name, decl: "ref: " + to.module + "." + to.name + ", on_delete: cascade", ref: to})
		}
		slices.SortFunc(l.fields[len(l.fields)-2:], func(x, y *field) int { return strings.Compare(x.name, y.name) })
		if i == 2 { // where the caller may not read it, the link leads nowhere
			l.field("right_id").read = hasStatus("open")
		}
		a.entities = append(a.entities, l)
	}
	return a
}

// plain makes an entity with the fields that all have.
func (a *app) plain(r *rand.Rand, fam family, i int) *entity {
	e := &entity{module: modules()[i%3], name: fam.name + "_docs", family: fam.name, rules: fam.rules, only: fam.only}
	masks := []*clause{nil, owner(), either(owner(), hasRole("staff")), hasStatus("open"), tenant(), not(hasStatus("open"))}
	callers := []*clause{hasRole("staff"), hasRole("admin"), proper(), signedIn()}
	writes := []*clause{nil, hasRole("staff"), owner(), hasStatus("open"), above(10), unowned()}
	e.fields = []*field{
		{name: "id", decl: "type: int, primary: true"},
		{name: "owner_id", decl: "ref: auth.users, optional: true, default: auth.uid, on_delete: cascade", ref: a.users},
		{name: "name", decl: "type: text"},
		{name: "status", decl: "type: enum, values: [open, closed], optional: true, default: open"},
		{name: "org", decl: "type: text, optional: true"},
		{name: "until", decl: "type: timestamp, optional: true"},
		{name: "amount", decl: "type: int, optional: true"},
		{name: "code", decl: "type: text, optional: true"},
		{name: "secret", decl: "type: text, optional: true", hidden: true},
		{name: "inner", decl: "type: text, optional: true", read: masks[i%len(masks)]},
		{name: "salary", decl: "type: int, optional: true", read: callers[i%len(callers)]},
		{name: "locked", decl: "type: int, optional: true", write: writes[r.IntN(len(writes))]},
	}
	if might := a.parents(); len(might) > 0 {
		e.parent = might[r.IntN(len(might))]
		f := &field{
			name: "parent_id", ref: e.parent,
			decl: "ref: " + e.parent.module + "." + e.parent.name + ", optional: true, inverse: of_" + e.name,
		}
		switch i % 5 {
		case 3:
			f.read = hasStatus("open")
		case 4:
			f.hidden = true
		}
		e.fields = append(e.fields, f)
	}
	return e
}

// parents are the entities that others may have as parents: not those between
// two entities, which go with them.
func (a *app) parents() []*entity {
	return slices.DeleteFunc(slices.Clone(a.entities), func(e *entity) bool { return e.of != nil || e.left != nil })
}

// yaml is the module file of one module.
func (a *app) yaml(module string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "module: %s\nentities:\n", module)
	for _, e := range a.entities {
		if e.module != module {
			continue
		}
		fmt.Fprintf(&b, "  %s:\n    fields:\n", e.name)
		for _, f := range e.fields {
			decl := f.decl
			if f.hidden {
				decl += ", hidden: true"
			}
			if f.read != nil {
				decl += ", read: " + strconv.Quote(f.read.cel)
			}
			if f.write != nil {
				decl += ", write: " + strconv.Quote(f.write.cel)
			}
			fmt.Fprintf(&b, "      %s: { %s }\n", f.name, decl)
		}
		unique := "[code]"
		switch {
		case e.left != nil:
			unique += ", [left_id, right_id]"
		case e.of != nil:
			unique += ", [of_id, user_id]"
		}
		fmt.Fprintf(&b, "    unique: [%s]\n", unique)
		e.policyYAML(&b)
	}
	return b.String()
}

func (e *entity) policyYAML(b *strings.Builder) {
	if len(e.rules) == 0 {
		return
	}
	b.WriteString("    policy:\n")
	for _, r := range []struct {
		name string
		of   rule
	}{{"read", toRead}, {"create", toCreate}, {"delete", toDelete}} {
		if c := e.rules[r.of]; c != nil {
			fmt.Fprintf(b, "      %s: %q\n", r.name, c.cel)
		}
	}
	when, check := e.rules[toUpdate], e.rules[toCheck]
	switch {
	case when == nil:
	case check == when && e.only == nil:
		fmt.Fprintf(b, "      update: %q\n", when.cel)
	default:
		fmt.Fprintf(b, "      update:\n        when: %q\n", when.cel)
		if check != when {
			fmt.Fprintf(b, "        check: %q\n", check.cel)
		}
		if e.only != nil {
			fmt.Fprintf(b, "        fields: [%s]\n", strings.Join(e.only, ", "))
		}
	}
}

// config is pando.yaml.
const config = `app: matrix
auth:
  autoconfirm: true
  anonymous: true
  jwt_secret: secret:foreign
roles:
  staff: {}
  auditor: {}
  admin: { inherits: [staff] }
log: { access: false, level: error }
`
