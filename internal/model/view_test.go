package model

import (
	"testing"
)

func TestView(t *testing.T) {
	app := load(t, map[string]string{
		"pando.yaml": "app: shop\nversions: [v1, v2, v3]\n",
		"modules/shop.yaml": `
module: shop
entities:
  people:
    was: customers
    since: v2
    fields:
      full_name: { type: text, was: name, since: v2 }
      nick:      { type: text, optional: true, since: v3 }
      fax:       { type: text, optional: true, until: v1 }
      mail:      { type: text, optional: true, was: email }
  orders:
    fields:
      person_id: { ref: people, was: customer_id, since: v2, on_delete: cascade }
      total:     { type: int }
`,
	})
	v1, v2, v3 := app.View("v1"), app.View("v2"), app.View("v3")
	people, orders := app.Entity("shop", "people"), app.Entity("shop", "orders")
	for _, c := range []struct {
		view *View
		name string
		want *Entity
	}{{v1, "customers", people}, {v1, "people", nil}, {v2, "people", people}, {v2, "customers", nil}, {v1, "orders", orders}, {v3, "orders", orders}} {
		if got := c.view.Entity("shop", c.name); got != c.want {
			t.Errorf("%s: shop.%s is %v", c.view.Version, c.name, got)
		}
		if got := c.view.Entity("", c.name); got != c.want {
			t.Errorf("%s: %s is %v", c.view.Version, c.name, got)
		}
	}
	for _, c := range []struct {
		view        *View
		name, field string
	}{
		{v1, "name", "full_name"},
		{v1, "full_name", ""},
		{v2, "full_name", "full_name"},
		{v2, "name", ""},
		{v1, "nick", ""},
		{v2, "nick", ""},
		{v3, "nick", "nick"},
		{v1, "fax", "fax"},
		{v2, "fax", ""},
		{v1, "email", "mail"},
		{v2, "email", "mail"},
		{v3, "mail", "mail"},
		{v3, "email", ""},
	} {
		got := ""
		if f := c.view.Field(people, c.name); f != nil {
			got = f.Name
			if name, _ := c.view.FieldName(f); name != c.name {
				t.Errorf("%s calls %s %s", c.view.Version, f.Name, name)
			}
		}
		if got != c.field {
			t.Errorf("%s: people.%s is %q, want %q", c.view.Version, c.name, got, c.field)
		}
	}
	if r := v1.Relation(orders, "customer"); len(r) != 1 || r[0].To != people {
		t.Errorf("v1: orders.customer is %v", r)
	}
	if r := v2.Relation(orders, "person"); len(r) != 1 || r[0].To != people {
		t.Errorf("v2: orders.person is %v", r)
	}
	if !v3.Same(orders) || v1.Same(orders) || v2.Same(people) {
		t.Error("what differs is not told")
	}
	if app.View("v4") != nil || app.Latest() != v3 {
		t.Error("the versions are not those of pando.yaml")
	}
}
