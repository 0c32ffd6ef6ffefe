package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// celist draws conditions in CEL about a row.
type celist struct {
	r *rand.Rand
	e *entity
}

// rule draws a condition; pure ones know nothing of the caller and of other
// rows, as checks must.
func (c *celist) rule(row string, depth int, pure bool) string {
	if depth > 0 {
		switch c.r.IntN(5) {
		case 0:
			return "!(" + c.rule(row, depth-1, pure) + ")"
		case 1:
			return "(" + c.rule(row, depth-1, pure) + " && " + c.rule(row, depth-1, pure) + ")"
		case 2, 3:
			return "(" + c.rule(row, depth-1, pure) + " || " + c.rule(row, depth-1, pure) + ")"
		}
	}
	if !pure {
		switch c.r.IntN(8) {
		case 0:
			return pick(c.r, []string{"auth.uid != null", "'staff' in auth.roles", "auth.role == 'authenticated'", "auth.email == 'a@b.c'"})
		case 1:
			if x := c.related(row); x != "" {
				return x
			}
		}
	}
	return c.atom(row, c.e, pure)
}

// related draws a condition on another row.
func (c *celist) related(row string) string {
	var to []string
	for _, f := range c.e.fields {
		if f.target != nil && len(f.target.fields) > 1 {
			to = append(to, c.atom(row+"."+f.relation, f.target, true))
		}
	}
	for _, f := range c.e.back {
		if of := f.owner; of != nil {
			to = append(to, fmt.Sprintf("%s.%s.exists(x, %s)", row, f.inverse, c.atom("x", of, true)))
		}
	}
	if len(to) == 0 {
		return ""
	}
	return pick(c.r, to)
}

// atom draws a comparison of a field.
func (c *celist) atom(row string, e *entity, pure bool) string {
	f := pick(c.r, e.fields)
	for f.hidden {
		f = pick(c.r, e.fields)
	}
	x := row + "." + f.name
	if f.optional && c.r.IntN(5) == 0 {
		return x + pick(c.r, []string{" == null", " != null"})
	}
	op := pick(c.r, []string{"==", "!=", "<", "<=", ">", ">="})
	if f.kind.list {
		return fmt.Sprintf("size(%s) %s %d", x, op, c.r.IntN(3))
	}
	switch f.kind.base {
	case "int":
		return c.number(row, e, f, x, op, pick(c.r, []string{"0", "1", "2", "10", "9223372036854775807", "-1"}))
	case "decimal":
		return c.number(row, e, f, x, op, pick(c.r, []string{"0", "1", "2", "10"}))
	case "float":
		return c.number(row, e, f, x, op, pick(c.r, []string{"0.5", "1.0", "0.0", "1e20"}))
	case "text":
		return c.textual(x, op, pure)
	case "bool":
		return pick(c.r, []string{x, "!" + x, x + " == true", x + " != false"})
	case "enum":
		return pick(c.r, []string{x + " == 'x'", x + " != 'y'", x + " in ['x', 'z']"})
	case "uuid":
		if !pure {
			return x + pick(c.r, []string{" == auth.uid", " != auth.uid"})
		}
		return x + " == '" + uids()[0] + "'"
	case "timestamp":
		if !pure {
			return x + " " + pick(c.r, []string{"<", ">"}) + " now()"
		}
	}
	if f.optional {
		return x + " != null"
	}
	return "true"
}

func (c *celist) number(row string, e *entity, f *field, x, op, lit string) string {
	var same []string
	for _, o := range e.fields {
		if o.kind.base == f.kind.base && !o.kind.list && !o.hidden && o.kind.decl == f.kind.decl {
			same = append(same, row+"."+o.name)
		}
	}
	if f.target != nil || f.name == "id" {
		return x + " " + op + " " + lit
	}
	switch c.r.IntN(6) {
	case 0:
		return fmt.Sprintf("%s %s %s %s %s", x, pick(c.r, []string{"+", "-", "*"}), lit, op, lit)
	case 1:
		return fmt.Sprintf("%s %s %s %s %s", x, pick(c.r, []string{"+", "-", "*"}), pick(c.r, same), op, lit)
	case 2:
		return fmt.Sprintf("-%s %s %s", x, op, lit)
	case 3:
		return fmt.Sprintf("%s %s %s", x, op, pick(c.r, same))
	}
	return x + " " + op + " " + lit
}

func (c *celist) textual(x, op string, pure bool) string {
	lit := pick(c.r, []string{"a", "b", "é", "ß", "A", "", "σ", "%", "_", "the"})
	switch c.r.IntN(7) {
	case 0:
		return fmt.Sprintf("%s.%s('%s')", x, pick(c.r, []string{"startsWith", "endsWith", "contains"}), lit)
	case 1:
		return fmt.Sprintf("size(%s) %s %d", x, op, c.r.IntN(4))
	case 2:
		return fmt.Sprintf("%s in ['a', '%s']", x, lit)
	case 3:
		if !pure {
			return x + " == auth.email"
		}
	}
	return strings.Join([]string{x, op, "'" + lit + "'"}, " ")
}
