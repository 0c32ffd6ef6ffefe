package policy

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// FuzzCompile compiles any text as a check, as a condition and as a default.
// None may panic; a problem stands inside the text; what compiles can be
// answered and computed, with no fault but the documented ones.
func FuzzCompile(f *testing.F) {
	for _, name := range []string{"checks.txt", "conditions.txt"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for block := range strings.SplitSeq(string(data), "\n\n") {
			source, _, _ := strings.Cut(block, "\n----")
			if name == "conditions.txt" {
				_, source, _ = strings.Cut(source, "\n")
			}
			f.Add(source)
		}
	}
	rules, err := os.ReadFile("testdata/folding.txt")
	if err != nil {
		f.Fatal(err)
	}
	for block := range strings.SplitSeq(string(rules), "\n\n") {
		source, _, _ := strings.Cut(block, "\n")
		f.Add(strings.NewReplacer("row.owner", "row.customer", "row.lines", "row.customer.orders").Replace(source))
	}
	f.Add(strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100))
	f.Add(strings.Repeat("1+", 2000) + "1 > row.qty")
	f.Add("row.gift" + strings.Repeat(" ? row.gift : row.gift", 40))
	f.Add("row.meta" + strings.Repeat(".a", 2000) + " == null")
	app := load(f, "", "")
	e := app.Entity("shop", "orders")
	env, s, err := newEnv(app)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, source string) {
		src := &model.Expression{Source: source, Pos: model.Pos{File: "f", Line: 7, Column: 3}}
		c := &compiler{app: app, env: env, schema: s, rules: newRules()}
		c.check(e, src)
		use := Use{Entity: e, Rule: RuleRead}
		c.policy(use, src, scope{what: "a policy", row: true, relations: true, old: true, auth: true, request: true, now: true})
		field := &model.Field{Entity: e, Name: "x", Type: value.Type{Kind: value.JSON}, Default: &model.Default{Kind: model.DefaultCEL, Expr: src}}
		c.defaultValue(field)
		lines := strings.Count(source, "\n")
		for _, p := range c.problems {
			if p.Line < 7 || p.Line > 7+lines || p.Column < 3 || p.Column > 3+len(source)+1 || p.Message == "" || p.File != "f" {
				t.Errorf("the problem %q stands outside of the text", p)
			}
		}
		for _, r := range c.rules.Checks(e) {
			if _, err := Eval(e, r.Expr, texts{}); err != nil {
				t.Errorf("%q compiles to %s, which fails: %v", source, render(r.Expr), err)
			}
		}
		judgeFuzzed(t, c.rules, use)
		if compute, ok := c.rules.Default(field); ok {
			if _, err := compute(Identity{}, nil, time.Unix(0, 0)); err != nil && fault.From(err).Code == fault.Internal {
				t.Errorf("the default %q fails: %v", source, fault.From(err).Cause)
			}
		}
	})
}

// judgeFuzzed asks for a rule in every way that a request can.
func judgeFuzzed(t *testing.T, rules *Rules, u Use) {
	t.Helper()
	if rules.rules[u] == nil {
		return
	}
	for _, id := range []*Identity{{Role: Anon}, user(ada, "staff"), {
		Role: Authenticated, UID: ada, Claims: map[string]any{"n": 1.5, "l": []any{"a", nil}}, Request: &Request{Time: time.Unix(1, 0)},
	}} {
		g := rules.For(id)
		x, err := g.Filter(u)
		if err != nil {
			t.Fatal(err)
		}
		args, err := g.Args(nil, u)
		if err != nil || len(args) != len(query.Literals(x, nil)) {
			t.Errorf("%s has the args %v (%v)", Text(u.Entity, x), args, err)
		}
		if _, _, err := Judge(g, u, texts{}); err != nil && !fault.Is(err, fault.NumericOutOfRange) {
			t.Errorf("%s cannot be judged: %v", Text(u.Entity, x), err)
		}
	}
}
