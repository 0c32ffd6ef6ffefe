package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

const (
	ada = "0198f1c2-0000-7000-8000-00000000000a"
	bob = "0198f1c2-0000-7000-8000-00000000000b"
)

// rulesOf compiles the orders with a policy.
func rulesOf(t testing.TB, orders string) (*model.Entity, *Rules) {
	t.Helper()
	app := load(t, orders, "")
	rules, problems := Compile(app)
	for _, p := range problems {
		t.Fatal(p)
	}
	return app.Entity("shop", "orders"), rules
}

func readPolicy(source string) string {
	return "    policy: { read: '" + strings.ReplaceAll(source, "'", "''") + "' }"
}

func user(uid string, roles ...string) *Identity {
	return &Identity{Role: Authenticated, UID: uid, Roles: roles}
}

func filterOf(t testing.TB, g Guard, u Use) query.Expr {
	t.Helper()
	x, err := g.Filter(u)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// show is a filter as text; what nil stands for is written out.
func show(x query.Expr) string {
	if x == nil {
		return "all"
	}
	return render(x)
}

// TestArgs: what Args gives are the literals of Filter, in their order, and
// two guards with one signature have one condition up to literals.
func TestArgs(t *testing.T) {
	e, rules := rulesOf(t, readPolicy(`row.status == 'open' && row.customer_id == auth.uid || row.code in auth.claims.codes || auth.claims.tag in row.tags && row.qty > 3`))
	u := Use{Entity: e, Rule: RuleRead}
	shapes := map[string]string{}
	for _, id := range []*Identity{
		user(ada), user(bob), user(""),
		{Role: Authenticated, UID: ada, Claims: map[string]any{"codes": []any{"x", "y"}}},
		{Role: Authenticated, UID: bob, Claims: map[string]any{"codes": []any{"z"}, "tag": "t"}},
		{Role: Anon, Claims: map[string]any{"codes": []any{}, "tag": "t"}},
		{Role: Anon, Claims: map[string]any{"codes": "x", "tag": 1.0}},
	} {
		g := rules.For(id)
		x := filterOf(t, g, u)
		args, err := g.Args(nil, u)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(args), fmt.Sprint(query.Literals(x, nil)); got != want {
			t.Errorf("%s: the args are %s, want %s", show(x), got, want)
		}
		shape, _ := (&query.Read{Node: query.Node{Where: x}}).Shape(nil, nil)
		sig := string(g.Signature(nil, u))
		if before, ok := shapes[sig]; ok && before != string(shape) {
			t.Errorf("the signature %s stands for two shapes", sig)
		}
		shapes[sig] = string(shape)
	}
	if len(shapes) != 5 {
		t.Errorf("there are %d signatures, want 5", len(shapes))
	}
}

func TestServiceAndNobody(t *testing.T) {
	e, rules := rulesOf(t, readPolicy("true"))
	read, create := Use{Entity: e, Rule: RuleRead}, Use{Entity: e, Rule: RuleCreate}
	service := rules.For(&Identity{Role: Service})
	if x, err := service.Filter(create); x != nil || err != nil {
		t.Errorf("the service role: %v, %v", x, err)
	}
	if x, err := rules.For(&Identity{}).Filter(read); x != nil || !fault.Is(err, fault.MissingCredential) {
		t.Errorf("nobody: %v, %v", x, err)
	}
	for _, c := range []struct {
		id     *Identity
		status int
	}{{user(ada), 403}, {&Identity{Role: Anon}, 401}} {
		x, err := rules.For(c.id).Filter(create)
		if f := fault.From(err); x != nil || f.Code != fault.Forbidden || f.HTTPStatus() != c.status || f.Message != "permission denied for shop.orders" {
			t.Errorf("no rule, as %s: %v, %v", c.id.Role, x, err)
		}
		if x, err := rules.For(c.id).Filter(read); x != nil || err != nil {
			t.Errorf("read, as %s: %v, %v", c.id.Role, x, err)
		}
	}
	elsewhere := rules.For(&Identity{Role: Service, Modules: []string{"other"}})
	if _, err := elsewhere.Filter(read); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a key of another module: %v", err)
	}
	if got := string(elsewhere.Signature(nil, read)); got != "n" {
		t.Errorf("its signature is %q", got)
	}
}

// BenchmarkGuard is what a request pays for the usual rule.
func BenchmarkGuard(b *testing.B) {
	e, rules := rulesOf(b, readPolicy("row.customer_id == auth.uid || 'staff' in auth.roles"))
	id := &Identity{Role: Authenticated, UID: ada, Roles: []string{"a", "b"}, Request: &Request{Time: time.Unix(1, 0)}}
	u := Use{Entity: e, Rule: RuleRead}
	sig, args := make([]byte, 0, 64), make([]query.Arg, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		g := rules.For(id)
		sig = g.Signature(sig[:0], u)
		args, _ = g.Args(args[:0], u)
	}
}
