package pull

import (
	"strconv"

	"github.com/pandobase/pando/internal/value"
)

// fold takes a condition as the limits of one field's type. false: it is none.
func (w *celWriter) fold(n *node) bool {
	switch n.kind {
	case nullNode: // x IS NOT NULL: what a required field is
		f := w.column(n.args[0])
		return f != nil && n.text == "NOT" && !f.optional
	case anyNode:
		f := w.column(n.args[0])
		if f == nil || f.kind != value.Text || n.text != "=" || f.primary || f.ref != nil {
			return false
		}
		var words []string
		for _, a := range n.args[1].args {
			if a.kind != textNode {
				return false
			}
			words = append(words, a.text)
		}
		f.kind, f.values, f.max = value.Enum, words, ""
		return true
	case compareNode:
	default:
		return false
	}
	x, y := n.args[0], n.args[1]
	if f := w.sized(x); f != nil && f.ref == nil && y.kind == numberNode && isInt(y.text) {
		return f.bound(n.text, y.text, true)
	}
	f := w.column(x)
	switch {
	case f == nil || f.ref != nil:
	case f.kind == value.Text && n.text == "<>" && y.kind == textNode && y.text == "" && f.min == "":
		f.min = "1"
		return true
	case y.kind == numberNode && (f.kind == value.Int || f.kind == value.Decimal || f.kind == value.Float):
		if _, ok := literalOf(f, y); ok {
			return f.bound(n.text, y.text, f.kind == value.Int)
		}
	}
	return false
}

// bound sets min or max, unless there is one already. Only whole numbers have
// a next one.
func (f *field) bound(op, number string, whole bool) bool {
	if op == ">" || op == "<" {
		n, err := strconv.ParseInt(number, 10, 32)
		if !whole || err != nil {
			return false
		}
		if op == ">" {
			op, n = ">=", n+1
		} else {
			op, n = "<=", n-1
		}
		number = strconv.FormatInt(n, 10)
	}
	place := &f.min
	switch op {
	case ">=":
	case "<=":
		place = &f.max
		if f.kind == value.Text && f.max != "" { // the shorter of two lengths
			have, _ := strconv.Atoi(f.max)
			if asked, _ := strconv.Atoi(number); asked < have {
				f.max = number
			}
			return true
		}
	default:
		return false
	}
	if *place != "" || f.kind == value.Text && number[0] == '-' {
		return false
	}
	*place = number
	return true
}
