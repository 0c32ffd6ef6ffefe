package usage_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/usage"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func open(t *testing.T, driver store.Driver, now *time.Time) *usage.Counter {
	t.Helper()
	c := usage.Open(t.Context(), usage.Config{Driver: driver, Now: func() time.Time { return *now }, FlushEvery: time.Hour})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

func caller(key, agent, info string) *policy.Identity {
	return &policy.Identity{Key: key, Request: &policy.Request{Door: "rest", UserAgent: agent, Client: info}}
}

var fax = usage.Thing{Name: "shop.people.fax", Life: &model.Deprecated{Since: "v1"}} //nolint:gochecknoglobals // a constant

// What two nodes count adds up, by day, key and client.
func TestNodesAddUp(t *testing.T) {
	now := at("2026-11-30T12:00:00Z")
	driver := teststore.Open(t)
	a, b := open(t, driver, &now), open(t, driver, &now)
	note := func(c *usage.Counter, id *policy.Identity, things ...usage.Thing) {
		t.Helper()
		if _, err := c.Note(id, "v1", things...); err != nil {
			t.Fatal(err)
		}
	}
	note(a, caller("web", "Mozilla/5.0", "supabase-js-web/2.9"), fax, fax)
	now = now.Add(time.Second)
	note(b, caller("web", "Mozilla/5.0", "supabase-js-web/2.9"), fax)
	note(b, caller("", "curl/8", ""), fax, usage.Thing{Name: "shop.people", Life: fax.Life})
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(24 * time.Hour)
	note(a, caller("web", "", "supabase-js-web/2.9"), fax)
	list := func(since string) []usage.Use {
		t.Helper()
		out, err := a.List(t.Context(), at(since))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first, second, third := at("2026-11-30T12:00:00Z"), at("2026-11-30T12:00:01Z"), at("2026-12-01T12:00:01Z")
	want := []usage.Use{
		{Thing: "shop.people", Version: "v1", Door: "rest", Key: "none", Client: "curl/8", Count: 1, First: second, Last: second},
		{Thing: "shop.people.fax", Version: "v1", Door: "rest", Key: "none", Client: "curl/8", Count: 1, First: second, Last: second},
		{Thing: "shop.people.fax", Version: "v1", Door: "rest", Key: "web", Client: "supabase-js-web/2.9", Count: 3, First: first, Last: third},
	}
	if diff := cmp.Diff(want, list("2026-11-30T00:00:00Z")); diff != "" {
		t.Error(diff)
	}
	want = want[2:]
	want[0].Count, want[0].First = 1, third
	if diff := cmp.Diff(want, list("2026-12-01T00:00:00Z")); diff != "" {
		t.Error(diff)
	}
	now = now.AddDate(2, 0, 0)
	note(a, caller("late", "", ""), fax)
	if got := list("2026-01-01T00:00:00Z"); len(got) != 1 || got[0].Key != "late" {
		t.Errorf("days that are long over are kept: %v", got)
	}
}

// Whoever makes up clients and keys fills neither the memory nor the table.
func TestMadeUpClients(t *testing.T) {
	now := at("2026-11-30T12:00:00Z")
	c := open(t, teststore.Open(t), &now)
	const calls = 5000
	for i := range calls {
		id := caller(fmt.Sprint("key", i), fmt.Sprint("agent", i, strings.Repeat("x", 5000), "\x1b[31m\xff"), "")
		if _, err := c.Note(id, "v1", fax); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := c.List(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	clients := map[string]bool{}
	for _, u := range uses {
		sum += u.Count
		clients[u.Client] = true
		if len(u.Client) > 64 || strings.ContainsRune(u.Client, 0x1b) || !utf8.ValidString(u.Client) {
			t.Fatalf("the client %q", u.Client)
		}
	}
	if sum != calls || len(uses) > 2001 || len(clients) > 201 {
		t.Errorf("%d uses of %d in %d rows of %d clients", sum, calls, len(uses), len(clients))
	}
}

// brokenStore fails to write.
type brokenStore struct{ store.Driver }

func (brokenStore) Write(context.Context, func(store.Tx) error) error {
	return fault.New(fault.StoreIO, "the disk is gone")
}

// What could not be stored is stored later, in the store that is there then.
func TestFlushFails(t *testing.T) {
	now := at("2026-11-30T12:00:00Z")
	driver := teststore.Open(t)
	c := open(t, brokenStore{driver}, &now)
	for range 3 {
		if _, err := c.Note(caller("web", "", ""), "v1", fax); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(t.Context()); !fault.Is(err, fault.StoreIO) {
			t.Fatalf("flushed: %v", err)
		}
	}
	c.Move(driver)
	uses, err := c.List(t.Context(), now)
	if err != nil || len(uses) != 1 || uses[0].Count != 3 {
		t.Errorf("%v, %v", uses, err)
	}
}

func TestTell(t *testing.T) {
	life := func(since, sunset, grace, use string) *model.Deprecated {
		return &model.Deprecated{Since: since, Sunset: sunset, Grace: grace, Use: use}
	}
	for _, c := range []struct {
		name   string
		now    string
		things []usage.Thing
		want   http.Header
		gone   string
	}{
		{name: "nothing", want: http.Header{}},
		{
			name: "a day and a sunset", now: "2027-06-29T23:59:59Z",
			things: []usage.Thing{{Name: "shop.people", Life: life("2026-06-30", "2027-06-30", "", "clients"), Successor: "/rest/v1/clients"}},
			want: http.Header{
				"Deprecation": {"@1782777600"}, "Sunset": {"Wed, 30 Jun 2027 00:00:00 GMT"},
				"Link": {`</docs#shop.people>; rel="deprecation sunset"; type="text/html", </rest/v1/clients>; rel="successor-version"`},
			},
		},
		{
			name: "a version", now: "2027-06-29T23:59:59Z", things: []usage.Thing{{Name: "shop.people.fax", Life: life("v2", "", "", "")}},
			want: http.Header{"Deprecation": {"@0"}, "Link": {`</docs#shop.people.fax>; rel="deprecation"; type="text/html"`}},
		},
		{
			name: "the first of several", now: "2026-01-01T00:00:00Z",
			things: []usage.Thing{
				{Name: "a", Life: life("2026-01-02", "2028-01-01", "", "")}, {Name: "b", Life: life("2026-01-01", "2027-01-01", "", "")}, {Name: "c", Life: life("v1", "", "", "")},
			},
			want: http.Header{
				"Deprecation": {"@1767225600"}, "Sunset": {"Fri, 01 Jan 2027 00:00:00 GMT"},
				"Link": {`</docs#a>; rel="deprecation sunset"; type="text/html", </docs#b>; rel="deprecation sunset"; type="text/html", </docs#c>; rel="deprecation sunset"; type="text/html"`},
			},
		},
		{
			name: "gone", now: "2027-06-30T00:00:00Z", things: []usage.Thing{{Name: "shop.people.fax", Life: life("v1", "2027-06-30", "", "shop.people.mail")}},
			gone: "shop.people.fax is gone: it was deprecated since v1 and is answered no more since 2027-06-30 (use shop.people.mail)",
		},
		{
			name: "in its grace", now: "2027-07-29T23:59:59Z", things: []usage.Thing{{Name: "x", Life: life("v1", "2027-06-30", "30d", "")}},
			want: http.Header{"Deprecation": {"@0"}, "Sunset": {"Wed, 30 Jun 2027 00:00:00 GMT"}, "Link": {`</docs#x>; rel="deprecation sunset"; type="text/html"`}},
		},
		{
			name: "behind its grace", now: "2027-07-30T00:00:00Z", things: []usage.Thing{{Name: "x", Life: life("v1", "2027-06-30", "30d", "")}},
			gone: "x is gone: it was deprecated since v1 and is answered no more since 2027-07-30 ()",
		},
		{
			name: "months", now: "2027-08-30T00:00:00Z", things: []usage.Thing{{Name: "x", Life: life("v1", "2027-06-30", "2mo", "")}},
			gone: "x is gone: it was deprecated since v1 and is answered no more since 2027-08-30 ()",
		},
		{
			name: "weeks and years", now: "2028-06-30T00:00:00Z",
			things: []usage.Thing{{Name: "w", Life: life("v1", "2028-06-17", "2w", "")}, {Name: "x", Life: life("v1", "2027-06-30", "1y", "")}},
			gone:   "x is gone: it was deprecated since v1 and is answered no more since 2028-06-30 ()",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Time{}
			if c.now != "" {
				now = at(c.now)
			}
			notice, err := usage.Tell(now, c.things...)
			if c.gone != "" {
				f := fault.From(err)
				if got := fmt.Sprintf("%s (%s)", f, f.Hint); f.Code != fault.Gone || f.HTTPStatus() != http.StatusGone || got != c.gone {
					t.Errorf("%s, want %s", got, c.gone)
				}
				return
			}
			h := http.Header{}
			notice.Set(h, "/docs")
			if diff := cmp.Diff(c.want, h); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}
