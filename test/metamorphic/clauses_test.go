package metamorphic

import (
	"fmt"
	"strings"
)

// embedding is a relation that a select list holds.
type embedding struct {
	name string
	to   *entity
	one  bool
}

// selection draws a select list.
func (a *asker) selection(e *entity, depth int) (list string, embedded []embedding, grouped []string) {
	var items []string
	if depth < 2 && a.chance(5) {
		list, grouped = a.aggregates(e)
		return list, nil, grouped
	}
	if a.chance(4) {
		items = append(items, "*")
	} else {
		for range 1 + a.r.IntN(3) {
			items = append(items, a.column(e))
		}
	}
	if depth < 2 {
		for range a.r.IntN(2) {
			item, em, ok := a.embed(e, depth)
			if ok {
				items = append(items, item)
				embedded = append(embedded, em)
			}
		}
	}
	return strings.Join(items, ","), embedded, nil
}

func (a *asker) visible(e *entity) *field {
	for {
		if f := pick(a.r, e.fields); !f.hidden || a.chance(20) {
			return f
		}
	}
}

// place is a field, or a place within one.
func (a *asker) place(f *field) string {
	if f.kind.base != "json" && !f.kind.list || !a.chance(2) {
		return f.name
	}
	out := f.name
	for range 1 + a.r.IntN(2) {
		out += "->" + pick(a.r, []string{"a", "b", "0", "1", "-1", "a", "bb", "é", "0"})
	}
	if a.chance(2) {
		i := strings.LastIndex(out, "->")
		out = out[:i] + "->>" + out[i+2:]
	}
	return out
}

func (a *asker) column(e *entity) string {
	f := a.visible(e)
	out := a.name() + ":" + a.place(f)
	if a.chance(5) {
		out += "::" + pick(a.r, a.casts(f, out))
	}
	return out
}

// fallible are casts that may fail: they keep a request from having a page,
// since which of the rows outside of it a store casts too is its own affair.
// For the same reason there is one of them.
func (a *asker) fallible(types ...string) []string {
	if a.daring {
		return types[:1]
	}
	a.daring = true
	return types
}

// casts are the types that a place is cast to: most often with success.
func (a *asker) casts(f *field, place string) []string {
	switch {
	case a.chance(8):
		return a.fallible("text", "int", "float", "json", "bool", "date", "timestamptz", "time", "uuid", "numeric", "text[]", "bytea")
	case strings.Contains(place, "->") || f.kind.list:
		if strings.Contains(place, "->>") {
			return a.fallible("text", "json")
		}
		return []string{"text", "json"}
	}
	switch f.kind.base {
	case "int":
		return a.fallible("text", "float", "bool", "json", "numeric")
	case "decimal":
		return []string{"text", "float", "int", "json"}
	case "float":
		return a.fallible("text", "int", "json")
	case "timestamp":
		return []string{"text", "date", "time", "json"}
	case "date":
		return []string{"text", "timestamptz", "json"}
	case "text":
		return a.fallible("text", "varchar", "int", "bool", "float", "json", "date", "timestamptz", "uuid", "time")
	case "enum":
		return a.fallible("text", "json")
	}
	return []string{"text", "json"}
}

// aggregates draws a list with aggregates, and what it groups by.
func (a *asker) aggregates(e *entity) (list string, grouped []string) {
	var items []string
	used := map[string]bool{}
	for range a.r.IntN(3) {
		f := a.visible(e)
		if f.kind.list || f.kind.base == "json" || used[f.name] {
			continue
		}
		used[f.name] = true
		items, grouped = append(items, f.name), append(grouped, f.name)
	}
	for range 1 + a.r.IntN(2) {
		f := a.visible(e)
		x := a.name() + ":"
		switch {
		case a.chance(3):
			x += "count()"
		case f.kind.list || f.kind.base == "json" || f.kind.base == "bool":
			x += f.name + ".count()"
		default:
			fns := []string{".min()", ".max()", ".count()"}
			switch f.kind.base {
			case "int", "decimal", "float":
				fns = append(fns, ".sum()", ".avg()")
			case "uuid", "bytes":
				fns = fns[2:]
			}
			x += f.name + pick(a.r, fns)
			if a.chance(8) {
				x += "::text"
			}
		}
		items = append(items, x)
	}
	if grouped == nil {
		grouped = []string{}
	}
	return strings.Join(items, ","), grouped
}

// embed draws a relation with its list.
func (a *asker) embed(e *entity, depth int) (string, embedding, bool) {
	var ways []embedding
	for _, f := range e.fields {
		if f.target != nil {
			ways = append(ways, embedding{f.relation, f.target, true})
		}
	}
	for _, f := range e.back {
		ways = append(ways, embedding{f.inverse, f.owner, false})
	}
	if len(ways) == 0 {
		return "", embedding{}, false
	}
	w := pick(a.r, ways)
	list, _, _ := a.selection(w.to, depth+1)
	out := w.name
	if a.chance(3) {
		out += "!inner"
	}
	out += "(" + list + ")"
	if w.one && a.chance(4) && !strings.Contains(list, "*") {
		return "..." + out, w, true
	}
	alias := a.name()
	w.name = alias
	return alias + ":" + out, w, true
}

