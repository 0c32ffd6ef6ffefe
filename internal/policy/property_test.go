package policy

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// world is one row and one caller, as the oracle sees them: nil is null.
type world struct {
	row map[string]any // int, string, bool, []any
	id  *Identity
}

// term is an expression with its meaning, written down without the compiler.
type term struct {
	text string
	eval func(w world) Truth
}

// operandTerm is a value; nil is null, missing or without a value.
type operandTerm struct {
	text string
	eval func(w world) any
}

func rowField(name string) operandTerm {
	return operandTerm{"row." + name, func(w world) any { return w.row[name] }}
}

func claimTerm(name string) operandTerm {
	return operandTerm{"auth.claims." + name, func(w world) any { return w.id.Claims[name] }}
}

func drawInt(t *rapid.T) operandTerm {
	switch rapid.IntRange(0, 3).Draw(t, "int") {
	case 0:
		n := rapid.IntRange(0, 3).Draw(t, "n")
		return operandTerm{fmt.Sprint(n), func(world) any { return n }}
	case 1:
		return operandTerm{"size(auth.roles)", func(w world) any { return len(w.id.Roles) }}
	case 2:
		return operandTerm{"(6 / auth.claims.n)", func(w world) any {
			n, ok := asInt(w.id.Claims["n"])
			if !ok || n == 0 {
				return nil
			}
			return 6 / n
		}}
	}
	return claimTerm("n")
}

// asInt is a whole number: what JSON calls 3.0 is 3.
func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), float64(int(v)) == v
	}
	return 0, false
}

func compareInts(l, r operandTerm, op string) term {
	return term{l.text + " " + op + " " + r.text, func(w world) Truth {
		a, okA := asInt(l.eval(w))
		b, okB := asInt(r.eval(w))
		if !okA || !okB {
			return Unknown
		}
		switch op {
		case "==":
			return truth(a == b)
		case "!=":
			return truth(a != b)
		case "<":
			return truth(a < b)
		case "<=":
			return truth(a <= b)
		case ">":
			return truth(a > b)
		}
		return truth(a >= b)
	}}
}

func drawText(t *rapid.T) operandTerm {
	switch rapid.IntRange(0, 2).Draw(t, "text") {
	case 0:
		s := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "s")
		return operandTerm{"'" + s + "'", func(world) any { return s }}
	case 1:
		return operandTerm{"auth.email", func(w world) any {
			if w.id.Email == "" {
				return nil
			}
			return w.id.Email
		}}
	}
	return claimTerm("s")
}

func textTerm(l, r operandTerm, how string) term {
	text := l.text + " " + how + " " + r.text
	if how == "startsWith" || how == "contains" {
		text = l.text + "." + how + "(" + r.text + ")"
	}
	return term{text, func(w world) Truth {
		a, okA := l.eval(w).(string)
		b, okB := r.eval(w).(string)
		if !okA || !okB {
			return Unknown
		}
		switch how {
		case "==":
			return truth(a == b)
		case "!=":
			return truth(a != b)
		case "startsWith":
			return truth(strings.HasPrefix(a, b))
		}
		return truth(strings.Contains(a, b))
	}}
}

// inList is `code in auth.claims.l`: an or of comparisons, of which those with
// what is no text are unknown.
func inList(list any, v any) Truth {
	l, ok := list.([]any)
	if !ok {
		return Unknown
	}
	out := False
	for _, e := range l {
		s, isText := e.(string)
		switch {
		case !isText || v == nil:
			out = max(out, Unknown)
		case s == v:
			return True
		}
	}
	return out
}

func drawLeaf(t *rapid.T) term {
	intOp := func() string {
		return rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op")
	}
	textOp := func() string {
		return rapid.SampledFrom([]string{"==", "!=", "startsWith", "contains"}).Draw(t, "op")
	}
	constants := []term{
		{"auth.uid == null", func(w world) Truth { return truth(w.id.UID == "") }},
		{"auth.role != 'anon'", func(w world) Truth { return truth(w.id.Role != Anon) }},
		{"'staff' in auth.roles", func(w world) Truth { return truth(w.id.HasRole("staff")) }},
		{"auth.service", func(world) Truth { return False }},
		{"row.gift", func(w world) Truth { return truth(w.row["gift"] == true) }},
		{"row.code == null", func(w world) Truth { return truth(w.row["code"] == nil) }},
		{"row.qty != null", func(w world) Truth { return truth(w.row["qty"] != nil) }},
		{"row.code in auth.claims.l", func(w world) Truth { return inList(w.id.Claims["l"], w.row["code"]) }},
		{"row.code in auth.roles", func(w world) Truth {
			l := []any{}
			for _, r := range w.id.Roles {
				l = append(l, r)
			}
			return inList(l, w.row["code"])
		}},
		{"auth.claims.s in row.tags", func(w world) Truth {
			if s, ok := w.id.Claims["s"].(string); ok {
				return inList(w.row["tags"], s)
			}
			return Unknown
		}},
		{"'a' in auth.claims.l", func(w world) Truth {
			l, ok := w.id.Claims["l"].([]any)
			if !ok {
				return Unknown
			}
			out := False
			for _, e := range l {
				switch e {
				case "a":
					return True
				case nil:
					out = Unknown
				}
			}
			return out
		}},
		{"auth.claims.b", func(w world) Truth {
			if b, ok := w.id.Claims["b"].(bool); ok {
				return truth(b)
			}
			return Unknown
		}},
		{"row.gift == auth.claims.b", func(w world) Truth {
			if b, ok := w.id.Claims["b"].(bool); ok {
				return truth(b == w.row["gift"])
			}
			return Unknown
		}},
	}
	switch rapid.IntRange(0, 5).Draw(t, "leaf") {
	case 0:
		return compareInts(rowField("qty"), drawInt(t), intOp())
	case 1:
		return compareInts(drawInt(t), rowField("qty"), intOp())
	case 2:
		return textTerm(rowField("code"), drawText(t), textOp())
	case 3:
		return textTerm(drawText(t), rowField("code"), textOp())
	}
	return rapid.SampledFrom(constants).Draw(t, "constant")
}

