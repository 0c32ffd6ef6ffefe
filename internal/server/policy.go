package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// The answers of a policy's term.
const (
	AnswerYes     = "yes"
	AnswerNo      = "no"
	AnswerUnknown = "unknown"   // as good as no
	AnswerOpen    = "not known" // it names what one stored row does not tell
)

// PolicyAnswer is the answer to `pando policy explain`.
type PolicyAnswer struct {
	Entity string        `json:"entity"`
	Do     string        `json:"do"`
	Caller PolicyCaller  `json:"caller"`
	Rules  []PolicyRule  `json:"rules"`
	Fields []PolicyField `json:"fields"`
	SQL    []string      `json:"sql,omitempty"`
	Denied string        `json:"denied,omitempty"` // why nothing would run
	Row    string        `json:"row,omitempty"`
	// Verdict is what the rules together say of the row: yes or no; "not there".
	Verdict string `json:"verdict,omitempty"`
}

// PolicyCaller is for whom a policy is explained.
type PolicyCaller struct {
	Role  policy.Role `json:"role"`
	UID   string      `json:"uid,omitempty"`
	Email string      `json:"email,omitempty"`
	Roles []string    `json:"roles,omitempty"`
}

// PolicyRule is one rule for the caller.
type PolicyRule struct {
	Rule   string       `json:"rule"`             // read, create, update.when, update.check, delete
	Source string       `json:"source,omitempty"` // as it is written; empty: none is asked
	Place  string       `json:"place,omitempty"`  // file:line:column; empty: built in
	Reason string       `json:"reason,omitempty"` // why no rule is asked
	Folded string       `json:"folded"`           // for this caller, with the values
	Caller []PolicyTerm `json:"caller,omitempty"` // the terms that know only the caller
	Row    []PolicyTerm `json:"row,omitempty"`    // those that know the row; the last is the whole
}

// PolicyTerm is a part of a rule.
type PolicyTerm struct {
	Term   string `json:"term"`
	Answer string `json:"answer"`
}

// PolicyField is what the caller may do with a field: yes, no, or in which rows.
type PolicyField struct {
	Name  string      `json:"name"`
	Read  string      `json:"read"`
	Write string      `json:"write"`
	Rules []FieldRule `json:"rules,omitempty"` // of its own
}

// FieldRule is a rule of a field.
type FieldRule struct {
	PolicyRule
	Answer string `json:"answer,omitempty"` // in the row that was asked for
}

// policyCommands are the endpoints of `pando policy`.
func (n *Node) policyCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /policy/explain", n.cmdExplain)
}

func (n *Node) cmdExplain(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	action, err := parseAction(v.Get("do"))
	if err != nil {
		return err
	}
	q := &engine.Question{Action: action, Target: target(v.Get("entity"))}
	if v.Has("row") {
		if action == query.Create {
			return fault.New(fault.BadRequest, "a create has no stored row").WithHint("leave --row out, or ask for update")
		}
		key := v.Get("row")
		q.Key = &key
	}
	if err := n.Engine().Known(q.Target); err != nil {
		return err
	}
	id, err := n.identityOf(r.Context(), v.Get("as"))
	if err != nil {
		return err
	}
	id.Request = &policy.Request{Door: "rest", Method: methodOf(action), Version: "v1", Time: time.Now()}
	d, err := n.Engine().Decide(r.Context(), id, q)
	if err != nil {
		return err
	}
	return answer(w, policyAnswer(&id, q, d))
}

func parseAction(name string) (query.Action, error) {
	names := []string{"read", "create", "update", "delete"}
	if at := slices.Index(names, name); at >= 0 {
		return []query.Action{query.ReadRows, query.Create, query.Update, query.Delete}[at], nil
	}
	f := fault.New(fault.BadRequest, "%q is no action", name)
	if near := fault.Nearest(name, names); near != "" {
		return 0, f.WithHint("did you mean %s?", near)
	}
	return 0, f.WithHint("one of %s", strings.Join(names, ", "))
}

// methodOf is how the REST door is asked for an action.
func methodOf(a query.Action) string {
	switch a {
	case query.Create:
		return http.MethodPost
	case query.Update:
		return http.MethodPatch
	case query.Delete:
		return http.MethodDelete
	case query.ReadRows:
	}
	return http.MethodGet
}

