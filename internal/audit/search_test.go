package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// clock is a time that tests set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// timeline is a trail with a record a minute: 2500 of them.
func timeline(t *testing.T) (*trail, *clock) {
	t.Helper()
	tr := open(t)
	tr.end()
	c := &clock{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	tr.cfg.Now = c.now
	tr.start()
	err := tr.driver.Write(t.Context(), func(tx store.Tx) error {
		for i := range 2500 {
			r := number(i)
			r.Time = time.Time{}
			if r.Action = "update"; i%2 == 0 {
				r.Action = "auth.sign_in"
			}
			if i%10 == 0 {
				r.Outcome = audit.Denied
			}
			if i%100 == 7 {
				r.Door = "graphql"
			}
			if err := tr.Append(tx, &r); err != nil {
				return err
			}
			c.at = c.at.Add(time.Minute)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr, c
}

// TestSearch: pages give every record that matches once, newest first.
func TestSearch(t *testing.T) {
	tr, c := timeline(t)
	at := func(minute int) time.Time { return c.at.Add(time.Duration(minute-2500) * time.Minute) }
	tests := []struct {
		name string
		q    audit.Query
		want func(i int) bool
	}{
		{"all", audit.Query{}, func(int) bool { return true }},
		{"actor", audit.Query{Actor: "u1"}, func(i int) bool { return i%3 == 1 }},
		{"entity and key", audit.Query{Entity: "shop.orders", Key: "17"}, func(i int) bool { return i == 17 }},
		{"no such entity", audit.Query{Entity: "shop.lines"}, func(int) bool { return false }},
		{"action", audit.Query{Action: "update"}, func(i int) bool { return i%2 == 1 }},
		{"actions", audit.Query{Action: "auth.*"}, func(i int) bool { return i%2 == 0 }},
		{"outcome", audit.Query{Outcome: audit.Denied}, func(i int) bool { return i%10 == 0 }},
		{"door", audit.Query{Door: "graphql"}, func(i int) bool { return i%100 == 7 }},
		{"from", audit.Query{From: at(2400)}, func(i int) bool { return i >= 2400 }},
		{"to", audit.Query{To: at(3)}, func(i int) bool { return i < 3 }},
		{"between", audit.Query{From: at(1200).Add(-time.Second), To: at(1210).Add(time.Second)}, func(i int) bool { return i >= 1200 && i <= 1210 }},
		{"never", audit.Query{From: at(5000)}, func(int) bool { return false }},
		{"before all", audit.Query{To: at(-1)}, func(int) bool { return false }},
		{"together", audit.Query{Actor: "u2", Action: "update", Outcome: audit.Allowed, From: at(100), To: at(200)}, func(i int) bool {
			return i%3 == 2 && i%2 == 1 && i%10 != 0 && i >= 100 && i < 200
		}},
	}
	for _, tt := range tests {
		var want, got, exported []int64
		for i := 2499; i >= 0; i-- {
			if tt.want(i) {
				want = append(want, int64(i+1))
			}
		}
		for _, limit := range []int{0, 97, 1000} {
			got = nil
			q := tt.q
			q.Limit = limit
			for range 3000 {
				page, err := tr.Search(t.Context(), q)
				if err != nil {
					t.Fatal(tt.name, err)
				}
				for _, r := range page.Records {
					got = append(got, r.ID)
				}
				if q.Before = page.Next; q.Before == 0 {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, %d a page: %d records, not %d", tt.name, limit, len(got), len(want))
			}
		}
		err := tr.Each(t.Context(), tt.q, func(r *audit.Record) error {
			exported = append([]int64{r.ID}, exported...)
			return nil
		})
		if err != nil || fmt.Sprint(exported) != fmt.Sprint(want) {
			t.Errorf("%s exported: %d records, not %d, %v", tt.name, len(exported), len(want), err)
		}
	}
	if rep := tr.verify(); !rep.OK || rep.Seals != 3 {
		t.Errorf("2500 records of one commit: %+v", rep)
	}
}

// TestClockSetBack: the trail's time waits for the clock, so that a span of
// time stays a span of records.
func TestClockSetBack(t *testing.T) {
	tr, c := timeline(t)
	last := c.at.Add(-time.Minute)
	c.at = c.at.Add(-time.Hour)
	tr.write(number(1))
	tr.end()
	tr.start()
	tr.write(number(2))
	page, err := tr.Search(t.Context(), audit.Query{Limit: 2})
	if err != nil || !page.Records[0].Time.Equal(last) || !page.Records[1].Time.Equal(last) {
		t.Errorf("%v, %v", page, err)
	}
}

func TestBadQueries(t *testing.T) {
	tr := open(t)
	now := time.Now()
	for _, q := range []audit.Query{
		{Limit: -1}, {Limit: 1001}, {Before: -1}, {Outcome: "maybe"}, {From: now, To: now.Add(-1)}, {Key: "1"},
	} {
		if _, err := tr.Search(t.Context(), q); !fault.Is(err, fault.BadRequest) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := tr.Get(t.Context(), 1); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := tr.Export(t.Context(), audit.Query{}, "xml", "", &bytes.Buffer{}); !fault.Is(err, fault.BadRequest) {
		t.Error(err)
	}
}

func TestExport(t *testing.T) {
	tr := open(t)
	tr.write(number(0))
	tr.write(number(1), number(2))
	export := func(f audit.Format, q audit.Query) string {
		var b bytes.Buffer
		if _, err := tr.Export(t.Context(), q, f, "shop", &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	lines := strings.Split(strings.TrimSpace(export(audit.NDJSON, audit.Query{})), "\n")
	var r audit.Record
	if err := json.Unmarshal([]byte(lines[2]), &r); len(lines) != 3 || err != nil || r.ID != 3 || r.UID != "u2" || r.IP != "203.0.113.9" {
		t.Errorf("%s, %v", lines, err)
	}
	var events []audit.Event
	if err := json.Unmarshal([]byte(export(audit.EventBatch, audit.Query{})), &events); err != nil || len(events) != 3 {
		t.Fatal(events, err)
	}
	e := events[1]
	if e.SpecVersion != "1.0" || e.ID != "2" || e.Source != "shop" || e.Type != "pando.audit.create" || e.Subject != "shop.orders/1" || e.Data.UID != "u1" {
		t.Errorf("%+v", e)
	}
	if got := export(audit.EventBatch, audit.Query{Actor: "nobody"}); strings.TrimSpace(got) != "[]" {
		t.Errorf("an empty batch: %q", got)
	}
}

// TestLongTexts: what a caller chooses cannot fill the disk, and comes back
// readable.
func TestLongTexts(t *testing.T) {
	tr := open(t)
	r := number(1)
	r.UserAgent, r.Operation = strings.Repeat("\"\x00é", 100_000), strings.Repeat("\\", 100_000)
	r.Detail = map[string]string{strings.Repeat("k", 5000): "\xff"}
	tr.write(r)
	got, err := tr.Get(t.Context(), 1)
	if err != nil || len(got.Operation) > 1100 || len(got.UserAgent) > 2000 {
		t.Errorf("%+v, %v", got, err)
	}
	if rep := tr.verify(); !rep.OK {
		t.Error(rep)
	}
	r.Keys = make([]string, audit.MaxKeys+1)
	if err := tr.Write(t.Context(), &r); err == nil {
		t.Error("too many keys were taken")
	}
}

// TestCounts: refusals of unknown callers cost no record, and are there after a
// stop.
func TestCounts(t *testing.T) {
	tr := open(t)
	tr.end()
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	tr.cfg.Now = c.now
	tr.start()
	for range 500 {
		tr.Count("", "PGRST302")
	}
	tr.Count("key_1", "PGRST301")
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.Count("", "PGRST302")
	for i := range 5000 { // different ones are bounded
		tr.Count(fmt.Sprint("k", i), "x")
	}
	tr.end()
	tr.start()
	got := rows(t, tr.driver, `SELECT "count", "minute" FROM "pando_audit_counts" WHERE "rule"='PGRST302'`)
	if len(got) != 1 || got[0][0] != "501" || got[0][1] != fmt.Sprint(c.at.Unix()/60) {
		t.Errorf("counted: %v", got)
	}
	if got := rows(t, tr.driver, `SELECT count(*), sum("count") FROM "pando_audit_counts" WHERE "rule"!='PGRST302'`); got[0][0] != "1001" || got[0][1] != "5001" {
		t.Errorf("different ones: %v", got)
	}
	if got := rows(t, tr.driver, `SELECT count(*), 0 FROM "pando_audit"`); got[0][0] != "0" {
		t.Errorf("records: %v", got)
	}
}
