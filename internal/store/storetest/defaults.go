package storetest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

const defaulting = `  things:
    fields:
      id: { type: uuid, primary: true, default: uuid() }
      n: { type: int, default: 7 }
      word: { type: text, default: it's, optional: true }
      price: { type: decimal, scale: 2, default: 1.5 }
      at: { type: timestamp, default: now() }
      changed: { type: timestamp, default: now(), on_update: now() }
      who: { type: uuid, default: auth.uid, optional: true }
      twice: { type: int, default: { cel: "row.n * 2" } }
      must: { type: text, optional: true }
`

func (s *suite) defaults(t *testing.T) {
	w := s.world(t, "", defaulting)
	body := w.add("things", "{}")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(body), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%s: %v", body, err)
	}
	id, _ := rows[0]["id"].(string)
	if got := strings.ReplaceAll(id, "-", ""); len(id) != 36 || got[12] != '7' || got[:12] != uuidTime(w.now) {
		t.Errorf("the default key is %s, no UUIDv7 of %s", id, w.now)
	}
	want := `[{"id":"` + id + `","n":7,"word":"it's","price":1.50,"at":"2026-01-02T03:04:05.6789+00:00","changed":"2026-01-02T03:04:05.6789+00:00","who":null,"twice":14,"must":null}]`
	if body != want {
		t.Errorf("the defaults are\n     %s\nwant %s", body, want)
	}
	w.answers("things", want)
	// Absent takes the default, null never does, not even among others.
	w.fails(create("things", `{"n":null}`), fault.NotNull)
	body = w.add("things", `{"n":1,"word":null}
{"price":2}`)
	for _, part := range []string{`"n":1,"word":null,"price":1.50,`, `"twice":2,`, `"n":7,"word":"it's","price":2.00,`, `"twice":14,`} {
		if !strings.Contains(body, part) {
			t.Errorf("the defaults %s lack %s", body, part)
		}
	}
	w.fails(create("things", `{"n":9223372036854775807}`), fault.InvalidText) // the default has no value

	uid := "0195f0a0-0000-7000-8000-00000000000a"
	res, err := w.engine.Write(context.Background(), policy.Identity{Role: policy.Service, UID: uid}, create("things", `{"must":"mine"}`), nil)
	if err != nil || !strings.Contains(string(res.Body), `"who":"`+uid+`"`) {
		t.Errorf("auth.uid is not in %s, %v", res.Body, err)
	}

	w.now = w.now.Add(time.Hour)
	w.do(update("things", "id.eq."+id, `{"word":"x"}`))
	w.answers("things(at,changed,word){where=id.eq."+id+"}", `[{"at":"2026-01-02T03:04:05.6789+00:00","changed":"2026-01-02T04:04:05.6789+00:00","word":"x"}]`)
	w.do(update("things", "id.eq."+id, `{"changed":"2020-01-01T00:00:00Z"}`))
	w.answers("things(changed){where=id.eq."+id+"}", `[{"changed":"2020-01-01T00:00:00+00:00"}]`)
	w.do(merge("things", `{"id":"`+id+`","word":"y"}`))
	w.answers("things(at,changed,word){where=id.eq."+id+"}", `[{"at":"2026-01-02T03:04:05.6789+00:00","changed":"2026-01-02T04:04:05.6789+00:00","word":"y"}]`)
	cells(w)
}

// uuidTime is the first 48 bits of a UUIDv7 of a time, in hexadecimal.
func uuidTime(at time.Time) string {
	const digits = "0123456789abcdef"
	ms := at.UnixMilli()
	out := make([]byte, 12)
	for i := range out {
		out[i] = digits[ms>>(44-4*i)&15]
	}
	return string(out)
}

// cells reads the text form of values, as CSV has them.
func cells(w *world) {
	wr := create("things", `{"n":0,"word":"","must":""}`)
	wr.Rows = [][]query.Cell{{{Kind: query.FromText, Raw: "5"}, {Kind: query.FromText, Raw: ""}, {Kind: query.NullCell}}}
	wr.Returning = &read("things(n,word,must)").Node
	w.result(wr, `[{"n":5,"word":null,"must":null}]`, 1, 1)
	wr.Rows[0][0].Raw = ""
	w.fails(wr, fault.NotNull)
}