// order draws an order.
func (a *asker) order(e *entity, embedded []embedding, grouped []string) string {
	var terms []string
	for range 1 + a.r.IntN(2) {
		f := a.visible(e)
		if f.kind.list && !a.chance(20) {
			continue
		}
		t := a.place(f)
		if grouped != nil {
			if len(grouped) == 0 {
				continue
			}
			t = pick(a.r, grouped)
		}
		for _, em := range embedded {
			if em.one && a.chance(4) && strings.HasPrefix(em.name, "x") {
				if f := a.visible(em.to); !f.kind.list {
					t = em.name + "(" + f.name + ")"
				}
			}
		}
		t += pick(a.r, []string{"", ".desc", ".asc", ".nullsfirst", ".nullslast", ".desc.nullslast", ".asc.nullsfirst"})
		terms = append(terms, t)
	}
	return strings.Join(terms, ",")
}

// filters draws n filters.
func (a *asker) filters(e *entity, embedded []embedding, n int) (ps [][2]string) {
	for range n {
		switch {
		case a.chance(5):
			ps = append(ps, [2]string{pick(a.r, []string{"or", "and", "not.or", "not.and"}), a.tree(e, 1)})
		case len(embedded) > 0 && a.chance(3):
			em := pick(a.r, embedded)
			if a.chance(4) {
				ps = append(ps, [2]string{em.name, pick(a.r, []string{"is.null", "not.is.null"})})
				continue
			}
			f := a.visible(em.to)
			place := a.place(f)
			ps = append(ps, [2]string{em.name + "." + place, a.condition(em.to, f, place, false)})
		default:
			f := a.visible(e)
			place := a.place(f)
			ps = append(ps, [2]string{place, a.condition(e, f, place, false)})
		}
	}
	return ps
}

// tree draws what and and or hold.
func (a *asker) tree(e *entity, depth int) string {
	var parts []string
	for range 1 + a.r.IntN(3) {
		if depth > 0 && a.chance(4) {
			parts = append(parts, pick(a.r, []string{"and", "or", "not.and"})+a.tree(e, depth-1))
			continue
		}
		f := a.visible(e)
		place := a.place(f)
		parts = append(parts, place+"."+a.condition(e, f, place, true))
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// condition draws an operator and its value.
func (a *asker) condition(e *entity, f *field, place string, tree bool) string {
	not := ""
	if a.chance(5) {
		not = "not."
	}
	text := func() string {
		t := f.kind.filterText(a.r)
		switch {
		case strings.Contains(place, "->>"), f.kind.base != "json" && strings.Contains(place, "->"):
			t = plain(pick(a.r, []string{`"a"`, "1", "true", "1.50", `"x"`, "null", "100", `"é"`, "[1,2]"}))
		case f.name == "id":
			t = plain(a.key(e))
		case f.target != nil:
			t = plain(a.key(f.target))
		}
		return t
	}
	wrap := func(s string) string {
		if tree {
			return quoted(s)
		}
		return s
	}
	switch n := a.r.IntN(16); {
	case n < 6:
		return not + pick(a.r, []string{"eq", "eq", "neq", "gt", "gte", "lt", "lte", "isdistinct"}) + "." + wrap(text())
	case n < 8:
		return not + "is." + pick(a.r, []string{"null", "not_null", "true", "false", "unknown", "null"})
	case n < 10:
		var list []string
		for range a.r.IntN(4) {
			list = append(list, quoted(text()))
		}
		return not + "in.(" + strings.Join(list, ",") + ")"
	case n < 11:
		return not + pick(a.r, []string{"eq", "gt", "lt", "gte"}) + pick(a.r, []string{"(any)", "(all)"}) + "." + wrap("{"+quoted(text())+","+quoted(text())+"}")
	case f.search && n < 13:
		return not + pick(a.r, []string{"fts", "plfts", "phfts", "wfts"}) + "." + wrap(pick(a.r, searches()))
	case f.kind.list || f.kind.base == "json":
		if f.kind.list && a.chance(2) {
			return not + pick(a.r, []string{"cs", "cd", "ov"}) + "." + wrap(text())
		}
		return not + pick(a.r, []string{"cs", "cd"}) + "." + wrap(text())
	case f.kind.base != "text" && !strings.Contains(place, "->>") && !a.chance(30):
		return not + pick(a.r, []string{"eq", "neq", "gt", "lte"}) + "." + wrap(text())
	case n < 14:
		pattern := pick(a.r, []string{"*a*", "a%", "%ß%", "%s", "_", "__", "a\\%b", "%\\_%", "%\\", "*Σ*", "i%", "ı", "%É%", "", "%", "k", "ss%", "fi", "%\\\\%", "\\a"})
		return not + pick(a.r, []string{"like", "ilike"}) + pick(a.r, []string{"", "", ""}) + "." + wrap(pattern)
	default:
		pattern := pick(a.r, []string{"a", "^a", "b$", "^.$", "[a-c]+", "é", "^[^a]", "(a|b)c?", "a.c", "\\d+", "\\s", "\\w", "^$", "[[:alpha:]]", "(", "a{2}", "ß", "\\.", "(?i)a", "x*"})
		return not + pick(a.r, []string{"match", "imatch"}) + "." + wrap(pattern)
	}
}

func searches() []string {
	return []string{
		"a", "quick", "quick & fox", "quick | foxes", "!quick", "fox:*", "quick <-> brown", "(", "a & ", "the", "STRASSE", "straße", "don't", "42", "3.14", "brown-fox", `"quick brown" -the or 42`, "über", "Ὀδυσσεύς",
		"-a", "a or b", "'a b'", "a:b", "", " ", "*", "ß | ss", "a.b@c.de", "x1y2", "é", "É", "i", "İ", "ı", "fox <2> quick",
	}
}

// describe names the application in a report.
func (a *application) describe() string { return fmt.Sprintf("modules/t.yaml:\n%s", a.yaml()) }
