package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/model"
)

// club has relations of each kind: lines belong to orders, members stand
// between teams and users.
const club = `module: club
entities:
  teams:
    fields:
      name: { type: text }
      lead_id: { ref: auth.users, optional: true, on_delete: set_null }
    policy: { read: 'true' }
  members:
    fields:
      team_id: { ref: teams, on_delete: cascade }
      user_id: { ref: auth.users, on_delete: cascade }
      rank: { type: int, default: 0 }
    unique: [[team_id, user_id]]
  orders:
    fields:
      team_id: { ref: teams, on_delete: cascade, optional: true }
      owner_id: { ref: auth.users, on_delete: cascade, optional: true }
      status: { type: enum, values: [open, paid, shipped], default: open }
      total: { type: decimal, scale: 2 }
      qty: { type: int, optional: true }
      weight: { type: float, optional: true }
      gift: { type: bool, default: false }
      code: { type: text, optional: true }
      day: { type: date, optional: true }
      tags: { type: text, list: true, optional: true }
      sizes: { type: int, list: true, optional: true }
      meta: { type: json, optional: true }
      created_at: { type: timestamp, default: now() }
      secret: { type: text, optional: true, hidden: true }
      approver_id: { ref: auth.users, on_delete: set_null, optional: true, as: approver, inverse: approved }
%s
  lines:
    fields:
      order_id: { ref: orders, on_delete: cascade }
      product: { type: text }
      qty: { type: int, optional: true }
      price: { type: decimal, scale: 2, optional: true }
`

func loadClub(t testing.TB, policy string) *model.App {
	t.Helper()
	return loadModule(t, strings.Replace(club, "%s", policy, 1))
}

// callerOf reads "anon", or a user's id with JSON of {roles, claims, email,
// aal, method}.
func callerOf(t testing.TB, text string) *Identity {
	t.Helper()
	name, rest, _ := strings.Cut(text, " ")
	id := &Identity{Role: Authenticated, Request: &Request{Door: "rest", Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}}
	switch name {
	case "ada":
		id.UID = ada
	case "bob":
		id.UID = bob
	case "anon":
		id.Role = Anon
	default:
		t.Fatalf("who is %q?", text)
	}
	var more struct {
		Roles      []string
		Claims     map[string]any
		Email, AAL string
		Method     string
	}
	if rest != "" {
		if err := json.Unmarshal([]byte(rest), &more); err != nil {
			t.Fatalf("%s: %v", rest, err)
		}
	}
	id.Roles, id.Claims, id.Email, id.AAL, id.Request.Method = more.Roles, more.Claims, more.Email, more.AAL, more.Method
	return id
}

// TestFolding folds each rule of testdata/folding.txt for the callers below
// it, one a line, and compares what is left with what the file says.
func TestFolding(t *testing.T) {
	golden(t, "folding.txt", func(input string) string {
		source, callers, _ := strings.Cut(input, "\nas ")
		app := loadClub(t, "    policy: { update: { when: 'true', check: '"+strings.ReplaceAll(source, "'", "''")+"' } }")
		e := app.Entity("club", "orders")
		rules, problems := Compile(app)
		if len(problems) > 0 {
			return renderProblems(problems, model.Pos{Line: problems[0].Line, Column: e.Policy.Update.Check.Pos.Column})
		}
		var b strings.Builder
		u := Use{Entity: e, Rule: RuleCheck}
		for caller := range strings.SplitSeq(callers, "\nas ") {
			g := rules.For(callerOf(t, caller))
			b.WriteString(Text(e, filterOf(t, g, u)) + " [" + string(g.Signature(nil, u)) + "]\n")
		}
		return b.String()
	})
}
