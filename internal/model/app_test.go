package model

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/value"
)

func goldenApp(t *testing.T, name string) *App {
	t.Helper()
	for _, g := range goldens(t, "good") {
		if strings.HasSuffix(g.path, name+".txtar") {
			app, problems := Load(g.files, g.env, g.feature)
			if app == nil {
				t.Fatalf("problems:\n%s", problemText(problems))
			}
			return app
		}
	}
	t.Fatalf("no golden file %s", name)
	return nil
}

func TestDesignEntity(t *testing.T) {
	app := goldenApp(t, "design")
	orders := app.Entity("orders", "orders")
	if orders == nil || app.Entity("", "orders") != orders || app.Module("orders").Entity("orders") != orders {
		t.Fatal("orders is not found in every way")
	}
	if app.Entity("", "users") != nil {
		t.Error("auth.users is found without its module: an application may have users of its own")
	}
	users := app.Entity("auth", "users")
	if users == nil || users.Internal || !app.Entity("auth", "sessions").Internal || users.Primary.Name != "id" || !users.Field("email").Optional {
		t.Fatalf("auth.users is %+v", users)
	}

	customer := orders.Field("customer_id")
	if customer.Type.Kind != value.UUID || customer.Default.Kind != DefaultAuthUID {
		t.Errorf("customer_id is %v with default %v", customer.Type, customer.Default)
	}
	want := Ref{Target: users, Relation: "customer", OnDelete: Cascade, Pos: Pos{"modules/orders.yaml", 6, 27}}
	if *customer.Ref != want {
		t.Errorf("customer_id refers as %+v, want %+v", *customer.Ref, want)
	}
	status := orders.Field("status")
	if status.Default.Kind != DefaultLiteral || status.Default.Value != value.OfText("open") {
		t.Errorf("the default of status is %+v", status.Default)
	}
	total := orders.Field("total").Type
	if total.Kind != value.Decimal || total.Scale != 2 || *total.Min != value.OfInt(0) {
		t.Errorf("total is %+v", total)
	}
	if id := orders.Primary; id.Name != "id" || id.Default.Kind != DefaultUUID || orders.Field("created_at").Default.Kind != DefaultNow {
		t.Errorf("the key is %+v", id)
	}
	if orders.Unique[0].Name != "orders_customer_id_created_at_key" || orders.Index[0].Name != "orders_customer_id_status_created_at_idx" {
		t.Errorf("keys are %+v, %+v", orders.Unique, orders.Index)
	}
	if orders.Cache != 30*time.Second || !orders.Realtime || !orders.Managed || orders.Search[0].Name != "note" || orders.Retain.For != "7y" {
		t.Errorf("orders is %+v", orders)
	}
	if p := orders.Policy; p.Read.Pos != (Pos{"modules/orders.yaml", 18, 17}) || p.Update.Fields[1] != status ||
		p.Update.Check.Source != "row.customer_id == auth.uid" {
		t.Errorf("the policy is %+v", p)
	}

	op := app.Module("orders").Operations[0]
	if in := op.Input[0]; !in.List || in.Fields[1].Type.Kind != value.Int || op.Output.Entity != orders || op.Output.List || !op.Transaction || op.Timeout != 10*time.Second {
		t.Errorf("the operation is %+v", op)
	}
	if e := app.Module("orders").Events[0]; e.Entity != orders || e.Action != "update" {
		t.Errorf("the event is %+v", e)
	}
}

