package storetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// office has rules of every kind: on the caller, on the row, over relations,
// of fields, and for what an update makes of a row.
const office = `  people:
    fields:
      id: { type: text, primary: true }
      name: { type: text }
      pay: { type: int, optional: true, read: "row.id == auth.uid || 'staff' in auth.roles", write: "'staff' in auth.roles" }
      boss_id: { ref: people, optional: true }
    policy: { read: "row.id != 'ghost'", create: "'staff' in auth.roles", update: { when: "row.id == auth.uid" } }
  docs:
    fields:
      id: { type: int, primary: true }
      owner: { type: text }
      title: { type: text, optional: true, read: "row.state == 'open' || row.owner == auth.uid" }
      state: { type: enum, values: [draft, open, done], default: draft }
      code: { type: text, optional: true }
      sealed: { type: bool, default: false, write: "'staff' in auth.roles || row.state == 'draft'" }
      n: { type: int, optional: true }
      key: { type: text, optional: true, hidden: true }
      reader_id: { ref: people, optional: true, as: reader, inverse: reading, read: "row.owner == auth.uid" }
    unique: [[code]]
    check: ["row.key != 'bad'"]
    search: [title]
    policy:
      read: "row.owner == auth.uid || row.state != 'draft' && row.owner != 'ghost'"
      create: "row.owner == auth.uid"
      update: { when: "row.owner == auth.uid && row.state != 'done'", check: "row.owner == auth.uid && (old.state == 'draft' || row.state != 'draft')" }
      delete: "row.owner == auth.uid && row.state == 'draft'"
  notes:
    fields: { id: { type: int, primary: true }, doc_id: { ref: docs, on_delete: cascade }, text: { type: text, optional: true } }
    policy:
      read: "row.doc.owner == auth.uid"
      create: "row.doc.owner == auth.uid"
      update: { when: "row.doc.owner == auth.uid", fields: [text, doc_id] }
      delete: "row.doc.owner == auth.uid"
  shares:
    fields: { id: { type: int, primary: true }, doc_id: { ref: docs }, person_id: { ref: people }, open: { type: bool, default: true } }
    unique: [[doc_id, person_id]]
    policy: { read: "row.open || row.person_id == auth.uid" }
  bins:
    fields: { id: { type: int, primary: true }, word: { type: text } }
    policy: { create: "true", delete: "true" }
  letters:
    fields: { id: { type: int, primary: true }, word: { type: text }, from: { type: text, default: { cel: "auth.uid" } } }
    policy: { read: "row.word != 'hush'", create: "row.from == auth.uid", update: { when: "row.from == auth.uid", fields: [word] } }
`

// exams have a key, a required text and a rank that are not everybody's.
const exams = `  exams:
    fields:
      id: { type: int, primary: true, read: "row.open" }
      open: { type: bool }
      word: { type: text, read: "row.open" }
      rank: { type: int, optional: true, read: "row.marks.exists(m, m.points > 0)" }
      cap: { type: int, optional: true, write: "row.open" }
      vault: { type: text, optional: true, hidden: true, write: "auth.service" }
    search: [word]
    policy: { read: "true", create: "true", update: { when: "true" } }
  marks:
    fields: { id: { type: int, primary: true }, exam_id: { ref: exams }, points: { type: int, optional: true } }
    policy: { read: "'examiner' in auth.roles" }
`

// scales have a rule whose arithmetic leaves the range of its type in some rows.
const scales = `  scales:
    fields: { id: { type: int, primary: true }, a: { type: int }, d: { type: decimal, scale: 2 }, f: { type: float } }
    policy:
      read: "row.a + 1 > 0 || row.d * row.d > 1 && row.a < 0"
      create: "!(row.f * 1e300 > 1e300) && row.a + 1 > 0"
`

