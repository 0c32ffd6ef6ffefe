package engine_test

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// TestIdempotencyKeysAreTheCallers: two machines without a user choose the same
// key, and neither hears what the other was answered.
func TestIdempotencyKeysAreTheCallers(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(1, 1, ann), nil); err != nil {
		t.Fatal(err)
	}
	remove := func() *query.Write {
		return &query.Write{
			Action: query.Delete, Target: query.Target{Entity: "patients"}, Where: byID(query.Eq, "1"),
			Returning: &query.Node{Select: []query.Item{query.Star{}}},
		}
	}
	idem := &engine.Idempotency{Key: "k", Method: "DELETE", Path: "/"}
	res, err := r.Write(ctx, machine("one", "remover"), remove(), idem)
	if err != nil || !strings.Contains(string(res.Body), `"name":"N"`) {
		t.Fatalf("%v %s", err, res.Body)
	}
	r.take()
	res, err = r.Write(ctx, machine("two", "remover"), remove(), idem)
	if err != nil || res.Replayed || string(res.Body) != "[]" {
		t.Errorf("the other machine: %v, replayed %t: %s", err, res.Replayed, res.Body)
	}
	res, err = r.Write(ctx, machine("one", "remover"), remove(), idem)
	if err != nil || !res.Replayed || !strings.Contains(string(res.Body), `"name":"N"`) {
		t.Errorf("the same machine: %v, replayed %t: %s", err, res.Replayed, res.Body)
	}
	if recs := r.take(); len(recs) != 2 || recs[1].Action != "read" || recs[1].Key != "one" || recs[1].Detail["replayed"] != "true" {
		t.Errorf("the rows that were told again are not on record: %+v", recs)
	}
}

// TestReplayAfterRightsWereLost: an answer is not given again to a caller who
// has lost a role since.
func TestReplayAfterRightsWereLost(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(1, 1, ann), nil); err != nil {
		t.Fatal(err)
	}
	remove := &query.Write{Action: query.Delete, Target: query.Target{Entity: "patients"}, Where: byID(query.Eq, "1")}
	withRows := *remove
	withRows.Returning = &query.Node{Select: []query.Item{query.Star{}}}
	quiet, loud := &engine.Idempotency{Key: "q"}, &engine.Idempotency{Key: "l"}
	for _, again := range []bool{false, true} {
		id := machine("m", "remover")
		if again {
			id.Roles = nil
		}
		res, err := r.Write(ctx, id, &withRows, loud)
		switch {
		case !again && (err != nil || !strings.Contains(string(res.Body), `"name":"N"`)):
			t.Fatalf("%v", err)
		case again && !fault.Is(err, fault.Forbidden):
			t.Errorf("after the role was lost: %v %s", err, res.Body)
		}
		if res, err := r.Write(ctx, id, remove, quiet); err != nil || res.Replayed != again {
			t.Errorf("an answer that tells nothing: %v, %+v", err, res)
		}
	}
}

func machine(key string, roles ...string) policy.Identity {
	return policy.Identity{Role: policy.Authenticated, Key: key, Roles: roles}
}
