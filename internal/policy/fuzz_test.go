package policy

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
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
		c := &compiler{app: app, env: env, schema: s, rules: &Rules{checks: map[*model.Entity][]CheckRule{}, defaults: map[*model.Field]DefaultFunc{}}}
		c.check(e, src)
		c.condition(e, src, scope{what: "a policy", row: true, relations: true, old: true, auth: true, request: true, now: true})
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
		if compute, ok := c.rules.Default(field); ok {
			if _, err := compute(Identity{}, nil, time.Unix(0, 0)); err != nil && fault.From(err).Code == fault.Internal {
				t.Errorf("the default %q fails: %v", source, fault.From(err).Cause)
			}
		}
	})
}