// policyScales: one row that a rule cannot be computed for is not seen, and
// keeps nobody from the others.
func (s *suite) policyScales(t *testing.T) {
	w := s.world(t, "", scales)
	w.add("scales", `{"id":1,"a":1,"d":1,"f":1}
{"id":2,"a":9223372036854775807,"d":1,"f":1}
{"id":3,"a":-5,"d":3,"f":1}
{"id":4,"a":-5,"d":999999999999999,"f":1}`)
	ann := caller("ann")
	w.sees(ann, "scales(id)", `[{"id":1},{"id":3}] of 2`)
	w.sees(ann, "scales(id){where=id.eq.2}", `[] of 0`)
	for body, fails := range map[string]bool{
		`{"id":5,"a":1,"d":1,"f":0.5}`: false, `{"id":6,"a":9223372036854775807,"d":1,"f":0.5}`: true, `{"id":7,"a":1,"d":1,"f":1e300}`: true,
	} {
		_, err := w.engine.Write(context.Background(), ann, create("scales", body), nil)
		if fault.Is(err, fault.Forbidden) != fails || err != nil && !fails {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func (s *suite) policyExams(t *testing.T) {
	w := s.world(t, "roles: { examiner: {} }\n", exams)
	w.add("exams", `{"id":1,"open":true,"word":"cat","rank":1,"vault":"v"}
{"id":2,"open":false,"word":"dog","rank":2}
{"id":3,"open":true,"word":"cow","rank":3}`)
	w.add("marks", `{"id":1,"exam_id":1,"points":5}
{"id":2,"exam_id":2}`)
	ann := caller("ann")
	// A rule that is false for the caller as a whole lets nothing through, and
	// those that look through its rows all the same see them.
	w.sees(ann, "marks(id)", `[] of 0`)
	w.sees(ann, "marks(count())", `[{"count":0}] of 1`)
	w.sees(ann, "exams(word,marks(id)){where=word.eq.cat}", `[{"word":"cat","marks":[]}] of 1`)
	w.sees(ann, "exams(word,marks!inner(id))", `[] of 0`)
	w.sees(caller("ann", "examiner"), "marks(id,exam(word))", `[{"id":1,"exam":{"word":"cat"}},{"id":2,"exam":{"word":null}}] of 2`)
	// A mask is judged by itself, whatever negations are around it.
	w.sees(ann, "exams(word,rank){order=open.desc,word}", `[{"word":"cat","rank":1},{"word":"cow","rank":null},{"word":null,"rank":null}] of 3`)
	w.sees(ann, "exams(word){where=not.rank.eq.7}", `[{"word":"cat"}] of 1`)
	w.sees(ann, "exams(word){where=not.not.rank.gt.0}", `[{"word":"cat"}] of 1`)
	// A required field is null where it is masked, in the index too.
	w.sees(ann, "exams(id,word)", `[{"id":1,"word":"cat"},{"id":null,"word":null},{"id":3,"word":"cow"}] of 3`)
	w.sees(ann, "exams(id){where=word.fts.dog}", `[] of 0`)
	w.sees(ann, "exams(id){where=not.word.fts.cat}", `[{"id":3}] of 1`)
	w.sees(ann, "exams(id){where=word.is.null}", `[{"id":null}] of 1`)
	w.sees(ann, "exams(id){where=id.eq.2}", `[] of 0`)
	w.sees(ann, "exams(id){order=id.desc}", `[{"id":null},{"id":3},{"id":1}] of 3`)
	// A cursor would hold the keys.
	q := read("exams(word)")
	q.Node.Page.Limit = new(int64(1))
	for id, has := range map[string]bool{"ann": false, "": true} {
		as := caller(id)
		if id == "" {
			as = service()
		}
		if _, res, err := w.page(q, as); err != nil || (res.Next != "") != has {
			t.Errorf("%q reads a page with a cursor %q: %v", id, res.Next, err)
		}
	}
	// The rule of a field that is written judges the row before and after.
	for _, wr := range []*query.Write{
		update("exams", "open.is.false", `{"open":true,"cap":1}`), update("exams", "word.eq.cat", `{"open":false,"cap":1}`), update("exams", "", `{"open":true,"cap":1}`),
		merge("exams", `{"id":2,"open":true,"word":"x","cap":1}`), merge("exams", `{"id":1,"open":false,"word":"x","cap":1}`), create("exams", `{"id":9,"open":false,"word":"x","cap":1}`),
	} {
		_, err := w.engine.Write(context.Background(), ann, bare(wr), nil)
		if f := refused(t, "a write of cap", "", err, fault.Forbidden); !strings.Contains(f.Message, `column "cap"`) {
			t.Errorf("the fault is %s", explain(f))
		}
	}
	w.writes(ann, bare(update("exams", "open.is.true", `{"cap":1}`)), "", 2)
	w.writes(ann, bare(merge("exams", `{"id":1,"open":true,"word":"cat","cap":2}`)), "", 1)
	w.answers("exams(id,open,cap)", `[{"id":1,"open":true,"cap":2},{"id":2,"open":false,"cap":null},{"id":3,"open":true,"cap":1}]`)
	// What is neither to be read nor to be written is not there.
	for _, wr := range []*query.Write{
		update("exams", "id.eq.1", `{"vault":"x"}`), create("exams", `{"id":9,"open":true,"word":"x","vault":"x"}`), merge("exams", `{"id":1,"open":true,"word":"x","vault":"x"}`),
		merge("exams", `{"id":1,"open":true,"word":"x"}`, "vault"),
	} {
		_, err := w.engine.Write(context.Background(), ann, bare(wr), nil)
		if f := refused(t, "a write of vault", "", err, fault.UnknownInput); strings.Contains(f.Hint, "vault") {
			t.Errorf("the hint tells of the field: %s", explain(f))
		}
	}
}

func (s *suite) policies(t *testing.T) {
	t.Run("exams", s.policyExams)
	t.Run("scales", s.policyScales)
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"rows", policyRows},
		{"masks", policyMasks},
		{"junction", policyJunction},
		{"create", policyCreate},
		{"update", policyUpdate},
		{"delete", policyDelete},
		{"upsert", policyUpsert},
		{"upsert matrix", policyUpsertMatrix},
		{"columns", policyColumns},
		{"representation", policyRepresentation},
		{"load", policyLoad},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := s.world(t, "roles: { staff: {} }\n", office)
			w.add("people", `{"id":"ann","name":"Ann","pay":100}
{"id":"bob","name":"Bob","pay":200,"boss_id":"ann"}
{"id":"cy","name":"Cy","boss_id":"ann"}
{"id":"ghost","name":"Ghost","pay":900}`)
			w.add("docs", `{"id":1,"owner":"ann","title":"plan","code":"a1","key":"k1","reader_id":"bob"}
{"id":2,"owner":"ann","title":"offer","state":"open","code":"a2","reader_id":"cy"}
{"id":3,"owner":"ann","title":"past","state":"done","n":3,"reader_id":"bob"}
{"id":4,"owner":"bob","title":"own","code":"b4"}
{"id":5,"owner":"bob","title":"news","state":"open","n":1,"reader_id":"ann"}
{"id":6,"owner":"bob","title":"old","state":"done","n":2}
{"id":7,"owner":"ghost","title":"boo","state":"open"}`)
			w.add("notes", `{"id":1,"doc_id":1,"text":"a"}
{"id":2,"doc_id":4,"text":"b"}
{"id":3,"doc_id":5,"text":"c"}`)
			w.add("shares", `{"id":1,"doc_id":2,"person_id":"bob"}
{"id":2,"doc_id":2,"person_id":"cy","open":false}
{"id":3,"doc_id":5,"person_id":"ann","open":false}`)
			w.add("bins", `{"id":1,"word":"x"}`)
			part.run(w)
		})
	}
}

