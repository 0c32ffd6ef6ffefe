package policy

import (
	"fmt"
	"slices"
	"testing"
)

// TestExplainParts: a condition about the caller is told part by part.
func TestExplainParts(t *testing.T) {
	app := loadModule(t, `module: m
entities:
  notes:
    fields: { title: text }
    policy:
      read: "row.title == 'x' && !(auth.aal == 'aal2' || 'staff' in auth.roles && auth.claims.n / 0 == 1)"
`)
	rules, problems := Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	e := app.Entity("m", "notes")
	x := Explain(rules.For(&Identity{Role: Authenticated, AAL: "aal1", Roles: []string{"staff"}}), Use{Entity: e, Rule: RuleRead})
	var got []string
	for _, term := range x.Callers {
		got = append(got, fmt.Sprint(term.Source, ": ", term.Truth))
	}
	want := []string{
		"auth.aal == 'aal2': false",
		"'staff' in auth.roles: true",
		"auth.claims.n / 0 == 1: unknown",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the caller's terms are\n%q\nwant\n%q", got, want)
	}
}

func TestNamesOld(t *testing.T) {
	app := loadModule(t, `module: m
entities:
  notes:
    fields: { title: text, n: int }
    policy:
      read: "true"
      update: { when: "true", check: "row.n > 0 || !(old.n + 1 == row.n)" }
`)
	rules, problems := Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	x := Explain(rules.For(&Identity{Role: Anon}), Use{Entity: app.Entity("m", "notes"), Rule: RuleCheck})
	var got []bool
	for _, c := range x.Conditions() {
		got = append(got, NamesOld(c))
	}
	if want := []bool{false, true, true}; !slices.Equal(got, want) {
		t.Errorf("old is named by %v, want %v: %s", got, want, x.Folded)
	}
}