func (s *suite) hidden(t *testing.T) {
	w := s.world(t, "", `  cards:
    fields:
      id: { type: int, primary: true }
      holder: { type: text, optional: true }
      secret: { type: text, optional: true, hidden: true }
      owner_id: { ref: owners, optional: true, hidden: true, inverse: kept }
      mine_id: { ref: owners, optional: true }
    unique: [[secret]]
  badges: { fields: { id: { type: int, primary: true } } }
  badges_owners:
    fields: { id: { type: int, primary: true }, badge_id: { ref: badges }, owner_id: { ref: owners, hidden: true } }
    unique: [[badge_id, owner_id]]
  owners: { fields: { id: { type: int, primary: true }, name: { type: text }, pin: { type: int, default: 1234, hidden: true } } }
`)
	if body := w.add("owners", `{"id":1,"name":"Ann"}`); body != `[{"id":1,"name":"Ann"}]` {
		t.Errorf("the representation shows %s", body)
	}
	if body := w.add("cards", `{"id":1,"holder":"A","secret":"s3cret","owner_id":1,"mine_id":1}`); body != `[{"id":1,"holder":"A","mine_id":1}]` {
		t.Errorf("the representation shows %s", body)
	}
	w.answers("cards", `[{"id":1,"holder":"A","mine_id":1}]`)
	w.answers("cards(*,mine(*))", `[{"id":1,"holder":"A","mine_id":1,"mine":{"id":1,"name":"Ann"}}]`)
	w.answers("owners(cards(*))", `[{"cards":[{"id":1,"holder":"A","mine_id":1}]}]`)
	w.answers("owners", `[{"id":1,"name":"Ann"}]`)
	// A relation is as hidden as the field that makes it: it is not there by any
	// name, nor by a hint, is not proposed, and makes nothing ambiguous.
	w.answers("cards(*,owners(*))", `[{"id":1,"holder":"A","mine_id":1,"owners":{"id":1,"name":"Ann"}}]`)
	for _, spec := range []string{
		"cards(owner(*))", "cards(owner_id(*))", "cards(owners!owner(*))", "cards(owners!owner_id(*))", "cards(owners!cards_owner_id_fkey(*))",
		"cards(owne(*))", "cards(nothing(*))", "owners(kept(*))", "owners(cards!owner_id(*))", "owners(cards!kept(*))", "owners(badges(*))", "badges(owners(*))",
		"cards(id,owner!inner(id)){where=owner.is.null}",
	} {
		f := w.refuses(spec, fault.NoRelation)
		for _, told := range []string{f.Hint, strings.Split(f.Details, "using the hint")[0]} {
			if asked := strings.Contains(f.Message, "'owner'") || strings.Contains(f.Message, "kept") || strings.Contains(f.Message, "owner_id"); !asked &&
				(strings.Contains(told, "owner_id") || strings.Contains(told, "'owner'") || strings.Contains(told, "kept")) {
				t.Errorf("%s: %s", spec, explain(f))
			}
		}
	}
	for _, spec := range []string{
		"cards(secret)", "cards(x:secret)", "cards(secret::text)", "cards(secret.max())", "cards{where=secret.eq.s3cret}", "cards{where=not.secret.is.null}",
		"cards{where=or(id.eq.1,secret.like.s%)}", "cards{order=secret}", "cards(id,mine(pin))", "cards(id,mine(name){where=pin.eq.1234})",
		"cards(id,mine(name)){order=mine(pin)}", "owners(cards(secret))", "owners(cards(id){where=secret.eq.s3cret})", "owners(cards(id){order=secret})",
		"cards(secre)", "cards(pin)",
	} {
		f := w.refuses(spec, fault.UndefinedField)
		for _, told := range []string{f.Hint, f.Details} {
			if strings.Contains(told, "secret") || strings.Contains(told, "pin") || strings.Contains(told, "s3cret") {
				t.Errorf("%s: %s", spec, explain(f))
			}
		}
	}
	f := w.fails(create("cards", `{"id":2,"secret":"s3cret"}`), fault.Unique)
	if strings.Contains(f.Message+f.Details+f.Hint, "s3cret") {
		t.Errorf("the fault shows the value: %s", explain(f))
	}
	f = w.fails(create("cards", `{"id":2,"owner_id":7777}`), fault.ForeignKey)
	if strings.Contains(f.Message+f.Details+f.Hint, "7777") {
		t.Errorf("the fault shows the value: %s", explain(f))
	}
	wr := update("cards", "secret.eq.s3cret", `{"holder":"x"}`)
	w.fails(wr, fault.UndefinedField)
	del := remove("cards", "id.eq.1")
	w.result(del, `[{"id":1,"holder":"A","mine_id":1}]`, 1, 0)

	for _, id := range []policy.Identity{{}, {Role: policy.Anon}, {Role: policy.Authenticated, UID: "x"}} {
		if _, err := w.engine.Read(context.Background(), id, read("owners"), engine.ReadOptions{}); !fault.Is(err, fault.MissingCredential) && !fault.Is(err, fault.Forbidden) {
			t.Errorf("%v reads: %v", id, err)
		}
		if _, err := w.engine.Write(context.Background(), id, create("owners", `{"id":9,"name":"x"}`), nil); err == nil {
			t.Errorf("%v writes", id)
		}
		if _, err := w.engine.Write(context.Background(), id, remove("owners", "id.eq.1"), nil); err == nil {
			t.Errorf("%v deletes", id)
		}
	}
	w.answers("owners(id)", `[{"id":1}]`)
}