func caller(uid string, roles ...string) policy.Identity {
	return policy.Identity{Role: policy.Authenticated, UID: uid, Roles: roles}
}

func (w *world) tryAs(id policy.Identity, q *query.Read) (string, error) {
	res, err := w.engine.Read(context.Background(), id, q, engine.ReadOptions{})
	if err != nil {
		return "", err
	}
	defer res.Release()
	body := string(res.Body)
	if q.Count != query.CountNone {
		body += fmt.Sprint(" of ", res.Total)
	}
	return body, nil
}

// sees compares the answer to a caller.
func (w *world) sees(id policy.Identity, spec, want string) {
	w.Helper()
	q := read(spec)
	if strings.Contains(want, "] of ") {
		q.Count = query.CountExact
	}
	got, err := w.tryAs(id, q)
	if err != nil {
		got = explain(err)
	}
	if got != want {
		sql, _ := w.engine.Explain(id, read(spec))
		w.Errorf("%s asks %s\n got %s\nwant %s\n sql %s", id.UID, spec, got, want, sql)
	}
}

// denied checks the code of a read that must fail.
func (w *world) denied(id policy.Identity, spec string, code fault.Code) *fault.Error {
	w.Helper()
	body, err := w.tryAs(id, read(spec))
	return refused(w.T, spec, body, err, code)
}

// writes compares the answer to a write, and how many rows it changed.
func (w *world) writes(id policy.Identity, wr *query.Write, want string, rows int) {
	w.Helper()
	res, err := w.engine.Write(context.Background(), id, wr, nil)
	if err != nil {
		w.Errorf("%s writes %s: %s", id.UID, wr.Target.Entity, explain(err))
		return
	}
	if string(res.Body) != want || res.Rows != rows {
		w.Errorf("%s writes %s: %d rows: %s\nwant %d rows: %s", id.UID, wr.Target.Entity, res.Rows, res.Body, rows, want)
	}
}

// barred checks the code of a write that must fail, and that nothing of the
// docs has changed.
func (w *world) barred(id policy.Identity, wr *query.Write, code fault.Code) *fault.Error {
	w.Helper()
	before := w.get("docs")
	res, err := w.engine.Write(context.Background(), id, wr, nil)
	body := ""
	if err == nil {
		body = fmt.Sprintf("%d rows: %s", res.Rows, res.Body)
	}
	f := refused(w.T, id.UID+" "+wr.Target.Entity, body, err, code)
	if after := w.get("docs"); after != before {
		w.Errorf("%s: a write that failed left\n     %s\nwant %s", id.UID, after, before)
	}
	return f
}

// bare drops the representation.
func bare(wr *query.Write) *query.Write {
	wr.Returning = nil
	return wr
}

func policyRows(w *world) {
	ann, bob, anon := caller("ann"), caller("bob"), policy.Identity{Role: policy.Anon}
	w.sees(ann, "docs(id)", `[{"id":1},{"id":2},{"id":3},{"id":5},{"id":6}] of 5`)
	w.sees(bob, "docs(id)", `[{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}] of 5`)
	w.sees(anon, "docs(id)", `[{"id":2},{"id":3},{"id":5},{"id":6}] of 4`)
	w.sees(ann, "docs(id){where=id.eq.4}", `[] of 0`)
	w.sees(ann, "docs(count())", `[{"count":5}] of 1`)
	w.sees(ann, "docs(state,id.max()){order=state}", `[{"state":"done","max":6},{"state":"draft","max":1},{"state":"open","max":5}] of 3`)
	w.sees(ann, "notes(id,doc(id))", `[{"id":1,"doc":{"id":1}}] of 1`)
	w.sees(bob, "notes(id)", `[{"id":2},{"id":3}] of 2`)
	w.sees(anon, "notes(id)", `[] of 0`)
	// What is embedded has its own rule, whoever leads there.
	w.sees(ann, "docs(id,notes(id)){where=id.in.(1,5)}", `[{"id":1,"notes":[{"id":1}]},{"id":5,"notes":[]}] of 2`)
	w.sees(ann, "docs(id,notes!inner(id))", `[{"id":1,"notes":[{"id":1}]}] of 1`)
	w.sees(ann, "docs(id,notes(id)){where=notes.is.null}", `[{"id":2,"notes":[]},{"id":3,"notes":[]},{"id":5,"notes":[]},{"id":6,"notes":[]}] of 4`)
	w.sees(ann, "docs(id,notes(count())){where=id.in.(1,5)}", `[{"id":1,"notes":[{"count":1}]},{"id":5,"notes":[{"count":0}]}] of 2`)
	for _, id := range []policy.Identity{ann, anon} {
		w.denied(id, "bins", fault.Forbidden)
		w.denied(id, "docs(id,bins())", fault.NoRelation)
	}
	key := caller("ann")
	key.Modules = []string{"other"}
	w.denied(key, "docs", fault.Forbidden)
	w.denied(policy.Identity{}, "docs", fault.MissingCredential)
}

