package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

const parted = `module: m
entities:
  orders:
    fields: { customer: uuid, total: { type: int, default: 0 } }
    partition: { by: customer, into: 8 }
    policy: { read: row.customer == auth.uid, update: { when: row.customer == auth.uid }, delete: row.customer == auth.uid }
  lines:
    fields: { order_id: { ref: orders, on_delete: cascade }, qty: { type: int, default: 1 } }
    partition: { with: order }
    policy: { read: row.order.customer == auth.uid, update: { when: row.order.customer == auth.uid } }
  slips:
    fields: { order_id: { ref: orders, link: loose } }
    policy: { read: row.order.customer == auth.uid }
`

const customer = "0195f0a0-0000-7000-8000-000000000007"

// TestPruning: a query that names the partition key, itself or by its policy,
// reads one partition of each table, and what reads all of them is known from
// the plan alone.
func TestPruning(t *testing.T) {
	url := database(t)
	d := open(t, url)
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: parted\n")}, "modules/m.yaml": {Data: []byte(parted)},
	}, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	err := d.Alter(t.Context(), func(tx store.Tx) error {
		for _, e := range app.Module("m").Entities {
			for _, sql := range d.Dialect().DDL(store.Change{Kind: store.CreateTable, Table: store.TableOf(e)}) {
				if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sql := psql(t, url)
	sql(`INSERT INTO m.orders (id,customer,total) SELECT gen_random_uuid(), ('0195f0a0-0000-7000-8000-'||lpad(to_hex(n%500),12,'0'))::uuid, n FROM generate_series(1,4000) n`)
	sql(`INSERT INTO m.lines (id,order_id,qty,_partition) SELECT gen_random_uuid(), id, 1, customer FROM m.orders, generate_series(1,3)`)
	sql(`INSERT INTO m.slips (id,order_id) SELECT gen_random_uuid(), id FROM m.orders WHERE customer='` + customer + `'`)
	sql(`ANALYZE`)

	// The rows of a divided table are those of its parts.
	estimate := &store.Statement{SQL: d.Dialect().Estimate(app.Entity("m", "orders"))}
	if err := d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(estimate, nil, func(row store.Row) error {
			if row.Int(0) != 4000 {
				t.Errorf("orders are estimated to be %d, want 4000", row.Int(0))
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}

	p := &store.Planner{App: app, Dialect: d.Dialect(), MaxRows: 100, MaxDepth: 8}
	user := rules.For(&policy.Identity{Role: policy.Authenticated, UID: customer})
	service := rules.For(&policy.Identity{Role: policy.Service})
	is := func(field string) query.Expr {
		return &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: field}}, Op: query.Eq, Right: &query.Literal{Text: customer}}
	}
	order := func(join query.Join) []query.Item {
		return []query.Item{query.Star{}, &query.Embed{Relation: "order", Join: join, Node: query.Node{Where: is("customer")}}}
	}
	lines := []query.Item{query.Star{}, &query.Embed{Relation: "lines"}}
	for _, c := range []struct {
		name, entity  string
		guard         policy.Guard
		node          query.Node
		orders, lines int    // partitions that are read
		scattered     string // entities
	}{
		{"the policy names the key", "orders", user, query.Node{}, 1, 0, ""},
		{"the filter names the key", "orders", service, query.Node{Where: is("customer")}, 1, 0, ""},
		{"the policy names the key of what lies with it", "lines", user, query.Node{}, 0, 1, ""},
		{"from the parent to what lies with it", "orders", user, query.Node{Select: lines}, 1, 1, ""},
		{"the service does so too", "orders", service, query.Node{Select: lines, Where: is("customer")}, 1, 1, ""},
		{"from what lies with it to the parent", "lines", service, query.Node{Select: order(query.Inner)}, 1, 1, ""},
		{"both policies", "lines", user, query.Node{Select: order(query.Left)}, 1, 1, ""},
		{"the id alone", "orders", service, query.Node{Where: is("id")}, 8, 0, "orders"},
		{"either of two", "orders", service, query.Node{Where: &query.Or{Args: []query.Expr{is("customer"), is("id")}}}, 8, 0, "orders"},
		{"a reference is not the key", "lines", service, query.Node{Where: is("order_id")}, 0, 8, "lines"},
		{"a loose reference", "slips", user, query.Node{}, 8, 0, "orders"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &query.Read{Target: query.Target{Entity: c.entity}, Node: c.node}
			plan, err := p.CompileRead(q, c.guard, store.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			text := explain(t, url, plan.SQL())
			if o, l := executed(text, "orders"), executed(text, "lines"); o != c.orders || l != c.lines {
				t.Errorf("%d partitions of orders and %d of lines are read, want %d and %d\n%s\n%s", o, l, c.orders, c.lines, plan.SQL(), text)
			}
			if got := names(plan.Scattered()); got != c.scattered {
				t.Errorf("the plan is said to read all partitions of %q, want %q", got, c.scattered)
			}
		})
	}
	w := &query.Write{Action: query.Update, Target: query.Target{Entity: "orders"}, Where: is("id"), Columns: []string{"total"}, Rows: [][]query.Cell{{{Kind: query.FromJSON, Raw: "1"}}}}
	set := []*model.Field{app.Entity("m", "orders").Field("total")}
	up, err := p.CompileUpdate(w, app.Entity("m", "orders"), set, set, user, rules)
	if err != nil {
		t.Fatal(err)
	}
	if text := explain(t, url, up.SQL()); executed(text, "orders") != 1 || len(up.Scattered()) > 0 {
		t.Errorf("an update of one's own row touches all partitions:\n%s\n%s", up.SQL(), text)
	}
}

// explain runs a statement whose parameters are the customer's id, or numbers.
func explain(t *testing.T, url, sql string) string {
	t.Helper()
	c, err := pgconn.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	sql = regexp.MustCompile(`\$\d+(::uuid)`).ReplaceAllString(sql, "'"+customer+"'$1")
	sql = regexp.MustCompile(`\$\d+`).ReplaceAllString(sql, "100")
	res, err := c.Exec(t.Context(), "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "+sql).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	var b strings.Builder
	for _, r := range res[0].Rows {
		fmt.Fprintf(&b, "%s\n", r[0])
	}
	return b.String()
}

// executed counts the partitions of a table that a plan has read.
func executed(text, table string) int {
	seen := map[string]bool{}
	at := regexp.MustCompile(`Scan .*on "?(` + table + `\.\d+)`)
	for line := range strings.Lines(text) {
		if m := at.FindStringSubmatch(line); m != nil && !strings.Contains(line, "never executed") {
			seen[m[1]] = true
		}
	}
	return len(seen)
}

func names(entities []*model.Entity) string {
	var out []string
	for _, e := range entities {
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

// TestMigratePartitions takes a divided schema through renames, and an empty
// one through a division; at the end of each the database is as the manifest
// says, without a word about the partitions.
func TestMigratePartitions(t *testing.T) {
	url := database(t)
	d := open(t, url)
	step := func(entities string) {
		t.Helper()
		app, problems := model.Load(fstest.MapFS{
			"pando.yaml": {Data: []byte("app: parted\n")}, "modules/m.yaml": {Data: []byte("module: m\nentities:\n" + entities)},
		}, nil, model.Features{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		plan, err := migrate.Prepare(t.Context(), d, app)
		if err != nil {
			t.Fatal(err)
		}
		if err := migrate.Apply(t.Context(), d, plan, migrate.Options{Allow: plan.Destructive()}); err != nil {
			t.Fatalf("%v: %v\n%s", err, errors.Unwrap(err), plan)
		}
		s, err := migrate.Inspect(t.Context(), d, app)
		if err != nil || !s.Pending.Empty() || len(s.Drift) > 0 {
			t.Fatalf("drift %q, pending %s, %v", s.Drift, s.Pending, err)
		}
	}
	step("  orders: { fields: { customer: int, note: { type: text, optional: true } } }\n  lines: { fields: { order_id: { ref: orders } } }\n")
	step("  orders: { fields: { customer: int, note: { type: text, optional: true } }, partition: { by: customer, into: 3 } }\n" +
		"  lines: { fields: { order_id: { ref: orders } }, partition: { with: order } }\n")
	sql := psql(t, url)
	sql(`INSERT INTO m.orders (id,customer) SELECT gen_random_uuid(), n FROM generate_series(1,50) n`)
	sql(`INSERT INTO m.lines (id,order_id,_partition) SELECT gen_random_uuid(), id, customer FROM m.orders`)
	step("  sales: { was: orders, fields: { buyer: { type: int, was: customer }, note: { type: text, optional: true } }, partition: { by: buyer, into: 3 }, search: [note] }\n" +
		"  lines: { fields: { sale_id: { ref: sales, was: order_id }, n: { type: int, default: 1 } }, partition: { with: sale }, unique: [[sale_id, n]] }\n")
	step("  sales: { fields: { buyer: int, note: { type: text, optional: true }, code: { type: text, optional: true } }, partition: { by: buyer, into: 3 } }\n" +
		"  lines: { fields: { sale_id: { ref: sales, on_delete: cascade }, n: { type: int, default: 1 } }, partition: { with: sale }, unique: [[sale_id, n]] }\n" +
		"  orders: { fields: { customer: int }, partition: { by: customer, into: 3 } }\n")
	sql(`DELETE FROM m.sales WHERE buyer=1`)
	count := &store.Statement{SQL: `SELECT count(*) FROM m.lines`}
	if err := d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(count, nil, func(row store.Row) error {
			if row.Int(0) != 49 {
				t.Errorf("%d lines are left, want 49", row.Int(0))
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}