// identityOf is the caller that a command names.
func (n *Node) identityOf(ctx context.Context, as string) (policy.Identity, error) {
	roles, ok := strings.CutPrefix(as, "role:")
	switch {
	case ok:
		return somebody(n.Application().Model, strings.Split(roles, ","))
	case as == model.TestAnon:
		return policy.Identity{Role: policy.Anon}, nil
	case as == model.TestService:
		return policy.Identity{Role: policy.Service}, nil
	}
	return n.auth.IdentityOf(ctx, as)
}

// somebody has roles and no account, like the holder of a key with roles.
func somebody(app *model.App, roles []string) (policy.Identity, error) {
	for _, r := range roles {
		if _, ok := app.Config.Roles[r]; ok {
			continue
		}
		f := fault.New(fault.BadRequest, "there is no role %q", r)
		var have []string
		for name := range app.Config.Roles {
			have = append(have, name)
		}
		slices.Sort(have)
		if near := fault.Nearest(r, have); near != "" {
			return policy.Identity{}, f.WithHint("did you mean %s?", near)
		}
		return policy.Identity{}, f.WithHint("pando.yaml declares: %s", strings.Join(have, ", "))
	}
	return policy.Identity{Role: policy.Authenticated, Roles: auth.RolesOf(app, roles)}, nil
}

func policyAnswer(id *policy.Identity, q *engine.Question, d *engine.Decision) *PolicyAnswer {
	a := &PolicyAnswer{
		Entity: d.Entity.QualifiedName(), Do: policy.RuleOf(q.Action).String(), SQL: d.SQL,
		Caller: PolicyCaller{Role: id.Role, UID: id.UID, Email: id.Email, Roles: id.Roles},
	}
	if d.Denied != nil {
		a.Denied = fault.From(d.Denied).Message
	}
	for i := range d.Rules {
		a.Rules = append(a.Rules, policyRule(&d.Rules[i]))
	}
	for i := range d.Fields {
		if f := &d.Fields[i]; !f.Field.Hidden || f.Writable {
			a.Fields = append(a.Fields, policyField(f))
		}
	}
	if q.Key == nil {
		return a
	}
	a.Row, a.Verdict = *q.Key, "not there"
	if d.Found {
		a.Verdict = verdict(d)
	}
	return a
}

// verdict is what the rules that judged the row say together.
func verdict(d *engine.Decision) string {
	for i := range d.Rules {
		if terms := d.Rules[i].Terms; len(terms) > 0 {
			if last := terms[len(terms)-1]; last.Known && last.Truth != policy.True {
				return AnswerNo
			}
		}
	}
	if d.Denied != nil {
		return AnswerNo
	}
	return AnswerYes
}

func policyRule(r *engine.RuleDecision) PolicyRule {
	p := PolicyRule{Rule: r.Rule.String(), Source: r.Source, Reason: r.Reason, Folded: r.Folded, Caller: policyTerms(r.Callers), Row: policyTerms(r.Terms)}
	switch r.Rule { //nolint:exhaustive // the others are called as the module language calls them
	case policy.RuleUpdate:
		p.Rule = "update.when"
	case policy.RuleCheck:
		p.Rule = "update.check"
	}
	if r.Pos.Line > 0 {
		p.Place = r.Pos.String()
	}
	return p
}

func policyTerms(terms []policy.Term) []PolicyTerm {
	var out []PolicyTerm
	for _, t := range terms {
		p := PolicyTerm{Term: t.Source, Answer: AnswerOpen}
		if t.Known {
			switch t.Truth {
			case policy.True:
				p.Answer = AnswerYes
			case policy.False:
				p.Answer = AnswerNo
			case policy.Unknown:
				p.Answer = AnswerUnknown
			}
		}
		out = append(out, p)
	}
	return out
}

func policyField(f *engine.FieldDecision) PolicyField {
	p := PolicyField{Name: f.Field.Name, Read: yesNo(f.Visible), Write: yesNo(f.Writable)}
	for _, own := range []struct {
		rule *engine.RuleDecision
		at   *string
		may  bool
	}{{f.Read, &p.Read, f.Visible}, {f.Write, &p.Write, f.Writable}} {
		if own.rule == nil {
			continue
		}
		r := FieldRule{PolicyRule: policyRule(own.rule)}
		if n := len(r.Row); n > 0 {
			r.Answer = r.Row[n-1].Answer
		}
		if own.may && r.Folded != "true" {
			*own.at = "where " + r.Folded
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

func yesNo(b bool) string {
	if b {
		return AnswerYes
	}
	return AnswerNo
}