func policyMasks(w *world) {
	ann, cy, staff := caller("ann"), caller("cy"), caller("cy", "staff")
	w.sees(ann, "people(id,pay)", `[{"id":"ann","pay":100},{"id":"bob","pay":null},{"id":"cy","pay":null}] of 3`)
	w.sees(staff, "people(id,pay)", `[{"id":"ann","pay":100},{"id":"bob","pay":200},{"id":"cy","pay":null}] of 3`)
	w.sees(ann, "docs(id,title)", `[{"id":1,"title":"plan"},{"id":2,"title":"offer"},{"id":3,"title":"past"},{"id":5,"title":"news"},{"id":6,"title":null}] of 5`)
	// Nothing tells a masked value from null: filters, orders, aggregates,
	// casts, places in an index.
	for spec, want := range map[string]string{
		"docs(id){where=title.eq.old}":                              `[]`,
		"docs(id){where=title.neq.old}":                             `[{"id":2},{"id":5}]`,
		"docs(id){where=not.title.eq.old}":                          `[{"id":2},{"id":5}]`,
		"docs(id){where=title.is.null}":                             `[{"id":3},{"id":6}]`,
		"docs(id){where=title.in.(old,past,news)}":                  `[{"id":5}]`,
		"docs(id){where=title.like.%o%}":                            `[{"id":2}]`,
		"docs(id){where=title.match.^o}":                            `[{"id":2}]`,
		"docs(id){where=title.isdistinct.old}":                      `[{"id":2},{"id":3},{"id":5},{"id":6}]`,
		"docs(id){where=title.fts.old}":                             `[]`,
		"docs(id){where=title.fts.offer}":                           `[{"id":2}]`,
		"docs(id){where=not.title.fts.offer}":                       `[{"id":5}]`,
		"docs(id){where=not.title.fts.old}":                         `[{"id":2},{"id":5}]`,
		"docs(id){where=or(title.fts.past,title.fts.news)}":         `[{"id":5}]`,
		"docs(id){order=title}":                                     `[{"id":5},{"id":2},{"id":3},{"id":6}]`,
		"docs(id){order=title.desc}":                                `[{"id":6},{"id":3},{"id":2},{"id":5}]`,
		"docs(title.count())":                                       `[{"count":2}]`,
		"docs(title.max())":                                         `[{"max":"offer"}]`,
		"docs(title,count()){order=title}":                          `[{"title":"news","count":1},{"title":"offer","count":1},{"title":null,"count":2}]`,
		"docs(id,x:title::text){where=id.eq.6}":                     `[{"id":6,"x":null}]`,
		"people(id,pay.sum()){order=id}":                            `[{"id":"ann","sum":null},{"id":"bob","sum":null},{"id":"cy","sum":null}]`,
		"people(pay.avg())":                                         `[{"avg":null}]`,
		"people(id){where=pay.gt.1}":                                `[]`,
		"people(id){order=pay.desc}":                                `[{"id":"cy"},{"id":"bob"},{"id":"ann"}]`,
		"people(id,boss(id,pay)){where=id.eq.bob}":                  `[{"id":"bob","boss":{"id":"ann","pay":null}}]`,
		"people(id,boss!inner(id){where=pay.eq.100})":               `[]`,
		"people(id,boss(id)){order=boss(pay).desc}":                 `[{"id":"cy","boss":{"id":"ann"}},{"id":"bob","boss":{"id":"ann"}},{"id":"ann","boss":null}]`,
		"people(id,...boss(pay)){where=id.eq.bob}":                  `[{"id":"bob","pay":null}]`,
		"people(id,people(id){where=pay.is.null}){where=id.eq.ann}": `[{"id":"ann","people":[{"id":"bob"},{"id":"cy"}]}]`,
		// A masked reference leads nowhere, in neither direction.
		"docs(id,reader_id,reader(id)){where=id.eq.3}": `[{"id":3,"reader_id":null,"reader":null}]`,
		"docs(id,reader!inner(id))":                    `[]`,
		"docs(id,reader(id)){where=reader.is.null}":    `[{"id":2,"reader":null},{"id":3,"reader":null},{"id":5,"reader":null},{"id":6,"reader":null}]`,
		"people(id,reading(id))":                       `[{"id":"ann","reading":[]},{"id":"bob","reading":[]},{"id":"cy","reading":[]}]`,
		"people(id,reading!inner(id))":                 `[]`,
		"people(id,reading(count())){where=id.eq.bob}": `[{"id":"bob","reading":[{"count":0}]}]`,
	} {
		w.sees(cy, spec, want)
	}
	w.sees(ann, "people(id,reading(id))", `[{"id":"ann","reading":[]},{"id":"bob","reading":[{"id":1},{"id":3}]},{"id":"cy","reading":[{"id":2}]}]`)
	w.walked(cy, "docs(id,title){order=title}", `{"id":5,"title":"news"},{"id":2,"title":"offer"},{"id":3,"title":null},{"id":6,"title":null}`)
	w.walked(cy, "docs(id){order=title.desc.nullslast,n}", `{"id":2},{"id":5},{"id":6},{"id":3}`)
	f := w.denied(cy, "docs(key)", fault.UndefinedField)
	if strings.Contains(f.Hint, "key") {
		w.Errorf("the hint tells of a hidden field: %s", explain(f))
	}
}

