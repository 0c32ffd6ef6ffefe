package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

func (s *suite) write(t *testing.T) {
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"create", writeCreate},
		{"update", writeUpdate},
		{"delete", writeDelete},
		{"upsert", writeUpsert},
		{"bounds", writeBounds},
		{"if match", writeIfMatch},
		{"all or nothing", writeAtomic},
		{"many at once", writeCrowd},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(s.library(t)) })
	}
}

// result checks what a write answered.
func (w *world) result(wr *query.Write, want string, rows, inserted int) {
	w.Helper()
	body, res := w.do(wr)
	if body != want || res.Rows != rows || res.Inserted != inserted {
		w.Errorf("%s: %d rows, %d new: %s\nwant %d rows, %d new: %s", wr.Target.Entity, res.Rows, res.Inserted, body, rows, inserted, want)
	}
}

func writeCreate(w *world) {
	wr := create("genres", `{"id":30,"name":"z"}
{"id":10,"name":"y"}
{"id":20,"name":"x"}`)
	w.result(wr, `[{"id":30,"name":"z"},{"id":10,"name":"y"},{"id":20,"name":"x"}]`, 3, 3)
	wr = create("genres", `{"id":40,"name":"a"}`)
	wr.Returning = nil
	if body, res := w.do(wr); body != "" || res.Key != "40" || res.Rows != 1 || res.Total != -1 {
		w.Errorf("a create without an answer: %q, key %q, %d rows, total %d", body, res.Key, res.Rows, res.Total)
	}
	wr = create("books", `{"id":50,"author_id":2}
{"id":49,"author_id":1}`)
	wr.Returning = &read("books(id,author(name),genres(id))").Node
	wr.Count = query.CountExact
	body, res := w.do(wr)
	if want := `[{"id":50,"author":{"name":"bob"},"genres":[]},{"id":49,"author":{"name":"Ann"},"genres":[]}]`; body != want || res.Total != 2 {
		w.Errorf("the representation is %s, total %d", body, res.Total)
	}
	for format, want := range map[query.Format]string{query.CSV: "id,name\n52,b\n51,\"a,\"\n", query.NDJSON: `{"id":52,"name":"b"}` + "\n" + `{"id":51,"name":"a,"}` + "\n"} {
		wr = create("genres", `{"id":52,"name":"b"}
{"id":51,"name":"a,"}`)
		wr.Format = format
		w.result(wr, want, 2, 2)
		w.do(remove("genres", "id.in.(51,52)"))
	}
	wr = create("genres", `{"id":60,"name":"a"}
{"id":61,"name":"b"}`)
	wr.Returning = &read("genres(count())").Node
	w.result(wr, `[{"count":2}]`, 2, 2)
	wr = create("genres", `{}`)
	wr.Rows = nil
	w.result(wr, `[]`, 0, 0)
	if f := w.fails(create("genres", `{"id":70,"nam":"x"}`), fault.UnknownInput); !strings.Contains(f.Hint, "name") {
		w.Errorf("the hint %q does not name the nearest field", f.Hint)
	}
	dup := create("genres", `{"id":70,"name":"x"}`)
	dup.Columns = []string{"id", "id"}
	w.fails(dup, fault.DuplicateField)
	w.fails(create("nothing", `{"id":70}`), fault.UnknownEntity)
}

