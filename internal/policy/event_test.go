package policy

import (
	"testing"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// TestHappened asks which writes are events: by the row, by the row as it was, by
// who writes.
func TestHappened(t *testing.T) {
	app := loadModule(t, `
module: m
entities: { orders: { fields: { status: { type: text, optional: true }, total: int } } }
events:
  always: { on: orders.create }
  paid: { on: orders.update, when: "old.status != 'paid' && row.status == 'paid'" }
  staff: { on: orders.update, when: "'staff' in auth.roles && row.total > old.total" }
  nobody: { on: orders.delete, when: "auth.uid == null && row.total > 0" }
  free: { data: { a: int } }
`)
	rules, problems := Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	e := app.Entity("m", "orders")
	row := func(status value.Value, total int64) Row {
		return values{e.Field("status"): status, e.Field("total"): value.OfInt(total)}
	}
	paid, open := value.OfText("paid"), value.OfText("open")
	for _, tt := range []struct {
		event    string
		id       *Identity
		row, old Row
		want     bool
	}{
		{"always", user(ada), row(open, 1), nil, true},
		{"paid", user(ada), row(paid, 1), row(open, 1), true},
		{"paid", &Identity{Role: Service}, row(paid, 1), row(open, 1), true},
		{"paid", user(ada), row(paid, 1), row(paid, 1), false},
		{"paid", user(ada), row(open, 1), row(paid, 1), false},
		{"paid", user(ada), row(paid, 1), row(value.Null(), 1), false}, // unknown is no
		{"staff", user(ada, "staff"), row(open, 2), row(open, 1), true},
		{"staff", user(ada, "staff"), row(open, 1), row(open, 1), false},
		{"staff", user(ada), row(open, 2), row(open, 1), false},
		{"nobody", &Identity{Role: Service}, row(open, 2), nil, true},
		{"nobody", user(ada), row(open, 2), nil, false},
	} {
		var ev *model.Event
		for _, other := range app.Module("m").Events {
			if other.Name == tt.event {
				ev = other
			}
		}
		got, err := rules.Happened(ev, tt.id, tt.row, tt.old)
		if err != nil || got != tt.want {
			t.Errorf("%s by %v of %v from %v: %v, %v; want %v", tt.event, tt.id.Role, tt.row, tt.old, got, err, tt.want)
		}
	}
}