// walked goes through a caller's rows by cursors of one row each; no cursor
// holds what the caller may not read.
func (w *world) walked(id policy.Identity, spec, want string) {
	w.Helper()
	q, limit := read(spec), int64(1)
	q.Node.Page.Limit = &limit
	var rows []string
	for {
		body, res, err := w.page(q, id)
		if err != nil {
			w.Errorf("%s: %s", spec, explain(err))
			return
		}
		if body != "" {
			rows = append(rows, body)
		}
		if q.Cursor = res.Next; q.Cursor == "" {
			break
		}
	}
	if got := strings.Join(rows, ","); got != want {
		w.Errorf("%s by cursors\n got %s\nwant %s", spec, got, want)
	}
}

// policyJunction: a row between that the caller may not read connects nothing.
func policyJunction(w *world) {
	ann, bob, cy := caller("ann"), caller("bob"), caller("cy")
	w.sees(ann, "docs(id,people(id)){where=id.in.(2,5)}", `[{"id":2,"people":[{"id":"bob"}]},{"id":5,"people":[{"id":"ann"}]}] of 2`)
	w.sees(bob, "docs(id,people(id)){where=id.in.(2,5)}", `[{"id":2,"people":[{"id":"bob"}]},{"id":5,"people":[]}] of 2`)
	w.sees(cy, "docs(id,people!inner(id))", `[{"id":2,"people":[{"id":"bob"},{"id":"cy"}]}] of 1`)
	w.sees(bob, "docs(id,people!inner(id))", `[{"id":2,"people":[{"id":"bob"}]}] of 1`)
	w.sees(bob, "people(id,docs!shares(id)){where=id.eq.cy}", `[{"id":"cy","docs":[]}] of 1`)
}

func policyCreate(w *world) {
	ann, anon := caller("ann"), policy.Identity{Role: policy.Anon}
	w.writes(ann, create("docs", `{"id":10,"owner":"ann"}`), `[{"id":10,"owner":"ann","title":null,"state":"draft","code":null,"sealed":false,"n":null,"reader_id":null}]`, 1)
	f := w.barred(ann, create("docs", `{"id":11,"owner":"bob"}`), fault.Forbidden)
	if !strings.Contains(f.Message, "create policy") {
		w.Errorf("the fault does not name the policy: %s", explain(f))
	}
	w.barred(anon, create("docs", `{"id":11,"owner":"bob"}`), fault.Forbidden)
	w.barred(ann, create("docs", `{"id":11,"owner":"ann"}
{"id":12,"owner":"bob"}`), fault.Forbidden)
	// Who could not create the row does not learn whether its key is taken.
	for _, taken := range []string{`{"id":4,"owner":"bob"}`, `{"id":12,"owner":"bob","code":"b4"}`, `{"id":12,"owner":"bob","reader_id":"nobody"}`} {
		w.barred(ann, create("docs", taken), fault.Forbidden)
	}
	w.barred(ann, create("docs", `{"id":4,"owner":"ann"}`), fault.Unique)
	w.barred(caller("ann"), create("people", `{"id":"new","name":"x"}`), fault.Forbidden)
	// Over a relation.
	w.writes(ann, create("notes", `{"id":10,"doc_id":2}`), `[{"id":10,"doc_id":2,"text":null}]`, 1)
	w.barred(ann, create("notes", `{"id":11,"doc_id":4}`), fault.Forbidden)
	w.barred(ann, create("notes", `{"id":11,"doc_id":99}`), fault.Forbidden)
	w.barred(ann, create("notes", `{"id":11,"doc_id":1}
{"id":12,"doc_id":5}`), fault.Forbidden)
	w.answers("notes(id){where=id.gte.10}", `[{"id":10}]`)
	// A field's own rule is about the new row, and not about defaults.
	w.writes(ann, bare(create("docs", `{"id":13,"owner":"ann","sealed":true}`)), "", 1)
	w.barred(ann, create("docs", `{"id":14,"owner":"ann","sealed":false,"state":"open"}`), fault.Forbidden)
	w.writes(ann, bare(create("docs", `{"id":14,"owner":"ann","state":"open"}`)), "", 1)
	f = w.barred(ann, create("docs", `{"id":15,"owner":"ann","key":"bad"}`), fault.Check)
	if strings.Contains(explain(f), "key") {
		w.Errorf("the fault tells of the field: %s", explain(f))
	}
}

