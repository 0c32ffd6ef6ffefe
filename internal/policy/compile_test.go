package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

//nolint:gochecknoglobals // a test flag
var update = flag.Bool("update", false, "rewrite the golden files of testdata")

const shop = `module: shop
entities:
  orders:
    fields:
      customer_id: { ref: people, on_delete: cascade }
      status: { type: enum, values: [open, paid, shipped], default: open }
      total: { type: decimal, scale: 2, min: 0 }
      paid: { type: decimal, scale: 2, optional: true }
      rate: { type: decimal, scale: 4, optional: true }
      qty: { type: int, min: 1, max: 100 }
      left: { type: int, optional: true }
      exact: { type: decimal, scale: 18, optional: true }
      weight: { type: float, optional: true }
      note: { type: text, max: 500, optional: true }
      code: { type: text }
      gift: { type: bool, default: false }
      key: { type: uuid, optional: true }
      day: { type: date, optional: true }
      at: { type: time, optional: true }
      tags: { type: text, list: true, optional: true }
      sizes: { type: decimal, scale: 1, list: true, optional: true }
      meta: { type: json, optional: true }
      blob: { type: bytes, optional: true }
      created_at: { type: timestamp, default: now() }
      closed_at: { type: timestamp, optional: true }
%s
  people:
    fields:
      name: { type: text }
      boss_id: { ref: people, optional: true, on_delete: set_null }
%s
`

// load makes an application of the orders above with more keys of orders and
// more text at the end.
func load(t testing.TB, orders, rest string) *model.App {
	t.Helper()
	app, problems := tryLoad(orders, rest)
	for _, p := range problems {
		t.Fatalf("the application: %s", p)
	}
	return app
}

func tryLoad(orders, rest string) (*model.App, []model.Problem) {
	return model.Load(fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: shop\n")},
		"modules/shop.yaml": {Data: fmt.Appendf(nil, shop, orders, rest)},
	}, nil, model.Features{FieldPolicies: true})
}

// TestChecks compiles each expression of testdata/checks.txt as a check and
// compares conditions and problems with what the file says. The places are
// relative to the expression.
func TestChecks(t *testing.T) {
	golden(t, "checks.txt", func(source string) string {
		block := "    check:\n      - |-\n"
		for line := range strings.SplitSeq(source, "\n") {
			block += "        " + line + "\n"
		}
		app := load(t, strings.TrimSuffix(block, "\n"), "")
		e := app.Entity("shop", "orders")
		rules, problems := Compile(app)
		var b strings.Builder
		for _, r := range rules.Checks(e) {
			if r.Source != source {
				t.Errorf("the source is %q, want %q", r.Source, source)
			}
			b.WriteString(render(r.Expr) + "\n")
		}
		b.WriteString(renderProblems(problems, e.Checks[0].Pos))
		return b.String()
	})
}

// TestConditions type-checks the expressions of testdata/conditions.txt in the
// place that the first line of each names.
func TestConditions(t *testing.T) {
	golden(t, "conditions.txt", func(input string) string {
		place, source, _ := strings.Cut(input, "\n")
		quoted := "'" + strings.ReplaceAll(source, "'", "''") + "'"
		var orders, rest string
		switch place {
		case "read", "create", "delete":
			orders = "    policy: { " + place + ": " + quoted + " }"
		case "when":
			orders = "    policy: { update: { when: " + quoted + " } }"
		case "check":
			orders = "    policy: { update: { when: 'true', check: " + quoted + " } }"
		case "allow":
			rest = "operations:\n  place: { run: go, allow: " + quoted + " }"
		case "on update", "on create":
			rest = "events:\n  happened: { on: orders." + place[3:] + ", when: " + quoted + " }"
		default:
			t.Fatalf("unknown place %q", place)
		}
		_, problems := Compile(load(t, orders, rest))
		if len(problems) == 0 {
			return "ok\n"
		}
		return renderProblems(problems, model.Pos{Line: problems[0].Line, Column: 1})
	})
}