func drawTerm(t *rapid.T, depth int) term {
	if depth == 0 {
		return drawLeaf(t)
	}
	switch rapid.IntRange(0, 4).Draw(t, "node") {
	case 0:
		a := drawTerm(t, depth-1)
		return term{"!(" + a.text + ")", func(w world) Truth { return -a.eval(w) }}
	case 1:
		a, b := drawTerm(t, depth-1), drawTerm(t, depth-1)
		return term{"(" + a.text + " && " + b.text + ")", func(w world) Truth { return min(a.eval(w), b.eval(w)) }}
	case 2:
		a, b := drawTerm(t, depth-1), drawTerm(t, depth-1)
		return term{"(" + a.text + " || " + b.text + ")", func(w world) Truth { return max(a.eval(w), b.eval(w)) }}
	case 3: // a fixed row of the left side keeps this out of CEL's own ternary, which is unknown with its condition
		c, a, b := drawTerm(t, depth-1), drawTerm(t, depth-1), drawTerm(t, depth-1)
		return term{"(" + c.text + " ? " + a.text + " || row.id == null : " + b.text + ")", func(w world) Truth {
			switch x, y := a.eval(w), b.eval(w); c.eval(w) {
			case True:
				return x
			case False:
				return y
			default:
				return max(min(Unknown, x), min(Unknown, y), min(x, y))
			}
		}}
	}
	return drawLeaf(t)
}

func drawWorld(t *rapid.T) world {
	maybe := func(name string, values ...any) any { return rapid.SampledFrom(append(values, nil)).Draw(t, name) }
	w := world{row: map[string]any{
		"qty": maybe("qty", 0, 1, 2, 3), "code": maybe("code", "a", "ab", "b", "staff"), "gift": rapid.Bool().Draw(t, "gift"),
		"tags": maybe("tags", []any{}, []any{"a"}, []any{"b", "ab"}),
	}, id: user("", rapid.SampledFrom([][]string{nil, {"staff"}, {"a", "staff"}}).Draw(t, "roles")...)}
	w.id.Role = rapid.SampledFrom([]Role{Anon, Authenticated}).Draw(t, "role")
	if w.id.Role == Authenticated {
		w.id.UID = ada
	}
	w.id.Email = rapid.SampledFrom([]string{"", "a", "ab"}).Draw(t, "email")
	w.id.Claims = map[string]any{}
	for _, claim := range []struct {
		name   string
		values []any
	}{
		{"n", []any{nil, 0.0, 2.0, 1.5, "2", true}},
		{"s", []any{nil, "a", "b", 2.0}},
		{"b", []any{nil, true, false, "true"}},
		{"l", []any{nil, "a", []any{}, []any{"a", "b"}, []any{"b", nil}, []any{"ab", 3.0}}},
	} {
		if v := rapid.SampledFrom(append(claim.values, "absent")).Draw(t, claim.name); v != "absent" {
			w.id.Claims[claim.name] = v
		}
	}
	return w
}

// asTexts is the row for the matcher.
func (w world) asTexts() texts {
	out := texts{"id": ada}
	for k, v := range w.row {
		switch v := v.(type) {
		case nil:
		case []any:
			parts := make([]string, len(v))
			for i, e := range v {
				parts[i] = fmt.Sprintf("%q", e)
			}
			out[k] = "[" + strings.Join(parts, ",") + "]"
		default:
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

// TestFoldedRulesAgree: for any rule, row and caller, what is left of the rule
// for the caller accepts the row exactly when the rule, taken as it is written
// with three truth values, is true: in memory with the caller's values bound,
// in memory by the filter with the values in it, and again from the cache.
func TestFoldedRulesAgree(t *testing.T) {
	app := loadClub(t, "")
	e := app.Entity("club", "orders")
	env, s, err := newEnv(app)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		rule := drawTerm(t, rapid.IntRange(0, 3).Draw(t, "depth"))
		c := &compiler{app: app, env: env, schema: s, rules: newRules()}
		u := Use{Entity: e, Rule: RuleRead}
		c.policy(u, &model.Expression{Source: rule.text}, scope{what: "a policy", row: true, relations: true, auth: true, request: true, now: true})
		if len(c.problems) > 0 {
			t.Fatalf("%s: %v", rule.text, c.problems)
		}
		for range 8 {
			w := drawWorld(t)
			want := rule.eval(w) == True
			if want {
				accepted++
			}
			g := c.rules.For(w.id)
			for range 2 {
				got, known, err := Judge(g, u, w.asTexts())
				if err != nil || !known || (got == True) != want {
					t.Fatalf("%s\nof %v for %+v\nis %v (known %v, %v), want %v", rule.text, w.row, w.id, got, known, err, want)
				}
				x, err := g.Filter(u)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := Eval(e, x, w.asTexts()); err != nil || (got == True) != want {
					t.Fatalf("%s\nfolds to %s, of %v for %+v\nis %v (%v), want %v", rule.text, Text(e, x), w.row, w.id, got, err, want)
				}
				args, err := g.Args(nil, u)
				if want := query.Literals(x, nil); err != nil || fmt.Sprint(args) != fmt.Sprint(want) {
					t.Fatalf("%s: the args are %v (%v), want %v", rule.text, args, err, want)
				}
				g = c.rules.For(w.id)
			}
		}
	})
	if accepted == 0 {
		t.Error("no rule accepted a row: the test shows nothing")
	}
}
