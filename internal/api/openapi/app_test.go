package openapi_test

import (
	"fmt"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

func ptr(v value.Value) *value.Value { return &v }

// entity adds an entity to a module with an id and the given fields.
func entity(m *model.Module, name string, fields ...*model.Field) *model.Entity {
	e := &model.Entity{Module: m, Name: name, Managed: true}
	id := &model.Field{Name: "id", Type: value.Type{Kind: value.UUID}, Primary: true, Default: &model.Default{Kind: model.DefaultUUID}}
	e.Primary = id
	for _, f := range append([]*model.Field{id}, fields...) {
		f.Entity = e
		e.Fields = append(e.Fields, f)
	}
	m.Entities = append(m.Entities, e)
	return e
}

func field(name string, t value.Type) *model.Field { return &model.Field{Name: name, Type: t} }

func optional(f *model.Field) *model.Field { f.Optional = true; return f }

func refTo(name, relation string, target *model.Entity) *model.Field {
	f := field(name, target.Primary.Type)
	f.Ref = &model.Ref{Target: target, Relation: relation, OnDelete: model.Cascade}
	return f
}

func relate(f *model.Field) {
	from, to := f.Entity, f.Ref.Target
	from.Relations = append(from.Relations, &model.Relation{Name: f.Ref.Relation, From: from, To: to, Local: f, Foreign: to.Primary, Ref: f})
	to.Relations = append(to.Relations, &model.Relation{Name: from.Name, Cardinality: model.ToMany, From: to, To: from, Local: to.Primary, Foreign: f, Ref: f})
}

// shop is an application with every type, a reference, a hidden field, an
// internal entity, a deprecated one, and a name that two modules share.
func shop() *model.App {
	auth := &model.Module{Name: "auth", Builtin: true}
	users := entity(auth, "users", field("email", value.Type{Kind: value.Text}))
	users.Internal = true

	catalog := &model.Module{Name: "catalog"}
	products := entity(catalog, "products",
		field("name", value.Type{Kind: value.Text, Min: ptr(value.OfInt(2)), Max: ptr(value.OfInt(80))}),
		field("price", value.Type{Kind: value.Decimal, Scale: 2, Min: ptr(value.OfInt(1)), Max: ptr(value.OfInt(99999))}),
	)
	products.Doc = "What the shop sells, <script>alert(1)</script> and eval(1) included."
	products.Search = []*model.Field{products.Fields[1]}
	entity(catalog, "notes", field("text", value.Type{Kind: value.Text}))

	orders := &model.Module{Name: "orders"}
	status := field("status", value.Type{Kind: value.Enum, Values: []string{"open", "paid", "shipped"}})
	status.Default = &model.Default{Value: value.OfText("open")}
	secret := optional(field("card_last4", value.Type{Kind: value.Text, Max: ptr(value.OfInt(4))}))
	secret.Hidden = true
	product := refTo("product_id", "product", products)
	customer := refTo("customer_id", "customer", users)
	updated := field("updated_at", value.Type{Kind: value.Timestamp})
	updated.Default, updated.OnUpdateNow = &model.Default{Kind: model.DefaultNow}, true
	old := optional(field("legacy", value.Type{Kind: value.Text}))
	old.Deprecated = &model.Deprecated{Since: "v1", Sunset: "2027-01-01", Use: "note"}
	o := entity(orders, "orders",
		customer, product, status,
		field("total", value.Type{Kind: value.Decimal, Scale: 2, Min: ptr(value.OfInt(0))}),
		field("qty", value.Type{Kind: value.Int, Min: ptr(value.OfInt(1)), Max: ptr(value.OfInt(100))}),
		optional(field("weight", value.Type{Kind: value.Float, Min: ptr(value.OfFloat(0))})),
		field("gift", value.Type{Kind: value.Bool}),
		optional(field("due", value.Type{Kind: value.Date})),
		optional(field("at", value.Type{Kind: value.Time})),
		optional(field("meta", value.Type{Kind: value.JSON})),
		optional(field("blob", value.Type{Kind: value.Bytes, Max: ptr(value.OfInt(16))})),
		optional(field("receipt", value.Type{Kind: value.File})),
		optional(field("tags", value.Type{Kind: value.Text, List: true})),
		optional(field("mood", value.Type{Kind: value.Enum, Values: []string{"a, b", `"c"`}})),
		secret, updated, old,
	)
	o.Doc = "What customers ordered."
	o.Unique = []model.Key{{Name: "orders_key", Fields: []*model.Field{customer, updated}}}
	relate(product)
	relate(customer)
	entity(orders, "notes", field("body", value.Type{Kind: value.Text}), field("text", value.Type{Kind: value.JSON}))

	return &model.App{
		Config:  model.Config{App: "shop", Versions: []string{"v1"}},
		Modules: []*model.Module{auth, catalog, orders},
		Lock:    &model.Lock{Owners: map[string]string{"notes": "catalog"}},
	}
}

// large is an application of n entities with ten fields each.
func large(n int) *model.App {
	app := &model.App{Config: model.Config{App: "large"}}
	for i := range n {
		if i%50 == 0 {
			app.Modules = append(app.Modules, &model.Module{Name: fmt.Sprintf("module%02d", i/50)})
		}
		entity(app.Modules[len(app.Modules)-1], fmt.Sprintf("entity%04d", i),
			field("name", value.Type{Kind: value.Text, Max: ptr(value.OfInt(80))}),
			field("price", value.Type{Kind: value.Decimal, Scale: 2}),
			field("status", value.Type{Kind: value.Enum, Values: []string{"open", "done"}}),
			field("count", value.Type{Kind: value.Int}),
			optional(field("note", value.Type{Kind: value.Text})),
			optional(field("meta", value.Type{Kind: value.JSON})),
			optional(field("due", value.Type{Kind: value.Date})),
			field("open", value.Type{Kind: value.Bool}),
			field("at", value.Type{Kind: value.Timestamp}),
		)
	}
	return app
}
