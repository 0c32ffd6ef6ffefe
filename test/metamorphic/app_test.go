package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// field is one field of a drawn entity.
type field struct {
	name     string
	kind     kind
	optional bool
	hidden   bool
	search   bool
	owner    *entity // whose it is
	target   *entity // of a reference
	relation string
	inverse  string
}

// entity is one drawn entity.
type entity struct {
	name   string
	fields []*field // the key first
	unique [][]string
	back   []*field // the references that lead here
	search []string
	text   string
}

// uids are who calls, beside nobody and the service.
func uids() []string {
	return []string{"0198f1c2-0000-7000-8000-000000000001", "0198f1c2-0000-7000-8000-000000000002"}
}

// application is a drawn application.
type application struct {
	entities []*entity
	// strict: every reference restricts; otherwise none does. Where a row refers
	// to another one in both ways, PostgreSQL acts in the order of its triggers.
	strict bool
}

func drawApplication(r *rand.Rand) *application {
	a := &application{strict: r.IntN(3) == 0}
	for i := range 1 + r.IntN(3) {
		a.entities = append(a.entities, a.drawEntity(r, i))
	}
	for _, e := range a.entities {
		e.write(r, a.strict)
	}
	return a
}

// yaml is the module's file.
func (a *application) yaml() string {
	var b strings.Builder
	b.WriteString("module: t\nentities:\n")
	for _, e := range a.entities {
		b.WriteString(e.text)
	}
	return b.String()
}

// drawEntity draws the fields of an entity, which may refer to itself and to
// those before it.
func (a *application) drawEntity(r *rand.Rand, i int) *entity {
	e := &entity{name: fmt.Sprint("e", i)}
	all := kinds()
	key := scalars()[pick(r, []int{0, 0, 0, 1, 7})] // int, text, uuid
	e.fields = append(e.fields, &field{name: "id", kind: key})
	for j := range 2 + r.IntN(5) {
		f := &field{name: fmt.Sprint("f", j), kind: pick(r, all), optional: r.IntN(4) > 0}
		f.hidden = r.IntN(25) == 0
		if f.kind.base == "text" && !f.kind.list && !f.hidden {
			f.search = r.IntN(2) == 0
		}
		e.fields = append(e.fields, f)
	}
	if r.IntN(2) == 0 {
		e.fields = append(e.fields, &field{name: "owner", kind: scalars()[7], optional: true})
	}
	for j := range r.IntN(3) {
		to := e
		if n := r.IntN(i + 1); n < i {
			to = a.entities[n]
		}
		f := &field{
			name: fmt.Sprintf("r%d_id", j), kind: to.fields[0].kind, optional: r.IntN(5) > 0, owner: e, target: to,
			relation: fmt.Sprint("r", j), inverse: fmt.Sprintf("back%d%d", i, j),
		}
		e.fields = append(e.fields, f)
		to.back = append(to.back, f)
	}
	return e
}

// write draws what is said about the fields, and writes the entity down.
func (e *entity) write(r *rand.Rand, strict bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n    fields:\n", e.name)
	for i, f := range e.fields {
		decl := f.kind.decl
		if f.target != nil {
			decl = fmt.Sprintf("ref: %s, inverse: %s", f.target.name, f.inverse)
			switch {
			case strict:
				decl += pick(r, []string{"", ", on_delete: restrict"})
			case f.optional:
				decl += pick(r, []string{", on_delete: cascade", ", on_delete: set_null"})
			default:
				decl += ", on_delete: cascade"
			}
		}
		if i == 0 {
			decl += ", primary: true"
			if f.kind.base == "uuid" {
				decl += ", default: uuid()"
			}
		} else {
			decl += e.extras(r, f)
		}
		fmt.Fprintf(&b, "      %s: { %s }\n", f.name, decl)
	}
	e.keys(r, &b)
	if len(e.search) > 0 {
		fmt.Fprintf(&b, "    search: [%s]\n", strings.Join(e.search, ", "))
	}
	c := &celist{r: r, e: e}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "    check: [%q]\n", c.rule("row", 1, true))
	}
	if r.IntN(8) > 0 {
		b.WriteString("    policy:\n")
		for _, action := range []string{"read", "create", "update", "delete"} {
			switch r.IntN(12) {
			case 0:
			case 1, 2, 3, 4:
				fmt.Fprintf(&b, "      %s: \"true\"\n", action)
			default:
				fmt.Fprintf(&b, "      %s: %q\n", action, c.rule("row", 2, false))
			}
		}
	}
	e.text = b.String()
}

// extras are the optional parts of a field's declaration.
func (e *entity) extras(r *rand.Rand, f *field) string {
	decl := ""
	if f.optional {
		decl += ", optional: true"
	}
	if f.hidden {
		decl += ", hidden: true"
	}
	if f.search {
		e.search = append(e.search, f.name)
	}
	if f.target != nil || f.kind.list {
		return decl
	}
	if r.IntN(4) == 0 {
		switch f.kind.base {
		case "int", "decimal":
			decl += ", default: 3"
		case "text":
			decl += ", default: " + pick(r, []string{"'é'", "ß", `"'"`})
		case "timestamp":
			decl += ", default: now()"
			if r.IntN(2) == 0 {
				decl += ", on_update: now()"
			}
		case "uuid":
			decl += pick(r, []string{", default: uuid()", ", default: auth.uid"})
		case "enum":
			decl += ", default: y"
		case "bool":
			decl += ", default: true"
		}
	}
	if f.optional && r.IntN(12) == 0 {
		decl += fmt.Sprintf(", read: %q", (&celist{r: r, e: e}).rule("row", 1, false))
	}
	if r.IntN(15) == 0 {
		decl += fmt.Sprintf(", write: %q", (&celist{r: r, e: e}).rule("row", 0, false))
	}
	return decl
}

// keys draws unique keys and indexes.
func (e *entity) keys(r *rand.Rand, b *strings.Builder) {
	var plain []string
	for _, f := range e.fields[1:] {
		if !f.kind.list && f.kind.base != "json" && f.kind.base != "float" && !f.hidden {
			plain = append(plain, f.name)
		}
	}
	if len(plain) == 0 {
		return
	}
	if r.IntN(3) == 0 {
		key := []string{pick(r, plain)}
		if second := pick(r, plain); second != key[0] && r.IntN(2) == 0 {
			key = append(key, second)
		}
		e.unique = append(e.unique, key)
		fmt.Fprintf(b, "    unique: [[%s]]\n", strings.Join(key, ", "))
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(b, "    index: [[%s]]\n", pick(r, plain))
	}
}
