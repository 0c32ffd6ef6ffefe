package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/model"
)

// TestNullOfCallers is the table of every operator between a field of each type
// and a value of the caller, with null on the left, on the right and on both
// sides: neither the comparison nor its negation then accepts the row. What is
// of another type is as good as null.
func TestNullOfCallers(t *testing.T) {
	app := loadModule(t, `module: m
entities:
  e:
    fields:
      text: { type: text, optional: true }
      int: { type: int, optional: true }
      float: { type: float, optional: true }
      decimal: { type: decimal, scale: 2, optional: true }
      bool: { type: bool, optional: true }
      uuid: { type: uuid, optional: true }
      date: { type: date, optional: true }
      enum: { type: enum, values: [a, b], optional: true }
      timestamp: { type: timestamp, optional: true }
      list: { type: text, list: true, optional: true }
      json: { type: json, optional: true }
`)
	e := app.Entity("m", "e")
	env, s, err := newEnv(app)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	ordered := "== != < <= > >="
	same := map[string]bool{"==": true, "!=": false, "<": false, "<=": true, ">": false, ">=": true, "in": true, "contains": true, "startsWith": true, "endsWith": true}
	for _, c := range []struct {
		field, row string
		caller     string // the term of the caller
		value      any    // of the claim v; nil: the caller's value stands in the identity
		wrong      any    // a claim of no such type
		ops        string
	}{
		{"text", "a", "auth.claims.v", "a", 1.0, ordered + " startsWith endsWith contains"},
		{"text", ada, "auth.uid", nil, nil, ordered},
		{"text", "a@b.de", "auth.email", nil, nil, ordered + " startsWith"},
		{"text", "aal2", "auth.aal", nil, nil, "== !="},
		{"text", "POST", "request.method", nil, nil, "== !="},
		{"text", "a", "auth.claims.v", []any{"a"}, "a", "in"},
		{"int", "3", "auth.claims.v", 3.0, "3", ordered},
		{"int", "3", "(auth.claims.v + 1)", 2.0, "3", ordered},
		{"int", "3", "(6 / auth.claims.v)", 2.0, 0.0, ordered},
		{"int", "3", "auth.claims.v", []any{3.0}, 3.0, "in"},
		{"float", "1.5", "auth.claims.v", 1.5, true, ordered},
		{"decimal", "1.50", "auth.claims.v", 1.5, 1.505, ordered},
		{"decimal", "1.50", "auth.claims.v", []any{1.5}, "x", "in"},
		{"bool", "true", "auth.claims.v", true, "true", "== !="},
		{"uuid", ada, "auth.uid", nil, nil, ordered},
		{"uuid", ada, "auth.claims.v", strings.ToUpper(ada), "ada", ordered},
		{"date", "2026-01-02", "auth.claims.v", "2026-01-02", "today", ordered},
		{"enum", "a", "auth.claims.v", "a", "z", "== !="},
		{"timestamp", "2026-01-02T00:00:00Z", "now()", nil, nil, ordered},
		{"timestamp", "2026-01-02T00:00:00Z", "request.time", nil, nil, ordered},
		{"list", "{a,b}", "auth.claims.v", []any{"a", "b"}, []any{"a", nil}, "== !="},
		{"json.k", "", "auth.claims.v", "a", 1.0, "== !="},
	} {
		for op := range strings.FieldsSeq(c.ops) {
			rule := "row." + c.field + " " + op + " " + c.caller
			if same[op] && strings.HasSuffix(op, "s") || strings.HasSuffix(op, "With") {
				rule = "row." + c.field + "." + op + "(" + c.caller + ")"
			}
			empty := &Identity{Role: Authenticated}
			full := &Identity{
				Role: Authenticated, UID: ada, Email: "a@b.de", AAL: "aal2", Claims: map[string]any{"v": c.value},
				Request: &Request{Method: "POST", Time: at},
			}
			wrong := *empty
			wrong.Claims = map[string]any{"v": c.wrong}
			null := *empty
			null.Claims = map[string]any{"v": nil}
			row := texts{c.field: c.row}
			if c.field == "json.k" {
				row = texts{"json": `{"k":"a"}`}
			}
			judge := judging{t: t, app: app, e: e, compile: func() *compiler {
				return &compiler{app: app, env: env, schema: s, rules: newRules()}
			}}
			judge.expect(rule, full, row, truth(same[op]))
			for who, id := range map[string]*Identity{"empty": empty, "wrong": &wrong, "null": &null} {
				judge.refuse(rule, who, id, row)
				judge.refuse(rule, who, id, texts{})
			}
			judge.refuse(rule, "full", full, texts{})
		}
	}
}

type judging struct {
	t       *testing.T
	app     *model.App
	e       *model.Entity
	compile func() *compiler
}

func (j *judging) judge(rule string, id *Identity, row Row) Truth {
	j.t.Helper()
	c := j.compile()
	u := Use{Entity: j.e, Rule: RuleRead}
	c.policy(u, &model.Expression{Source: rule}, scope{what: "a policy", row: true, relations: true, auth: true, request: true, now: true})
	if len(c.problems) > 0 {
		j.t.Fatalf("%s: %v", rule, c.problems)
	}
	got, known, err := Judge(c.rules.For(id), u, row)
	if err != nil || !known {
		j.t.Fatalf("%s: %v, %v", rule, known, err)
	}
	return got
}

func (j *judging) expect(rule string, id *Identity, row Row, want Truth) {
	j.t.Helper()
	for _, c := range []struct {
		rule string
		want bool
	}{{rule, want == True}, {"!(" + rule + ")", want == False}} {
		if got := j.judge(c.rule, id, row); (got == True) != c.want {
			j.t.Errorf("%s of %v is %v, want %v", c.rule, row, got, c.want)
		}
	}
}

func (j *judging) refuse(rule, who string, id *Identity, row Row) {
	j.t.Helper()
	for _, r := range []string{rule, "!(" + rule + ")"} {
		if got := j.judge(r, id, row); got == True {
			j.t.Errorf("%s of %s accepts %s", r, fmt.Sprint(row), who)
		}
	}
}
