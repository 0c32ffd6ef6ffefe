package storetest

import (
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// guessed has rows that a caller must not find out about by what a write is
// told: by a key that is taken, by a reference that is there, by a check.
const guessed = `  people:
    fields: { id: { type: text, primary: true }, name: { type: text, optional: true } }
    policy: { read: "row.id != 'ghost'" }
  cards:
    fields:
      id:     { type: int, primary: true }
      owner:  { type: text }
      code:   { type: text, optional: true }
      top_id: { ref: people, optional: true }
      fan_id: { ref: people, optional: true, link: loose }
      size:   { type: int, optional: true, hidden: true }
      n:      { type: int, default: 0 }
    unique: [[code]]
    check: ["row.size > row.n"]
    policy:
      read: "row.owner == auth.uid"
      create: "row.owner == auth.uid"
      update: { when: "row.owner == auth.uid", check: "row.owner == auth.uid && (row.code == null || row.code.startsWith('a')) && (row.top_id == null || row.top_id == auth.uid)" }
  badges:
    fields:
      id:   { type: uuid, primary: true, default: uuid(), read: "row.open" }
      open: { type: bool }
      word: { type: text }
    unique: [[word]]
    policy: { read: "true", create: "true", update: { when: "true" } }
`

// oracles: a write that the rules refuse is told the same, whether what it names
// is there or not.
func (s *suite) oracles(t *testing.T) {
	w := s.world(t, "", guessed)
	w.add("people", `{"id":"ann"}
{"id":"ghost"}`)
	w.add("cards", `{"id":1,"owner":"ann","code":"a1","size":5}
{"id":2,"owner":"bob","code":"b2","fan_id":"ghost"}`)
	w.add("badges", `{"id":"0198f1c2-0000-7000-8000-000000000071","open":false,"word":"cat"}`)
	ann := caller("ann")
	told := func(wr *query.Write) string {
		res, err := w.engine.Write(w.Context(), ann, bare(wr), nil)
		if err != nil {
			return explain(err)
		}
		defer res.Release()
		if res.Rows > 0 {
			t.Error("it was written")
		}
		return "nothing"
	}
	for name, same := range map[string][2]*query.Write{
		"a key that is taken":        {update("cards", "id.eq.1", `{"code":"b2"}`), update("cards", "id.eq.1", `{"code":"b3"}`)},
		"a reference":                {update("cards", "id.eq.1", `{"top_id":"ghost"}`), update("cards", "id.eq.1", `{"top_id":"nobody"}`)},
		"a loose reference, no row":  {update("cards", "id.eq.9", `{"fan_id":"ghost"}`), update("cards", "id.eq.9", `{"fan_id":"nobody"}`)},
		"a loose reference, no rule": {update("cards", "id.eq.1", `{"fan_id":"ghost","owner":"bob"}`), update("cards", "id.eq.1", `{"fan_id":"nobody","owner":"bob"}`)},
		"a check":                    {update("cards", "id.eq.1", `{"n":9,"owner":"bob"}`), update("cards", "id.eq.1", `{"n":1,"owner":"bob"}`)},
		"a key of another's row":     {update("cards", "id.eq.1", `{"code":"b2","owner":"bob"}`), update("cards", "id.eq.1", `{"code":"b3","owner":"bob"}`)},
	} {
		if is, not := told(same[0]), told(same[1]); is != not {
			t.Errorf("%s is told:\n%s\n%s", name, is, not)
		}
	}
	// What one may write is told why it fails.
	_, err := w.engine.Write(w.Context(), ann, bare(update("cards", "id.eq.1", `{"fan_id":"nobody"}`)), nil)
	_ = refused(t, "a reference", "", err, fault.ForeignKey)
	// A key that the caller may not read of this row is not in the answer.
	wr := merge("badges", `{"open":false,"word":"cat"}`, "word")
	for id, want := range map[string]string{"ann": "", "": "0198f1c2-0000-7000-8000-000000000071"} {
		as := ann
		if id == "" {
			as = policy.Identity{Role: policy.Service}
		}
		if res, err := w.engine.Write(w.Context(), as, bare(wr), nil); err != nil || res.Key != want {
			t.Errorf("%q merges and is told the key: %+v, %v", id, res, err)
		}
	}
}
