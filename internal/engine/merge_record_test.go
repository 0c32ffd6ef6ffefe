package engine_test

import (
	"reflect"
	"testing"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// TestMergesAreUpdates: of an upsert, the rows that were there are on record as
// changed, with what was set, under the key of the person whom they are about.
func TestMergesAreUpdates(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(2, 1, bob), nil); err != nil {
		t.Fatal(err)
	}
	r.take()
	w := &query.Write{
		Action: query.Create, Target: query.Target{Entity: "patients"}, Columns: []string{"id", "name"},
		Conflict: query.Conflict{Resolution: query.Merge},
		Rows:     [][]query.Cell{{cell("1"), cell(`"New"`)}, {cell("2"), cell(`"Bob"`)}, {cell("3"), cell(`"Newer"`)}},
	}
	if _, err := r.Write(ctx, policy.Identity{Role: policy.Service, UID: ann, Key: "key_1"}, w, nil); err != nil {
		t.Fatal(err)
	}
	recs := r.take()
	if len(recs) != 2 {
		t.Fatalf("%d records", len(recs))
	}
	created, merged := recs[0], recs[1]
	if created.Action != "create" || !reflect.DeepEqual(created.Keys, []string{"1", "3"}) || created.Rows != 2 || created.Values[1].Key != "3" {
		t.Errorf("what was new: %+v", created)
	}
	if merged.Action != "update" || !reflect.DeepEqual(merged.Keys, []string{"2"}) || !reflect.DeepEqual(merged.Fields, []string{"name"}) || merged.Rows != 1 {
		t.Errorf("what was there: %+v", merged)
	}
	if v := merged.Values[0]; v.Subject != bob || v.Key != "2" || string(v.Data) != `{"name":"Bob"}` {
		t.Errorf("its values: %+v %s", v, v.Data)
	}
	if _, err := r.log.Erase(ctx, audit.FromIdentity(&service), bob); err != nil {
		t.Fatal(err)
	}
	if rec, err := r.log.Get(ctx, merged.ID); err != nil || !rec.Erased || rec.Values[0].Data != nil {
		t.Errorf("after the erasure: %+v, %v", rec, err)
	}
}

// TestAMovedKeyIsOnRecord: an update that gives a row another key names both.
func TestAMovedKeyIsOnRecord(t *testing.T) {
	r, ctx := openClinic(t), t.Context()
	if _, err := r.Write(ctx, service, patients(1, 2, bob), nil); err != nil {
		t.Fatal(err)
	}
	r.take()
	move := &query.Write{
		Action: query.Update, Target: query.Target{Entity: "patients"}, Where: byID(query.Eq, "1"), Columns: []string{"id"},
		Rows: [][]query.Cell{{cell("7")}},
	}
	if _, err := r.Write(ctx, service, move, nil); err != nil {
		t.Fatal(err)
	}
	if rec := r.one(); !reflect.DeepEqual(rec.Keys, []string{"7"}) || rec.Detail["was"] != "1" {
		t.Errorf("%+v", rec)
	}
	move.Where = byID(query.Eq, "7") // to the key that it has
	if _, err := r.Write(ctx, service, move, nil); err != nil {
		t.Fatal(err)
	}
	if rec := r.one(); rec.Detail != nil {
		t.Errorf("%+v", rec)
	}
}