func TestRelations(t *testing.T) {
	describe := func(e *Entity) string {
		var out []string
		for _, r := range e.Relations {
			s := r.Name + " " + [...]string{"one", "many", "across"}[r.Cardinality] + " " + r.From.Name + "." + r.Local.Name + "=" + r.To.QualifiedName() + "." + r.Foreign.Name
			if r.Via != nil {
				s += " via " + r.Via.Name + "." + r.ViaLocal.Name + "," + r.ViaForeign.Name
			}
			if r.Unique {
				s += " unique"
			}
			out = append(out, s)
		}
		return lines(out)
	}
	app := load(t, map[string]string{"modules/m.yaml": `
module: m
entities:
  films: { fields: { title: text } }
  actors: { fields: { name: text, best_film_id: { ref: films, optional: true, inverse: best_of } } }
  casts: { fields: { film_id: { ref: films }, actor_id: { ref: actors } }, unique: [[actor_id, film_id]] }
  views: { fields: { film_id: { ref: films }, actor_id: { ref: actors } } }
  posters: { fields: { film_id: { ref: films }, n: int }, unique: [[film_id]] }
  details: { fields: { film_id: { ref: films, primary: true } } }
  notes: { fields: { detail_id: { ref: details }, parent_id: { ref: notes, optional: true } } }
`})
	for name, want := range map[string]string{
		"films": "best_of many films.id=m.actors.best_film_id\n" +
			"casts many films.id=m.casts.film_id\n" +
			"views many films.id=m.views.film_id\n" +
			"posters many films.id=m.posters.film_id unique\n" +
			"details many films.id=m.details.film_id unique\n" +
			"actors across films.id=m.actors.id via casts.film_id,actor_id\n",
		"actors": "best_film one actors.best_film_id=m.films.id\n" +
			"casts many actors.id=m.casts.actor_id\n" +
			"views many actors.id=m.views.actor_id\n" +
			"films across actors.id=m.films.id via casts.actor_id,film_id\n",
		"notes": "detail one notes.detail_id=m.details.film_id\n" +
			"parent one notes.parent_id=m.notes.id\n" +
			"notes many notes.id=m.notes.parent_id\n",
	} {
		if diff := cmp.Diff(want, describe(app.Entity("m", name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if k := app.Entity("m", "notes").Field("detail_id").Type.Kind; k != value.UUID {
		t.Errorf("a reference to a key that is a reference has the type %v", k)
	}
	if r := app.Entity("m", "films").Relations[5]; r.Ref != r.ViaForeign {
		t.Errorf("a many-to-many names %v as its reference", r.Ref.Name)
	}
}

func TestEverything(t *testing.T) {
	app := goldenApp(t, "everything")
	c := app.Config
	want := Config{
		App: "app", Listen: "0.0.0.0:80", Ops: defaultOps, Data: "./data",
		Store: Store{URL: "postgres://db/shop", Replicas: []string{"postgres://r1/shop", "postgres://r2/shop"}, MaxLag: 3 * time.Second},
		Cache: "memory://", Broker: "embedded://", Files: "file://files", Keys: "file://keys", Mail: "mailbox://",
		Roles: map[string]Role{"staff": {Pos: Pos{"pando.yaml", 7, 3}}}, Auth: Auth{MinPassword: 15, Signup: true, AccessToken: time.Hour, Rates: DefaultRates(), Providers: map[string]Provider{}},
		Limits: Limits{Body: 2 << 20, Rows: 50, Depth: 8, Filters: 200, Timeout: 90 * time.Second, Header: 65536},
		GraphQL: GraphQL{
			Introspection: IntrospectionOff, Documents: "queries", Document: 32 << 10, Tokens: 4000, Depth: 8, Aliases: 5, Fields: 20, Directives: 50, Batch: 10, Cost: 100_000,
		},
		Versions: []string{"v1", "v2"}, TLS: TLS{Cert: "cert.pem", Key: "key.pem"},
		CORS: CORS{Origins: []string{"https://a.example", "https://b.example"}}, Log: Log{Format: "text", Level: "info"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	accounts := app.Entity("", "accounts")
	if accounts != app.Entity("a", "accounts") {
		t.Error("accounts does not mean the module that had it first")
	}
	for name, want := range map[string]Default{
		"literal":  {Value: value.OfText("now()")},
		"quoted":   {Value: value.OfText("uuid()")},
		"made":     {Kind: DefaultNow},
		"words":    {Value: value.OfText(`["a","1"]`)},
		"settings": {Value: value.OfText(`{"a":[1,2.5,true,null],"b":"x"}`)},
		"day":      {Value: value.OfText("2026-01-02")},
		"kind":     {Value: value.OfText("on")},
		"going":    {Value: value.OfBool(false)},
		"doubled":  {Kind: DefaultCEL, Expr: &Expression{"row.no * 2", Pos{"modules/a.yaml", 14, 46}}},
	} {
		if diff := cmp.Diff(want, *accounts.Field(name).Default); diff != "" {
			t.Errorf("default of %s (-want +got):\n%s", name, diff)
		}
	}
	if accounts.Managed || accounts.Doc != "An account." || accounts.Partition.By.Name != "no" || accounts.Partition.Into != 16 {
		t.Errorf("accounts is %+v", accounts)
	}
	if w := app.Entity("a", "entries").Partition.With; w == nil || w.To != accounts {
		t.Errorf("entries lies with %+v", w)
	}
	if d := accounts.Field("going").Deprecated; *d != (Deprecated{Since: "v2", Sunset: "2027-06-30", Use: "kind"}) {
		t.Errorf("going is deprecated as %+v", d)
	}
	if f := accounts.Field("shorter"); f.Was != "brief" || f.Since != "v2" {
		t.Errorf("shorter is %+v", f.Lifespan)
	}
	if p := accounts.Policy; p.Read.Source != "true" || p.Update.When != p.Update.Check || p.Create != nil {
		t.Errorf("the policy is %+v", p)
	}
	m := app.Module("a")
	transfer := m.Operations[0]
	if transfer.Input[0].Ref != accounts || transfer.Input[0].Type.Kind != value.Int || !transfer.Input[2].Type.List || transfer.Transaction ||
		transfer.Output.Fields[1].Fields[0].Name != "n" || !m.Operations[1].Output.List {
		t.Errorf("the operation is %+v", transfer)
	}
	if j := m.Jobs; j[0].Retry != 10 || j[0].Timeout != time.Minute || j[2].Retry != 0 {
		t.Errorf("the jobs are %+v, %+v, %+v", j[0], j[1], j[2])
	}
}

func TestExpressionPositions(t *testing.T) {
	app := load(t, map[string]string{"modules/m.yaml": `module: m
entities:
  e:
    fields: { n: int }
    check:
      - row.n > 1
      - "row.n > 2"
      - 'row.n > 3'
      - |

        row.n > 4
        && row.n > 5
      - >-
          row.n > 6
`})
	want := []Pos{{"modules/m.yaml", 6, 9}, {"modules/m.yaml", 7, 10}, {"modules/m.yaml", 8, 10}, {"modules/m.yaml", 11, 9}, {"modules/m.yaml", 14, 11}}
	for i, c := range app.Entity("m", "e").Checks {
		if c.Pos != want[i] {
			t.Errorf("%q stands at %v, want %v", c.Source, c.Pos, want[i])
		}
	}
}

func TestLongKeyNames(t *testing.T) {
	long := strings.Repeat("a", 40)
	app := load(t, map[string]string{"modules/m.yaml": "module: m\nentities:\n  e:\n    fields: { " + long + "b: int, " + long + "c: int, x: int }\n" +
		"    index: [[" + long + "b, " + long + "c], [" + long + "c, " + long + "b]]\n"})
	keys := app.Entity("m", "e").Index
	if len(keys[0].Name) != maxName || keys[0].Name == keys[1].Name || !strings.HasSuffix(keys[0].Name, "_idx") {
		t.Errorf("long keys are called %s and %s", keys[0].Name, keys[1].Name)
	}
}