func (s *suite) idempotency(t *testing.T) {
	w := s.world(t, "", `  things: { fields: { id: { type: int, primary: true }, at: { type: timestamp, default: now() } } }
`)
	ctx := context.Background()
	key := func(k string, digest byte) *engine.Idempotency {
		return &engine.Idempotency{Key: k, Method: "POST", Path: "/rest/v1/things", Digest: [32]byte{digest}}
	}
	put := func(id policy.Identity, wr *query.Write, idem *engine.Idempotency) (string, *engine.Result, error) {
		res, err := w.engine.Write(ctx, id, wr, idem)
		if err != nil {
			return "", nil, err
		}
		return string(res.Body), res, nil
	}
	first, res, err := put(service(), create("things", `{"id":1}`), key("k", 1))
	if err != nil || res.Replayed || first != `[{"id":1,"at":"2026-01-02T03:04:05.6789+00:00"}]` {
		t.Fatalf("the first: %s, %v", first, err)
	}
	w.now = w.now.Add(23 * time.Hour)
	again, res2, err := put(service(), create("things", `{"id":1}`), key("k", 1))
	if err != nil || !res2.Replayed || again != first || res2.Rows != 1 || res2.Inserted != 1 || res2.Key != "1" || res2.Total != -1 {
		t.Errorf("the replay: %s, %+v, %v", again, res2, err)
	}
	if _, _, err := put(service(), create("things", `{"id":2}`), key("k", 2)); !fault.Is(err, fault.IdempotencyMismatch) {
		t.Errorf("another body: %v", err)
	}
	// Another caller, method or path is another key.
	other := key("k", 2)
	other.Path = "/rest/v1/other"
	if _, res, err := put(service(), create("things", `{"id":2}`), other); err != nil || res.Replayed {
		t.Errorf("another path: %v", err)
	}
	other.Method = "PUT"
	if _, res, err := put(service(), create("things", `{"id":3}`), other); err != nil || res.Replayed {
		t.Errorf("another method: %v", err)
	}
	if _, res, err := put(policy.Identity{Role: policy.Service, UID: "u"}, create("things", `{"id":4}`), key("k", 3)); err != nil || res.Replayed {
		t.Errorf("another caller: %v", err)
	}
	// A write that failed is not remembered.
	if _, _, err := put(service(), create("things", `{"id":1}`), key("f", 1)); !fault.Is(err, fault.Unique) {
		t.Errorf("a failing write: %v", err)
	}
	if _, res, err := put(service(), create("things", `{"id":5}`), key("f", 9)); err != nil || res.Replayed {
		t.Errorf("after a failing write: %v", err)
	}
	bare := create("things", `{"id":6}`)
	bare.Returning = nil
	for _, replayed := range []bool{false, true} {
		if body, res, err := put(service(), bare, key("bare", 1)); err != nil || body != "" || res.Body != nil || res.Replayed != replayed {
			t.Errorf("without a representation: %q, %v", body, err)
		}
	}
	// After a day the key is free again.
	w.now = w.now.Add(time.Hour + time.Second)
	if _, res, err := put(service(), create("things", `{"id":7}`), key("k", 7)); err != nil || res.Replayed {
		t.Errorf("after a day: %v", err)
	}
	w.answers("things(count())", `[{"count":7}]`)
	inFlight(w)
}

// inFlight repeats a write while it runs.
func inFlight(w *world) {
	started, hold := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() { done <- blockWriter(w, started, hold) }()
	<-started
	idem := &engine.Idempotency{Key: "busy", Method: "POST", Path: "/", Digest: [32]byte{1}}
	results := make(chan error)
	run := func() {
		_, err := w.engine.Write(context.Background(), service(), create("things", `{"id":100}`), idem)
		results <- err
	}
	go run()
	go run()
	if err := <-results; !fault.Is(err, fault.IdempotencyInFlight) { // the other one waits for the writer
		w.Errorf("a repetition in flight: %v", err)
	}
	close(hold)
	if err := <-results; err != nil {
		w.Errorf("the first of two: %v", err)
	}
	if err := <-done; err != nil {
		w.Error(err)
	}
	w.answers("things(id){where=id.eq.100}", `[{"id":100}]`)
}