func writeUpdate(w *world) {
	w.result(update("books", "pages.eq.100", `{"pages":101,"title":null}`),
		`[`+bookLine(w, 1)+`,`+bookLine(w, 3)+`]`, 2, 0)
	w.answers("books(id,title,pages){where=pages.eq.101}", `[{"id":1,"title":null,"pages":101},{"id":3,"title":null,"pages":101}]`)
	w.result(update("books", "id.eq.99", `{"pages":1}`), `[]`, 0, 0)
	w.result(update("books", "id.eq.1", `{}`), `[]`, 0, 0)

	wr := update("books", "", `{"pages":7}`)
	wr.Order, wr.Page.Limit = read("x{order=price.desc.nullslast}").Node.Order, new(int64(2))
	wr.Returning = &read("books(id)").Node
	w.result(wr, `[{"id":2},{"id":5}]`, 2, 0) // 2 is the dearest; of 1 and 5 the greater key, as the order falls
	wr = update("books", "pages.eq.7", `{"pages":8}`)
	wr.Page.Offset, wr.Page.Limit = 1, new(int64(5))
	wr.Returning = &read("books(id)").Node
	w.result(wr, `[{"id":5}]`, 1, 0)

	w.fails(&query.Write{Action: query.Update, Target: query.Target{Entity: "books"}, Columns: []string{"pages"}, Rows: [][]query.Cell{{{Kind: query.FromJSON, Raw: "1"}}}}, fault.UnfilteredWrite)
	wr = update("books", "", `{"sold":true}`)
	wr.Returning = nil
	if _, res := w.do(wr); res.Rows != 6 {
		w.Errorf("an update of all changed %d rows", res.Rows)
	}
	// The key of a row may change, and the answer is found by the new one.
	w.result(update("genres", "id.eq.3", `{"id":33}`), `[{"id":33,"name":"empty"}]`, 1, 0)

	// A filter on an embedded relation chooses the rows.
	wr = update("books", "author.is.null", `{"pages":9}`)
	wr.Returning = &read("books(id,author(id))").Node
	w.result(wr, `[{"id":5,"author":null}]`, 1, 0)
	wr = update("books", "", `{"pages":10}`)
	wr.Returning = nil
	wr.Embedded = &read("books(cover!inner(id){where=color.eq.blue})").Node
	if _, res := w.do(wr); res.Rows != 1 || res.Key != "3" {
		w.Errorf("an update through an inner embed changed %d rows, key %s", res.Rows, res.Key)
	}
}

// bookLine is what a book becomes in writeUpdate.
func bookLine(w *world, id int) string {
	w.Helper()
	line := strings.Trim(w.get(fmt.Sprintf("books{where=id.eq.%d}", id)), "[]")
	for _, title := range []string{`"Axe"`, `"Cat"`} {
		line = strings.Replace(line, `"title":`+title, `"title":null`, 1)
	}
	return strings.Replace(line, `"pages":100`, `"pages":101`, 1)
}

func writeDelete(w *world) {
	wr := remove("covers", "color.eq.red")
	wr.Returning = &read("covers(id,book(title))").Node
	w.result(wr, `[{"id":1,"book":{"title":"Axe"}}]`, 1, 0)
	w.answers("covers(id)", `[{"id":2}]`)
	wr = remove("book_genres", "")
	wr.Order, wr.Page.Limit = read("x{order=id.desc}").Node.Order, new(int64(2))
	wr.Returning = &read("book_genres(id)").Node
	w.result(wr, `[{"id":4},{"id":3}]`, 2, 0)
	w.answers("book_genres(id)", `[{"id":1},{"id":2}]`)
	w.fails(&query.Write{Action: query.Delete, Target: query.Target{Entity: "covers"}}, fault.UnfilteredWrite)
	w.result(remove("covers", "id.eq.99"), `[]`, 0, 0)
	wr = remove("covers", "")
	wr.Returning = nil
	if body, res := w.do(wr); body != "" || res.Rows != 1 {
		w.Errorf("a delete of all answered %q, %d rows", body, res.Rows)
	}
}

func writeUpsert(w *world) {
	w.result(merge("genres", `{"id":1,"name":"CRIME"}
{"id":9,"name":"new"}`), `[{"id":1,"name":"CRIME"},{"id":9,"name":"new"}]`, 2, 1)
	wr := create("genres", `{"id":8,"name":"eight"}
{"id":1,"name":"ignored"}
{"id":8,"name":"again"}`)
	wr.Conflict.Resolution = query.Ignore
	w.result(wr, `[{"id":8,"name":"eight"}]`, 1, 1)
	w.answers("genres{where=id.in.(1,8)}", `[{"id":1,"name":"CRIME"},{"id":8,"name":"eight"}]`)
	// By another unique key: the stored key stays, the given fields are replaced.
	w.result(merge("covers", `{"id":50,"book_id":5,"color":"new"}
{"id":1,"book_id":1,"color":"green"}`, "book_id"), `[{"id":50,"book_id":5,"color":"new"},{"id":1,"book_id":1,"color":"green"}]`, 2, 1)
	w.result(merge("book_genres", `{"id":2,"book_id":1,"genre_id":2}`, "genre_id", "book_id"), `[{"id":2,"book_id":1,"genre_id":2}]`, 1, 0)
	w.fails(merge("genres", `{"id":1,"name":"a"}
{"id":1,"name":"b"}`), fault.CardinalityClash)
	w.answers("genres(name){where=id.eq.1}", `[{"name":"CRIME"}]`)
	w.fails(merge("genres", `{"id":1,"name":"a"}`, "name"), fault.NoConflictTarget)
	w.fails(merge("genres", `{"id":1,"name":"a"}`, "nam"), fault.UnknownInput)
	// A conflict with another key than the named one is still an error.
	w.fails(merge("covers", `{"id":1,"book_id":6,"color":"x"}`, "book_id"), fault.Unique)
	// Fields that are not given stay.
	w.result(merge("books", `{"id":2,"pages":1}`), strings.Replace(w.get("books{where=id.eq.2}"), `"pages":200`, `"pages":1`, 1), 1, 0)
}

