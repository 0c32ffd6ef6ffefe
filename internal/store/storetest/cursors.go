package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

const keyset = `  points:
    fields:
      id: { type: int, primary: true }
      a: { type: int }
      b: { type: text, optional: true }
      c: { type: decimal, scale: 1, optional: true }
      j: { type: json, optional: true }
      base_id: { ref: bases, optional: true }
  bases: { fields: { id: { type: int, primary: true }, name: { type: text, optional: true } } }
`

func (s *suite) cursor(t *testing.T) {
	w := s.world(t, "limits: { rows: 1000 }", keyset)
	w.add("bases", `{"id":1,"name":"x"}
{"id":2}
{"id":3,"name":"y"}`)
	var rows []string
	texts := []string{`"a"`, `null`, `"B"`, `"é"`, `""`}
	for i := range 60 {
		base := "null"
		if i%4 > 0 {
			base = fmt.Sprint(i % 4)
		}
		c := "null"
		if i%7 > 1 {
			c = fmt.Sprintf("%d.%d", i%3-1, i%2)
		}
		rows = append(rows, fmt.Sprintf(`{"id":%d,"a":%d,"b":%s,"c":%s,"j":{"n":%s},"base_id":%s}`, (i*37)%101, i%6, texts[i%5], c, texts[i%3], base))
	}
	w.add("points", strings.Join(rows, "\n"))
	for _, order := range []string{
		"", "order=id.desc", "order=a", "order=a.desc", "order=a.desc,id", "order=b", "order=b.desc", "order=b.nullsfirst", "order=b.desc.nullslast",
		"order=b,c.desc", "order=b.desc,c.nullsfirst,a", "order=c.desc.nullslast,b.nullsfirst,id.desc", "order=a,b", "order=a.desc,b.desc",
		"order=id,a", "order=j->n", "order=j->>n.desc", "order=base(name),a.desc", "order=base(name).desc.nullslast", "where=c.is.null;order=c,b",
	} {
		for _, limit := range []int64{1, 7, 20, 100} {
			w.walk("points(id,base(id)){"+order+"}", limit)
		}
	}
	forged(w)
}

func (w *world) page(q *query.Read, id policy.Identity) (string, *engine.Result, error) {
	res, err := w.engine.Read(w.Context(), id, q, engine.ReadOptions{Cursors: true})
	if err != nil {
		return "", nil, err
	}
	body := strings.TrimSuffix(strings.TrimPrefix(string(res.Body), "["), "]")
	res.Release()
	return body, res, nil
}

// walk goes through all rows by cursors and back again.
func (w *world) walk(spec string, limit int64) {
	w.Helper()
	whole := strings.TrimSuffix(strings.TrimPrefix(w.get(spec), "["), "]")
	pageAt := func(cursor string) (string, *engine.Result) {
		q := read(spec)
		q.Cursor, q.Node.Page.Limit = cursor, &limit
		body, res, err := w.page(q, service())
		if err != nil {
			w.Fatalf("%s limit %d: %s", spec, limit, explain(err))
		}
		if int64(res.Rows) > limit {
			w.Errorf("%s limit %d: a page of %d rows", spec, limit, res.Rows)
		}
		return body, res
	}
	var forward, backward []string
	prev, next := "", ""
	for {
		body, res := pageAt(next)
		if next != "" && (res.Prev == "") != (res.Rows == 0) {
			w.Errorf("%s limit %d: a page of %d rows with the cursor back %q", spec, limit, res.Rows, res.Prev)
		}
		if res.Rows > 0 {
			forward, prev = append(forward, body), res.Prev
		}
		if next = res.Next; next == "" {
			break
		}
	}
	if got := strings.Join(forward, ","); got != whole {
		w.Errorf("%s limit %d, forward:\n got %s\nwant %s", spec, limit, got, whole)
		return
	}
	for prev != "" {
		body, res := pageAt(prev)
		if res.Rows > 0 {
			backward = append([]string{body}, backward...)
		}
		if res.Rows > 0 && res.Next == "" {
			w.Errorf("%s limit %d: a page before another has no cursor forward", spec, limit)
		}
		prev = res.Prev
	}
	if got := strings.Join(append(backward, forward[len(forward)-1]), ","); len(forward) > 1 && got != whole {
		w.Errorf("%s limit %d, backward:\n got %s\nwant %s", spec, limit, got, whole)
	}
}

func forged(w *world) {
	limit := int64(5)
	ask := func(spec, cursor string, id policy.Identity) error {
		q := read(spec)
		q.Cursor, q.Node.Page.Limit = cursor, &limit
		_, _, err := w.page(q, id)
		return err
	}
	q := read("points(id){order=b}")
	q.Node.Page.Limit = &limit
	_, res, err := w.page(q, service())
	if err != nil {
		w.Fatal(err)
	}
	good := res.Next
	if err := ask("points(id){order=b}", good, service()); err != nil {
		w.Errorf("the cursor itself: %s", explain(err))
	}
	for name, spec := range map[string]string{
		"another order": "points(id){order=b.desc}", "another select": "points(id,a){order=b}", "another filter": "points(id){where=a.eq.1;order=b}",
		"another entity": "bases(id){order=name}", "an offset": "points(id){order=b;offset=1}",
	} {
		if err := ask(spec, good, service()); !fault.Is(err, fault.InvalidCursor) {
			w.Errorf("a cursor with %s: %v", name, err)
		}
	}
	if err := ask("points(id){order=b}", good, policy.Identity{Role: policy.Service, UID: "0195f0a0-0000-7000-8000-00000000000a"}); !fault.Is(err, fault.InvalidCursor) {
		w.Errorf("another caller's cursor: %v", err)
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if err := ask("points(id){order=b}", string(bad), service()); err != nil && !fault.Is(err, fault.InvalidCursor) {
			w.Errorf("a cursor with another byte %d: %v", i, err)
		} else if err == nil && i < len(good)-1 { // the last character's low bits carry nothing
			w.Errorf("a cursor with another byte %d is taken", i)
		}
	}
	for _, bad := range []string{"x", "AA", strings.Repeat("A", 40), good + "AA", good[:len(good)-4], "é", strings.Repeat("A", 5000)} {
		if err := ask("points(id){order=b}", bad, service()); !fault.Is(err, fault.InvalidCursor) {
			w.Errorf("the cursor %.20q: %v", bad, err)
		}
	}
}
