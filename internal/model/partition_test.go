package model

import "testing"

// TestPartitionKeys: an entity by a field of its own has (field, primary); one
// that lies with it carries the key in a hidden column; where the parent is
// divided by its primary key, the reference is that key already.
func TestPartitionKeys(t *testing.T) {
	app := load(t, map[string]string{"modules/m.yaml": `module: m
entities:
  notes:   { fields: { line_id: { ref: lines } }, partition: { with: line } }
  lines:   { fields: { order_id: { ref: orders } }, partition: { with: order } }
  orders:  { fields: { customer: int }, partition: { by: customer, into: 8 } }
  tenants: { fields: { id: { type: int, primary: true } }, partition: { by: id, into: 4 } }
  users:   { fields: { tenant_id: { ref: tenants } }, partition: { with: tenant } }
  tasks:   { fields: { user_id: { ref: users } }, partition: { with: user } }
  plain:   { fields: { n: int } }
`})
	for name, want := range map[string]struct {
		key  string
		into int
	}{
		"notes": {"_partition int, id uuid", 8}, "lines": {"_partition int, id uuid", 8}, "orders": {"customer int, id uuid", 8},
		"tenants": {"id int", 4}, "users": {"tenant_id int, id uuid", 4}, "tasks": {"_partition int, id uuid", 4}, "plain": {"id uuid", 0},
	} {
		e := app.Entity("m", name)
		got := ""
		for i, f := range e.Key() {
			if i > 0 {
				got += ", "
			}
			got += f.Name + " " + f.Type.String()
		}
		if got != want.key || e.Partitions() != want.into {
			t.Errorf("%s: (%s) into %d, want (%s) into %d", name, got, e.Partitions(), want.key, want.into)
		}
		if e.Field(PartitionColumn) != nil {
			t.Errorf("%s has a field %s", name, PartitionColumn)
		}
	}
	if lines := app.Entity("m", "lines"); !lines.Field("order_id").Colocates() || lines.Field("id").Colocates() {
		t.Error("order_id is what lines lies with orders by, and nothing else is")
	}
}