func policyUpdate(w *world) {
	ann, bob := caller("ann"), caller("bob")
	only := func(wr *query.Write) *query.Write {
		wr.Returning = &read("docs(id,state)").Node
		return wr
	}
	w.writes(ann, only(update("docs", "id.eq.1", `{"state":"open"}`)), `[{"id":1,"state":"open"}]`, 1)
	w.barred(ann, update("docs", "id.eq.1", `{"state":"draft"}`), fault.Forbidden) // old is open by now
	w.writes(ann, only(update("docs", "id.eq.1", `{"n":1}`)), `[{"id":1,"state":"open"}]`, 1)
	// Out of one's reach, and into it: neither.
	w.barred(ann, update("docs", "id.eq.1", `{"owner":"bob"}`), fault.Forbidden)
	w.barred(ann, update("docs", "", `{"owner":"bob"}`), fault.Forbidden)
	for _, far := range []string{"id.eq.3", "id.eq.4", "id.eq.5", "id.eq.7", "owner.eq.bob"} {
		w.writes(ann, update("docs", far, `{"owner":"ann"}`), `[]`, 0)
		w.writes(ann, update("docs", far, `{"n":77}`), `[]`, 0)
	}
	w.answers("docs(id){where=n.eq.77}", `[]`)
	w.writes(ann, bare(update("docs", "", `{"n":5}`)), "", 2)
	w.answers("docs(id){where=n.eq.5}", `[{"id":1},{"id":2}]`)
	// One row that must not become so undoes them all.
	w.writes(bob, bare(update("docs", "id.eq.4", `{"n":6}`)), "", 1)
	w.barred(bob, update("docs", "", `{"state":"draft"}`), fault.Forbidden)
	// A field's rule judges the stored row and the new one.
	w.writes(bob, bare(update("docs", "id.eq.4", `{"sealed":true}`)), "", 1)
	f := w.barred(bob, update("docs", "id.eq.4", `{"sealed":false,"state":"open"}`), fault.Forbidden)
	if !strings.Contains(f.Message, `column "sealed"`) {
		w.Errorf("the fault does not name the column: %s", explain(f))
	}
	w.barred(bob, update("docs", "id.eq.5", `{"sealed":true}`), fault.Forbidden)
	w.writes(caller("bob", "staff"), bare(update("docs", "id.eq.5", `{"sealed":true}`)), "", 1)
	// Over a relation: from the stored row, and from the new one.
	w.writes(ann, update("notes", "", `{"text":"z"}`), `[{"id":1,"doc_id":1,"text":"z"}]`, 1)
	w.writes(ann, update("notes", "id.eq.2", `{"doc_id":1}`), `[]`, 0)
	w.barred(ann, update("notes", "id.eq.1", `{"doc_id":4}`), fault.Forbidden)
	w.barred(ann, update("notes", "id.eq.1", `{"doc_id":99}`), fault.Forbidden)
	w.writes(ann, update("notes", "id.eq.1", `{"doc_id":2}`), `[{"id":1,"doc_id":2,"text":"z"}]`, 1)
	w.barred(ann, update("notes", "id.eq.1", `{"id":9}`), fault.Forbidden) // not among fields
	// Bounds and tags count what is in reach alone.
	most := update("docs", "", `{"n":8}`)
	most.MaxAffected = new(int64(2))
	w.writes(ann, bare(most), "", 2)
	tagged := update("docs", "id.eq.4", `{"n":9}`)
	tagged.IfMatch = []string{"*"}
	w.barred(ann, tagged, fault.PreconditionFailed)
	// What cannot be read cannot be tried either.
	w.writes(ann, bare(update("docs", "title.eq.old", `{"n":1}`)), "", 0)
	w.barred(ann, update("docs", "key.eq.k1", `{"n":1}`), fault.UndefinedField)
}

func policyDelete(w *world) {
	ann := caller("ann")
	for _, far := range []string{"id.eq.2", "id.eq.4", "id.eq.5", "state.neq.draft", "title.eq.own"} {
		w.writes(ann, remove("docs", far), `[]`, 0) // readable or not
	}
	all := remove("docs", "")
	all.Returning = &read("docs(id)").Node
	w.writes(ann, all, `[{"id":1}]`, 1)
	w.answers("docs(id)", `[{"id":2},{"id":3},{"id":4},{"id":5},{"id":6},{"id":7}]`)
	w.answers("notes(id)", `[{"id":2},{"id":3}]`) // the cascade asks nobody
	w.barred(ann, remove("people", "id.eq.ann"), fault.Forbidden)
	w.barred(ann, bare(remove("bins", "id.eq.1")), fault.Forbidden) // no rule lets it be read
	w.answers("bins(id)", `[{"id":1}]`)
}