// golden runs the blocks of a file: input, a line of dashes, output, an empty
// line.
func golden(t *testing.T, name string, run func(input string) string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	blocks := 0
	for block := range strings.SplitSeq(strings.TrimRight(string(data), "\n"), "\n\n") {
		if strings.HasPrefix(block, "#") {
			out.WriteString(block + "\n\n")
			continue
		}
		input, want, _ := strings.Cut(block, "\n----\n")
		input = strings.TrimSuffix(input, "\n----")
		got := run(input)
		if want = strings.TrimRight(want, "\n") + "\n"; got != want && !*update {
			t.Errorf("%s\n got: %swant: %s", input, got, want)
		}
		blocks++
		out.WriteString(input + "\n----\n" + got + "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if blocks == 0 {
		t.Errorf("%s has no blocks", path)
	}
}

func renderProblems(problems []model.Problem, base model.Pos) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%d:%d: %s", p.Line-base.Line+1, p.Column-base.Column+1, p.Message)
		if p.Hint != "" {
			b.WriteString(" (" + p.Hint + ")")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// render shows a condition so that no two different ones look alike.
func render(x query.Expr) string {
	switch x := x.(type) {
	case *query.And:
		return renderAll("and", x.Args)
	case *query.Or:
		return renderAll("or", x.Args)
	case *query.Not:
		return "not(" + render(x.Arg) + ")"
	case *query.Const:
		return fmt.Sprint(x.Value)
	case *query.Compare:
		return renderOperand(x.Left) + " " + opName(x.Op) + " " + renderOperand(x.Right)
	}
	return fmt.Sprintf("%T", x)
}

func renderAll(name string, args []query.Expr) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = render(a)
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

func renderOperand(o query.Operand) string {
	switch o := o.(type) {
	case *query.FieldRef:
		s := strings.Join(append(o.Via, o.Path.Field), ".")
		for _, st := range o.Path.Steps {
			arrow := "->"
			if st.Text {
				arrow = "->>"
			}
			if st.ByKey {
				s += arrow + st.Key
			} else {
				s += fmt.Sprint(arrow, st.Index)
			}
		}
		return s
	case *query.Literal:
		return fmt.Sprintf("%q", o.Text)
	case *query.List:
		return fmt.Sprintf("%q", o.Texts)
	case *query.Word:
		return o.Word
	case *query.Call:
		names := []string{"length", "starts_with", "ends_with", "has_substring", "add", "sub", "mul", "neg"}
		parts := make([]string, len(o.Args))
		for i, a := range o.Args {
			parts[i] = renderOperand(a)
		}
		return names[o.Func] + "(" + strings.Join(parts, ", ") + ")"
	}
	return fmt.Sprintf("%T", o)
}

func opName(op query.Op) string {
	names := []string{"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "is", "isdistinct", "in", "cs", "cd", "ov"}
	if int(op) < len(names) {
		return names[op]
	}
	return fmt.Sprint(op)
}

// TestPlaces pins the places in the file for each way to write a scalar.
func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		check        string
		line, column int // of statsu, counted from the line of `check:`
	}{
		"plain":         {"    check: [ row.qty > 1 && row.statsu == row.code ]", 0, 33},
		"double quoted": {"    check: [ \"row.qty > 1 && row.statsu == 'open'\" ]", 0, 34},
		"single quoted": {"    check: [ 'row.qty > 1 && row.statsu == \"é\"' ]", 0, 34},
		"after é":       {"    check: [ 'row.note == \"é\" && row.statsu == \"a\"' ]", 0, 38},
		"literal block": {"    check:\n      - |\n        row.qty > 1 &&\n        row.qty < 9 &&\n          row.statsu == 'open'\n", 4, 15},
		"item":          {"    check:\n      - row.statsu == 'open'", 1, 13},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Compile(load(t, c.check, ""))
			base := strings.Count(shop[:strings.Index(shop, "%s")], "\n") + 1
			if len(problems) != 1 {
				t.Fatalf("got %v, want one problem", problems)
			}
			p := problems[0]
			if p.File != "modules/shop.yaml" || p.Line != base+c.line || p.Column != c.column {
				t.Errorf("got %s, want line %d, column %d", p, base+c.line, c.column)
			}
			if p.Hint != "did you mean status?" {
				t.Errorf("the hint is %q", p.Hint)
			}
		})
	}
}

func TestCheckNames(t *testing.T) {
	app := load(t, `    check:
      - "row.status != 'paid' || row.total > 0"
      - "row.total > row.paid"
      - "row.paid < row.total"
      - "row.total >= 1 && row.paid >= 1"
      - "1 < 2"`, "")
	rules, problems := Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []string{"orders_status_total_check", "orders_total_paid_check", "orders_paid_total_check", "orders_total_paid_check1", "orders_check"}
	got := rules.Checks(app.Entity("shop", "orders"))
	if len(got) != len(want) {
		t.Fatalf("got %d checks, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.Name != want[i] {
			t.Errorf("check %d is named %s, want %s", i, r.Name, want[i])
		}
	}
	long := &model.Entity{Name: strings.Repeat("e", 63)}
	if n := checkName(long, &query.Const{}, nil); len(n) > 63 || !strings.HasSuffix(n, "_check") {
		t.Errorf("the name %q is longer than PostgreSQL's names", n)
	}
}

// TestEveryProblem reports all expressions' problems at once, and keeps the
// rules of the others.
func TestEveryProblem(t *testing.T) {
	app := load(t, `    check: [ "row.totl > 1", "row.qty > 1" ]
    policy: { read: "auth.uuid == 'a'", create: "row.qty", delete: "true" }`, "")
	rules, problems := Compile(app)
	if len(problems) != 3 {
		t.Errorf("got %d problems, want 3: %v", len(problems), problems)
	}
	if got := rules.Checks(app.Entity("shop", "orders")); len(got) != 1 || got[0].Source != "row.qty > 1" {
		t.Errorf("the good check is not there: %v", got)
	}
}

// TestCompileTime holds the compiler to its share of a start with 1,000
// entities.
func TestCompileTime(t *testing.T) {
	app := load(t, `    check: [ "row.total > 0.10" ]`, "")
	m := app.Module("shop")
	orders := m.Entity("orders")
	for i := range 1000 {
		e := *orders
		e.Name = fmt.Sprintf("orders%d", i)
		if i%20 != 0 {
			e.Checks = nil
		}
		m.Entities = append(m.Entities, &e)
	}
	start := time.Now()
	if _, problems := Compile(app); len(problems) > 0 {
		t.Fatal(problems[0])
	}
	took := time.Since(start)
	t.Logf("1,000 entities, 50 with a check: %v", took)
	if took > 2*time.Second { // the aim is 300 ms; this machine may be busy
		t.Errorf("compiling took %v", took)
	}
}
