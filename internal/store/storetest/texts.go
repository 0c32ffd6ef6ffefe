package storetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// blockWriter holds the writer until hold is closed.
func blockWriter(w *world, started chan<- struct{}, hold <-chan struct{}) error {
	return w.driver.Write(context.Background(), func(store.Tx) error {
		close(started)
		<-hold
		return nil
	})
}

func (s *suite) search(t *testing.T) {
	w := s.world(t, "", `  docs:
    fields:
      id: { type: int, primary: true }
      rowid: { type: int, default: 1 }
      title: { type: text }
      body: { type: text, optional: true }
    search: [title, body]
  notes:
    fields:
      id: { type: uuid, primary: true, default: uuid() }
      n: { type: int }
      doc_id: { ref: docs, on_delete: cascade }
      text: { type: text }
    search: [text]
`)
	w.add("docs", `{"id":1,"title":"The quick brown fox","body":"jumps over the lazy dog"}
{"id":2,"title":"Quick, quick! Brown.","body":null}
{"id":3,"title":"École été","body":"fox-trot and the C++ language"}
{"id":4,"title":"","body":"A \"quoted\" word: fox OR NOT dog*"}
{"id":5,"title":"foxes","body":"straße 42"}`)
	for _, c := range []struct{ cond, want string }{
		{"title.fts.quick", "1 2"},
		{"title.fts.'quick & fox'", "1"},
		{"title.fts.'quick | foxes'", "1 2 5"},
		{"title.fts.'quick & !fox'", "2"},
		{"title.fts.'!quick'", "3 4 5"},
		{"title.fts.'fox:*'", "1 5"},
		{"title.fts.'brown <-> fox'", "1"},
		{"title.fts.'quick <-> fox'", ""},
		{"body.fts.'!dog'", "3 5"},
		{"body.fts.'!dog & !fox'", "5"},
		{"body.fts.'!nothing | dog'", "1 3 4 5"},
		{"body.fts.nothing", ""},
		{"title.plfts.'brown quick'", "1 2"},
		{"title.plfts.'ÉCOLE'", "3"},
		{"title.plfts.'quick | fox'", "1"},
		{"title.phfts.'quick brown'", "1 2"},
		{"title.phfts.'brown quick'", ""},
		{"body.phfts.'the lazy'", "1"},
		{"title.wfts.'quick -fox'", "2"},
		{"title.wfts.'fox or foxes'", "1 5"},
		{"title.wfts.'\"quick brown\"'", "1 2"},
		{"body.wfts.'-dog'", "3 5"},
		{"body.wfts.'\"fox trot\"'", "3"},
		{"body.plfts.42", "5"},
		{"body.plfts.'AND OR NOT'", ""},
		{"body.plfts.'or not'", "4"},
		{"title.plfts.'  '", ""},
		{"title.plfts.'*'", ""},
		{"title.wfts.''", ""},
		{"or(title.fts.quick,body.fts.fox)", "1 2 3 4"},
		{"and(title.fts.quick,body.fts.dog)", "1"},
		{"not.title.fts.quick", "3 4 5"},
		{"not.body.fts.dog", "3 5"},
		{"not.body.fts.'!dog'", "1 4"},
		{"not.or(body.fts.dog,id.eq.5)", "3"},
	} {
		spec := "docs(id){where=" + c.cond + "}"
		if got := w.ids(spec); got != c.want {
			sql, _ := w.engine.Explain(service(), read(spec))
			w.Errorf("%s: %q, want %q\n%s", c.cond, got, c.want, sql)
		}
	}
	w.refuses("docs{where=id.fts.x}", fault.NotImplemented)
	w.refuses("docs{where=title.fts.'a &'}", fault.InvalidText)

	// The index follows every change.
	w.add("notes", `{"n":1,"doc_id":1,"text":"alpha"}
{"n":2,"doc_id":1,"text":"beta"}
{"n":3,"doc_id":2,"text":"alpha beta"}`)
	notes := func(text, want string) {
		w.Helper()
		if got := w.get("notes(n){where=text.fts." + text + ";order=n}"); got != want {
			w.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	notes("alpha", `[{"n":1},{"n":3}]`)
	w.do(update("notes", "n.eq.1", `{"text":"gamma"}`))
	notes("alpha", `[{"n":3}]`)
	notes("gamma", `[{"n":1}]`)
	w.do(remove("docs", "id.eq.2")) // cascades
	notes("alpha", `[]`)
	w.fails(update("docs", "id.eq.1", `{"id":11}`), fault.ForeignKey)
	w.do(update("docs", "id.eq.5", `{"id":11}`))
	if got := w.ids("docs(id){where=title.fts.foxes}"); got != "11" {
		w.Errorf("a row with a new key is found as %q", got)
	}
	w.fails(create("notes", `{"n":4,"doc_id":1,"text":"delta"}
{"n":5,"doc_id":99,"text":"delta"}`), fault.ForeignKey)
	notes("delta", `[]`)
	w.answers("docs(id,notes(n){where=text.fts.beta}){where=id.eq.1}", `[{"id":1,"notes":[{"n":2}]}]`)
}

func (s *suite) format(t *testing.T) {
	w := s.library(t)
	w.add("books", `{"id":7,"title":"a,\"b\"\nc","tags":["x","y"],"meta":{"a":1}}
{"id":8,"title":""}
{"id":9,"title":" lead"}`)
	ask := func(spec string, f query.Format) string {
		q := read(spec)
		q.Format = f
		body, err := w.try(q)
		if err != nil {
			w.Errorf("%s: %s", spec, explain(err))
		}
		return body
	}
	for _, c := range []struct {
		spec   string
		format query.Format
		want   string
	}{
		{"books(id,title){where=id.gte.7}", query.CSV, "id,title\n7,\"a,\"\"b\"\"\nc\"\n8,\"\"\n9,\" lead\"\n"},
		{"books(id,title,author(name)){where=id.in.(3,4)}", query.CSV, "id,title,author\n3,Cat,\"{\"\"name\"\":\"\"bob\"\"}\"\n4,,\"{\"\"name\"\":\"\"Émile\"\"}\"\n"},
		{"books(price,sold,rating,tags,meta,blob,status){where=id.in.(2,7)}", query.CSV, "price,sold,rating,tags,meta,blob,status\n20.50,false,0.5,\"[\"\"b\"\",\"\"c\"\"]\",\"{\"\"n\"\":10,\"\"s\"\":\"\"10\"\",\"\"ok\"\":false}\",\\x,open\n,,,\"[\"\"x\"\",\"\"y\"\"]\",\"{\"\"a\"\":1}\",,\n"},
		{"books(a:id){where=id.eq.99}", query.CSV, "a\n"},
		{"books(id,title){where=id.in.(7,4)}", query.NDJSON, "{\"id\":4,\"title\":null}\n{\"id\":7,\"title\":\"a,\\\"b\\\"\\nc\"}\n"},
		{"books(id){where=id.eq.99}", query.NDJSON, ""},
		{"books(id){where=id.eq.99}", query.JSON, "[]"},
	} {
		if got := ask(c.spec, c.format); got != c.want {
			w.Errorf("%s:\n got %q\nwant %q", c.spec, got, c.want)
		}
	}
	streams(w)
}

// streams sends more than a buffer holds, and stops where the client does.
func streams(w *world) {
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"name":"%s"}`, 1000+i, strings.Repeat("n", i%60)))
	}
	w.add("genres", strings.Join(rows, "\n"))
	for _, f := range []query.Format{query.CSV, query.NDJSON, query.JSON} {
		q := read("genres")
		q.Unbounded, q.Format = true, f
		whole, err := w.try(q)
		if err != nil {
			w.Fatal(err)
		}
		var got bytes.Buffer
		res, err := w.engine.Read(context.Background(), service(), q, engine.ReadOptions{Stream: &got})
		if err != nil || got.String() != whole || res.Body != nil || res.Rows != 3003 {
			w.Errorf("format %d: a stream of %d bytes, want %d; %v", f, got.Len(), len(whole), err)
		}
		_, err = w.engine.Read(context.Background(), service(), q, engine.ReadOptions{Stream: gone{}})
		if err == nil {
			w.Errorf("format %d: a client that is gone got everything", f)
		}
	}
	w.answers("genres(count())", `[{"count":3003}]`)
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errMine }