// policyUpsert: a merge is a create or an update, and never a way around.
func policyUpsert(w *world) {
	ann, bob := caller("ann"), caller("bob")
	w.writes(ann, bare(merge("docs", `{"id":1,"owner":"ann","n":1}
{"id":20,"owner":"ann","n":2}`)), "", 2)
	w.answers("docs(id,n){where=id.in.(1,20)}", `[{"id":1,"n":1},{"id":20,"n":2}]`)
	// Another's row by its key, by another unique key, with another owner: nothing of it moves.
	for _, rows := range []string{
		`{"id":4,"owner":"ann"}`, `{"id":5,"owner":"ann"}`, `{"id":6,"owner":"ann"}`, `{"id":3,"owner":"ann"}`, `{"id":7,"owner":"ann"}`, `{"id":4,"owner":"bob"}`,
		`{"id":1,"owner":"bob"}`, `{"id":2,"owner":"ann","state":"draft"}`, `{"id":5,"n":1,"owner":"bob"}`, `{"id":21,"owner":"bob"}`,
	} {
		f := w.barred(ann, merge("docs", rows), fault.Forbidden)
		if strings.Contains(rows, `"id":4`) && f.Message != `new row violates the update policy of "docs"` {
			w.Errorf("%s: %s", rows, explain(f))
		}
	}
	w.barred(ann, merge("docs", `{"id":30,"owner":"ann","code":"b4"}`, "code"), fault.Forbidden)
	w.barred(ann, merge("docs", `{"id":4,"owner":"ann","code":"a1"}`, "code"), fault.Unique) // ann's row, bob's key
	w.writes(ann, bare(merge("docs", `{"id":30,"owner":"ann","code":"c3"}`, "code")), "", 1)
	w.writes(ann, bare(merge("docs", `{"id":31,"owner":"ann","code":"c3"}`, "code")), "", 1) // her own row, a key of hers
	w.answers("docs(id,owner){where=code.eq.c3}", `[{"id":31,"owner":"ann"}]`)
	w.barred(ann, merge("docs", `{"id":1,"owner":"ann"}
{"id":4,"owner":"ann"}`), fault.Forbidden)
	// Fields with a rule of their own, in each of the two cases.
	w.writes(bob, bare(merge("docs", `{"id":40,"owner":"bob","sealed":true}`)), "", 1)
	w.barred(bob, merge("docs", `{"id":41,"owner":"bob","sealed":true,"state":"open"}`), fault.Forbidden)
	w.barred(bob, merge("docs", `{"id":5,"owner":"bob","sealed":true}`), fault.Forbidden)
	// What must not be updated cannot be merged; the key itself is not set.
	w.writes(ann, merge("letters", `{"id":1,"word":"hi"}`), `[{"id":1,"word":"hi","from":"ann"}]`, 1)
	w.writes(ann, merge("letters", `{"id":1,"word":"ho"}`), `[{"id":1,"word":"ho","from":"ann"}]`, 1)
	w.barred(ann, merge("letters", `{"id":1,"word":"x","from":"ann"}`), fault.Forbidden)
	w.barred(bob, merge("letters", `{"id":1,"word":"bob's"}`), fault.Forbidden)
	w.barred(bob, merge("letters", `{"word":"x","id":1}`), fault.Forbidden)
	w.writes(ann, bare(merge("letters", `{"id":1,"word":"hush"}`)), "", 1)
	w.barred(ann, merge("letters", `{"id":1,"word":"loud"}`), fault.Forbidden) // her own, and not hers to read
	w.answers("letters", `[{"id":1,"word":"hush","from":"ann"}]`)
	w.barred(ann, merge("bins", `{"id":1,"word":"y"}`), fault.Forbidden) // no update rule
	w.barred(ann, merge("docs", `{"id":1,"owner":"ann"}`, "key"), fault.NoConflictTarget)

	ignore := func(rows string, fields ...string) *query.Write {
		wr := bare(create("docs", rows))
		wr.Conflict = query.Conflict{Resolution: query.Ignore, Fields: fields}
		return wr
	}
	w.barred(ann, ignore(`{"id":4,"owner":"bob"}`), fault.Forbidden)
	w.barred(ann, ignore(`{"id":50,"owner":"bob"}`), fault.Forbidden)
	before := w.get("docs{where=id.lte.6}")
	w.writes(ann, ignore(`{"id":4,"owner":"ann","n":1}
{"id":6,"owner":"ann","n":1}
{"id":51,"owner":"ann"}`), "", 1)
	if after := w.get("docs{where=id.lte.6}"); after != before {
		w.Errorf("rows that were to be ignored are %s\nwant %s", after, before)
	}
}

// policyUpsertMatrix: the row is there or not, readable or not, in reach of an
// update or not, and what it becomes is allowed or not.
func policyUpsertMatrix(w *world) {
	owners, states := []string{"ann", "bob", "ghost"}, []string{"draft", "open", "done"}
	id := 100
	for _, there := range []bool{false, true} {
		for _, owner := range owners {
			for _, state := range states {
				for _, newOwner := range []string{"ann", "bob"} {
					for _, newState := range states {
						id++
						if there {
							w.add("docs", fmt.Sprintf(`{"id":%d,"owner":%q,"state":%q,"n":0}`, id, owner, state))
						}
						allowed := newOwner == "ann"
						if there {
							readable := owner == "ann" || state != "draft" && owner != "ghost"
							reach := readable && owner == "ann" && state != "done"
							allowed = reach && newOwner == "ann" && (state == "draft" || newState != "draft")
						}
						_, err := w.engine.Write(context.Background(), caller("ann"), bare(merge("docs", fmt.Sprintf(`{"id":%d,"owner":%q,"state":%q,"n":1}`, id, newOwner, newState))), nil)
						if allowed != (err == nil) || err != nil && !fault.Is(err, fault.Forbidden) {
							w.Errorf("a row there %t of %s %s becomes one of %s %s: allowed %t, got %v", there, owner, state, newOwner, newState, allowed, err)
						}
						want := "[]"
						switch {
						case allowed:
							want = fmt.Sprintf(`[{"owner":%q,"state":%q,"n":1}]`, newOwner, newState)
						case there:
							want = fmt.Sprintf(`[{"owner":%q,"state":%q,"n":0}]`, owner, state)
						}
						w.answers(fmt.Sprintf("docs(owner,state,n){where=id.eq.%d}", id), want)
					}
				}
			}
		}
	}
}