func writeBounds(w *world) {
	wr := update("books", "pages.eq.100", `{"pages":1}`)
	wr.MaxAffected = new(int64(1))
	w.fails(wr, fault.MaxAffected)
	wr.MaxAffected, wr.Singular = nil, true
	w.fails(wr, fault.NotSingular)
	wr = update("books", "id.eq.99", `{"pages":1}`)
	wr.Singular = true
	w.fails(wr, fault.NotSingular)
	wr = remove("covers", "")
	wr.MaxAffected = new(int64(1))
	w.fails(wr, fault.MaxAffected)
	wr = create("genres", `{"id":8,"name":"a"}
{"id":9,"name":"b"}`)
	wr.Singular = true
	w.fails(wr, fault.NotSingular)
	w.answers("books(id){where=pages.eq.1}", `[]`)
	w.answers("covers(id)", `[{"id":1},{"id":2}]`)
	w.answers("genres(id){where=id.gt.3}", `[]`)
	wr = remove("covers", "")
	wr.MaxAffected = new(int64(2))
	w.do(wr)
	w.answers("covers(id)", `[]`)
}

func writeIfMatch(w *world) {
	tag := func(id int) string { return query.Tag([]byte(w.get(fmt.Sprintf("genres{where=id.eq.%d}", id)))) }
	change := func(name string, tags ...string) *query.Write {
		wr := update("genres", "id.eq.1", `{"name":"`+name+`"}`)
		wr.IfMatch = tags
		return wr
	}
	first := tag(1)
	w.fails(change("x", "0123456789abcdef"), fault.PreconditionFailed)
	w.fails(change("x", tag(2)), fault.PreconditionFailed)
	w.do(change("one", "nonsense", first))
	w.fails(change("two", first), fault.PreconditionFailed)
	w.do(change("three", "*"))
	w.answers("genres(name){where=id.eq.1}", `[{"name":"three"}]`)
	many := update("genres", "id.lte.2", `{"name":"x"}`)
	many.IfMatch = []string{"*"}
	w.fails(many, fault.PreconditionFailed)
	gone := remove("genres", "id.eq.99")
	gone.IfMatch = []string{"*"}
	w.fails(gone, fault.PreconditionFailed)
	del := remove("genres", "id.eq.3")
	del.IfMatch = []string{tag(3)}
	w.result(del, `[{"id":3,"name":"empty"}]`, 1, 0)
}

// writeAtomic: one bad row of many leaves nothing behind, and is named.
func writeAtomic(w *world) {
	for bad, code := range map[string]fault.Code{
		`{"id":12,"name":null}`: fault.NotNull, `{"id":12}`: fault.NotNull, `{"id":"x","name":"a"}`: fault.InvalidText, `{"id":1,"name":"a"}`: fault.Unique,
	} {
		f := w.fails(create("genres", `{"id":10,"name":"a"}
{"id":11,"name":"b"}
`+bad), code)
		if !strings.Contains(f.Details, "row 3 of 3") {
			w.Errorf("%s: the details %q do not name the row", bad, f.Details)
		}
		w.answers("genres(id)", `[{"id":1},{"id":2},{"id":3}]`)
	}
}

// writeCrowd: concurrent writes of one key: exactly one wins each time.
func writeCrowd(w *world) {
	const writers, keys = 32, 6
	var mu sync.Mutex
	won := map[int]int{}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for k := range keys {
				_, err := w.engine.Write(context.Background(), service(), create("genres", fmt.Sprintf(`{"id":%d,"name":"x"}`, 100+k)), nil)
				if err == nil {
					mu.Lock()
					won[k]++
					mu.Unlock()
				} else if !fault.Is(err, fault.Unique) {
					w.Error(explain(err))
				}
				if _, err := w.try(read("genres(id,books(id,author(name))){order=name.desc}")); err != nil {
					w.Error(explain(err))
				}
			}
		})
	}
	wg.Wait()
	for k := range keys {
		if won[k] != 1 {
			w.Errorf("the key %d was created %d times", k, won[k])
		}
	}
}
