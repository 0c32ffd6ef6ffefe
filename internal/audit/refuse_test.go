package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
)

// TestRefusalsAreBounded: a caller who is denied again and again writes a few
// records a minute, and all else is counted.
func TestRefusalsAreBounded(t *testing.T) {
	tr := open(t)
	tr.end()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tr.cfg.Now = func() time.Time { return now }
	tr.start()
	refuse := func(uid, rule string, times int) {
		t.Helper()
		for range times {
			r := caller(uid)
			r.Rule = rule
			if err := tr.Refuse(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
		}
	}
	written := func() string {
		return fmt.Sprint(rows(t, tr.driver, `SELECT "actor",count(*) FROM "pando_audit" WHERE "outcome"='denied' GROUP BY 1 ORDER BY 1`))
	}
	refuse("u1", "shop.orders.create", 25)
	refuse("u2", "shop.orders.create", 1)
	if got := written(); got != "[[u1 10] [u2 1]]" {
		t.Errorf("one rule: %s", got)
	}
	for i := range 20 {
		refuse("u1", fmt.Sprintf("shop.e%d.read", i), 8)
	}
	if got := written(); got != "[[u1 100] [u2 1]]" {
		t.Errorf("many rules: %s", got)
	}
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	counted := fmt.Sprint(rows(t, tr.driver, `SELECT sum("count"),"key" FROM "pando_audit_counts" WHERE "key"='u1' GROUP BY "key"`))
	if counted != fmt.Sprintf("[[%d u1]]", 25+160-100) {
		t.Errorf("counted: %s", counted)
	}
	now = now.Add(time.Minute)
	refuse("u1", "shop.orders.create", 1)
	if got := written(); got != "[[u1 101] [u2 1]]" {
		t.Errorf("a minute later: %s", got)
	}
	page, err := tr.Search(t.Context(), audit.Query{Limit: 1})
	if err != nil || page.Records[0].Outcome != audit.Denied || page.Records[0].Rule != "shop.orders.create" {
		t.Errorf("%+v, %v", page.Records, err)
	}
}