// policyColumns: a column that may not be given is refused by its name only to
// who knows that it is there.
func policyColumns(w *world) {
	ann, staff := caller("ann"), caller("ann", "staff")
	f := w.barred(ann, update("people", "id.eq.ann", `{"pay":1000}`), fault.Forbidden)
	if !strings.Contains(f.Message, `permission denied for column "pay"`) {
		w.Errorf("the fault is %s", explain(f))
	}
	w.writes(staff, update("people", "id.eq.ann", `{"pay":1000}`), `[{"id":"ann","name":"Ann","pay":1000,"boss_id":null}]`, 1)
	w.writes(ann, bare(update("docs", "id.eq.1", `{"key":"x"}`)), "", 1) // hidden, and hers to write
	for _, name := range []string{"kee", "nothing"} {
		f := w.barred(ann, update("docs", "id.eq.1", `{"`+name+`":"x"}`), fault.UnknownInput)
		if strings.Contains(f.Hint, "'key'") || strings.Contains(f.Hint, ", key") {
			w.Errorf("%s: the hint tells of a hidden field: %s", name, explain(f))
		}
	}
	w.writes(ann, create("letters", `{"id":1,"word":"hi","from":"ann"}`), `[{"id":1,"word":"hi","from":"ann"}]`, 1)
	w.barred(ann, update("letters", "id.eq.1", `{"from":"bob"}`), fault.Forbidden)
	w.barred(ann, create("letters", `{"id":2,"word":"hi","from":"bob"}`), fault.Forbidden)
	w.answers("people(pay){where=id.eq.ann}", `[{"pay":1000}]`)
}

// policyRepresentation: what is written is answered as far as it may be read.
func policyRepresentation(w *world) {
	ann := caller("ann")
	w.writes(ann, create("letters", `{"id":1,"word":"a"}
{"id":2,"word":"hush"}
{"id":3,"word":"b"}`), `[{"id":1,"word":"a","from":"ann"},{"id":3,"word":"b","from":"ann"}]`, 3)
	w.writes(ann, create("letters", `{"id":4,"word":"hush"}`), `[]`, 1)
	one := create("letters", `{"id":5,"word":"hush"}`)
	one.Singular = true
	w.barred(ann, one, fault.NotSingular)
	w.answers("letters(id){where=id.eq.5}", `[]`)
	w.writes(ann, update("letters", "id.eq.1", `{"word":"hush"}`), `[]`, 1)
	gone := update("letters", "id.eq.3", `{"word":"hush"}`)
	gone.Singular = true
	w.barred(ann, gone, fault.NotSingular)
	w.answers("letters(word){where=id.eq.3}", `[{"word":"b"}]`)
	// Masks hold in a representation too.
	boss := caller("cy", "staff")
	w.writes(boss, create("people", `{"id":"dan","name":"Dan","pay":5}`), `[{"id":"dan","name":"Dan","pay":5,"boss_id":null}]`, 1)
	w.writes(caller("dan"), update("people", "id.eq.dan", `{"name":"D"}`), `[{"id":"dan","name":"D","pay":5,"boss_id":null}]`, 1)
	w.barred(ann, create("bins", `{"id":2,"word":"x"}`), fault.Forbidden)
	w.writes(ann, bare(create("bins", `{"id":2,"word":"x"}`)), "", 1)
	w.writes(ann, create("notes", `{"id":20,"doc_id":1}`), `[{"id":20,"doc_id":1,"text":null}]`, 1)
}

// policyLoad: rows that are loaded are judged as any that are created.
func policyLoad(w *world) {
	rows := []string{`{"id":60,"owner":"ann"}`, `{"id":61,"owner":"bob"}`, `{"id":4,"owner":"bob"}`, `{"id":62,"owner":"ann"}`}
	load := func(id policy.Identity) (bad []fault.Code, stored int, err error) {
		next := 0
		stored, err = w.engine.Load(context.Background(), id, &engine.Load{
			Target: query.Target{Entity: "docs"}, Columns: []string{"id", "owner"},
			Next: func(r *engine.Row) error {
				if next == len(rows) {
					return io.EOF
				}
				wr := create("docs", rows[next])
				next++
				r.Line, r.Cells = next, wr.Rows[0]
				return nil
			},
			Bad: func(_ int, _ string, err error) error {
				bad = append(bad, fault.From(err).Code)
				return nil
			},
		})
		return bad, stored, err
	}
	bad, stored, err := load(caller("ann"))
	if err != nil || stored != 2 || len(bad) != 2 || bad[0] != fault.Forbidden || bad[1] != fault.Forbidden {
		w.Errorf("the load stored %d rows and refused %v: %v", stored, bad, err)
	}
	w.answers("docs(id,owner){where=id.gte.60}", `[{"id":60,"owner":"ann"},{"id":62,"owner":"ann"}]`)
	if _, _, err := load(policy.Identity{Role: policy.Anon}); !fault.Is(err, fault.Forbidden) && err != nil {
		w.Errorf("the anonymous load: %v", err)
	}
}
