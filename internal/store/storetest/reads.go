package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

const library = `  authors:
    fields:
      id: { type: int, primary: true }
      name: { type: text }
      born: { type: int, optional: true }
      mentor_id: { ref: authors, optional: true, inverse: pupils, on_delete: set_null }
  books:
    fields:
      id: { type: int, primary: true }
      title: { type: text, optional: true }
      author_id: { ref: authors, optional: true, on_delete: cascade }
      editor_id: { ref: authors, optional: true, inverse: edited }
      price: { type: decimal, scale: 2, optional: true }
      pages: { type: int, optional: true }
      rating: { type: float, optional: true }
      sold: { type: bool, optional: true }
      tags: { type: text, list: true, optional: true }
      meta: { type: json, optional: true }
      blob: { type: bytes, optional: true }
      status: { type: enum, values: [open, paid, shipped], optional: true }
    index: [[price]]
  covers:
    fields:
      id: { type: int, primary: true }
      book_id: { ref: books, inverse: cover, on_delete: cascade }
      color: { type: text }
    unique: [[book_id]]
  genres: { fields: { id: { type: int, primary: true }, name: { type: text } } }
  book_genres:
    fields:
      id: { type: int, primary: true }
      book_id: { ref: books, on_delete: cascade }
      genre_id: { ref: genres }
    unique: [[book_id, genre_id]]
`

func (s *suite) library(t *testing.T) *world {
	t.Helper()
	w := s.world(t, "limits: { rows: 50, depth: 4 }", library)
	w.add("authors", `{"id":1,"name":"Ann","born":1950}
{"id":2,"name":"bob","mentor_id":1}
{"id":3,"name":"Émile","born":1970,"mentor_id":2}
{"id":4,"name":"Zoë","born":1960}`)
	w.add("books", `{"id":1,"title":"Axe","author_id":1,"editor_id":2,"price":10.00,"pages":100,"rating":4.5,"sold":true,"tags":["a","b"],"meta":{"n":1.50,"ok":true,"list":[1,2,{"deep":"x"}],"s":"text","z":null},"blob":"\\x00ff","status":"paid"}
{"id":2,"title":"bow","author_id":1,"price":20.50,"pages":200,"rating":0.5,"sold":false,"tags":["b","c"],"meta":{"n":10,"ok":false,"s":"10"},"blob":"\\x","status":"open"}
{"id":3,"title":"Cat","author_id":2,"editor_id":3,"price":5.25,"pages":100,"rating":-1,"tags":[],"meta":[1,"two"],"status":"shipped"}
{"id":4,"author_id":3,"meta":9}
{"id":5,"title":"100%_\\d","price":10.00,"pages":300,"sold":true,"tags":["a"],"meta":"just"}
{"id":6,"title":"École","author_id":2,"price":0.00,"pages":-5,"rating":4.5,"sold":false,"meta":{"n":9}}`)
	w.add("covers", `{"id":1,"book_id":1,"color":"red"}
{"id":2,"book_id":3,"color":"blue"}`)
	w.add("genres", `{"id":1,"name":"crime"}
{"id":2,"name":"art"}
{"id":3,"name":"empty"}`)
	w.add("book_genres", `{"id":1,"book_id":1,"genre_id":1}
{"id":2,"book_id":1,"genre_id":2}
{"id":3,"book_id":2,"genre_id":1}
{"id":4,"book_id":6,"genre_id":2}`)
	return w
}

// ids answers a read of ids as "1 2 3".
func (w *world) ids(spec string) string {
	w.Helper()
	body := w.get(spec)
	return strings.Join(strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune(`[]{}",:id`, r) }), " ")
}

func (s *suite) read(t *testing.T) {
	w := s.library(t)
	for _, c := range []struct{ opts, want string }{
		{"", "1 2 3 4 5 6"},
		{"order=id.desc", "6 5 4 3 2 1"},
		{"order=title", "5 1 3 2 6 4"}, // bytes: digits, capitals, small, É; null last
		{"order=title.nullsfirst", "4 5 1 3 2 6"},
		{"order=title.desc", "4 6 2 3 1 5"},
		{"order=title.desc.nullslast", "6 2 3 1 5 4"},
		{"order=price", "6 3 1 5 2 4"},      // a tie: by the key
		{"order=price.desc", "4 2 5 1 3 6"}, // a tie: the key goes the same way
		{"order=price.desc,id", "4 2 1 5 3 6"},
		{"order=pages,price.desc", "6 1 3 2 5 4"},
		{"order=rating.nullsfirst", "4 5 3 2 1 6"},
		{"order=sold", "2 6 1 5 3 4"},
		{"order=status", "2 1 3 4 5 6"},
		{"order=blob", "2 1 3 4 5 6"},
		{"order=meta->n", "1 6 2 3 4 5"},  // as numbers
		{"order=meta->>n", "1 2 6 3 4 5"}, // as texts
		{"order=meta", "5 4 3 6 2 1"},     // jsonb's order
		{"limit=2", "1 2"},
		{"limit=0", ""},
		{"offset=4", "5 6"},
		{"offset=9", ""},
		{"limit=2;offset=3", "4 5"},
		{"order=price.desc;limit=2;offset=1", "2 5"},
	} {
		if got := w.ids("books(id){" + c.opts + "}"); got != c.want {
			sql, _ := w.engine.Explain(service(), read("books(id){"+c.opts+"}"))
			w.Errorf("%s: %s, want %s\n%s", c.opts, got, c.want, sql)
		}
	}
	w.answers("books(id,t:title,title,id){limit=1}", `[{"id":1,"t":"Axe","title":"Axe"}]`)
	w.answers("books(meta->n,meta->list->-1->>deep,meta->>ok,meta->nothing->0,x:meta->list->9,meta->z,zt:meta->>z){where=id.eq.1}",
		`[{"n":1.50,"deep":"x","ok":"true","nothing":null,"x":null,"z":null,"zt":null}]`)
	w.answers("books(meta->n,a:meta->0,b:meta->>1,c:meta->-1){where=id.eq.3}", `[{"n":null,"a":1,"b":"two","c":"two"}]`)
	w.answers("t.genres{where=id.eq.3}", `[{"id":3,"name":"empty"}]`)

	w.refuses("boks", fault.UnknownEntity)
	w.refuses("u.books", fault.UnknownEntity)
	if f := w.refuses("books(titel)", fault.UndefinedField); !strings.Contains(f.Hint, "title") {
		w.Errorf("the hint %q does not name the nearest field", f.Hint)
	}
	w.refuses("books{where=nothing.eq.1}", fault.UndefinedField)
	w.refuses("books{order=nothing}", fault.UndefinedField)
	w.refuses("books{order=tags}", fault.UndefinedFunction)
	w.refuses("books(title->x)", fault.UndefinedFunction)
	w.refuses("books(x:id,x:title)", fault.DuplicateField)
	w.refuses("books{limit=-1}", fault.InvalidRange)
	w.refuses("books{offset=-1}", fault.InvalidRange)
	jsonKeys(w)
	bounds(w)
	counts(w)
}

// jsonKeys reads members whose names need escapes.
func jsonKeys(w *world) {
	w.add("books", `{"id":90,"meta":{"a b":1,"a.b":2,"back\\slash":3,"new\nline":4,"é😀":5,"":6,"0":7,"[0]":8,"'":9,"$":10,"#-1":11}}`)
	for key, want := range map[string]string{
		"a b": "1", "a.b": "2", "back\\slash": "3", "new\nline": "4", "é😀": "5", "": "6", "0": "7", "[0]": "8", "'": "9", "$": "10", "#-1": "11", "absent": "null",
	} {
		q := read("books(x:id){where=id.eq.90}")
		q.Node.Select = []query.Item{&query.Column{Alias: "x", Path: query.Path{Field: "meta", Steps: []query.Step{{Key: key, ByKey: true}}}}}
		if got, err := w.try(q); err != nil || got != `[{"x":`+want+`}]` {
			w.Errorf("the member %q is %s, %v; want %s", key, got, err, want)
		}
	}
	w.do(remove("books", "id.eq.90"))
}

// bounds holds the limit of rows at every level.
func bounds(w *world) {
	var rows []string
	for i := range 60 {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"name":"x","mentor_id":4}`, 100+i))
	}
	w.add("authors", strings.Join(rows, "\n"))
	for spec, want := range map[string]int{
		"authors(id)": 50, "authors(id){limit=51}": 50, "authors(id){limit=49}": 49, "authors(id){offset=40}": 24,
	} {
		if got := len(strings.Fields(w.ids(spec))); got != want {
			w.Errorf("%s answers %d rows, want %d", spec, got, want)
		}
	}
	if got := strings.Count(w.get("authors(pupils(name)){where=id.eq.4}"), "name"); got != 50 {
		w.Errorf("an embed answers %d rows, want 50", got)
	}
	q := read("authors(id)")
	q.Unbounded = true
	if body, err := w.try(q); err != nil || strings.Count(body, "id") != 64 {
		w.Errorf("an unbounded read answers %s, %v", body, err)
	}
	w.do(remove("authors", "id.gte.100"))
}

func counts(w *world) {
	for _, c := range []struct {
		spec  string
		total int64
	}{
		{"books", 6},
		{"books{limit=2}", 6},
		{"books{where=pages.eq.100;limit=1;offset=5}", 2},
		{"books(id,cover!inner(id))", 2},
		{"books(author(name){where=id.eq.1})", 6},
		{"books(author!inner(name){where=id.eq.1})", 2},
		{"books(id,cover(id)){where=cover.is.null}", 4},
		{"books(count())", 1},
		{"books(pages,count())", 5},
		{"books(pages,count)", 5},
		{"books(count()){where=id.eq.99}", 1},
	} {
		for _, how := range []query.Count{query.CountExact, query.CountPlanned, query.CountEstimated} {
			q := read(c.spec)
			q.Count = how
			res, err := w.engine.Read(w.Context(), service(), q, readOptions)
			if err != nil {
				w.Errorf("%s: %s", c.spec, explain(err))
				continue
			}
			exact := how == query.CountExact || strings.Contains(c.spec, "where=pages")
			if exact && !res.TotalExact || res.TotalExact && res.Total != c.total || res.Total < c.total {
				w.Errorf("%s: the total (%d) is %d, exact %v; want %d", c.spec, how, res.Total, res.TotalExact, c.total)
			}
			res.Release()
		}
	}
}

func (s *suite) filter(t *testing.T) {
	w := s.library(t)
	for _, c := range []struct{ cond, want string }{
		{"pages.eq.100", "1 3"},
		{"pages.neq.100", "2 5 6"},
		{"pages.gt.100", "2 5"},
		{"pages.gte.200", "2 5"},
		{"pages.lt.100", "6"},
		{"pages.lte.100", "1 3 6"},
		{"price.eq.10", "1 5"},
		{"price.gt.5.25", "1 2 5"},
		{"rating.lt.0.5", "3"},
		{"sold.eq.true", "1 5"},
		{"sold.neq.t", "2 6"},
		{"status.gt.open", "1 3"},
		{"title.lt.Cat", "1 5"},
		{"blob.eq.\\x00ff", "1"},
		{"blob.gt.\\x", "1"},
		{"title.like.A%", "1"},
		{"title.like.%o%", "2 6"},
		{"title.like.'100\\%\\_\\\\d'", "5"},
		{"title.like.___", "1 2 3"},
		{"title.ilike.a%", "1"},
		{"title.ilike.éC%", "6"},
		{"title.ilike.B_W", "2"},
		{"title.match.^.a", "3"},
		{"title.imatch.'^(axe|cat)$'", "1 3"},
		{"status.like.%p%", "1 2 3"},
		{"title.is.null", "4"},
		{"title.is.not_null", "1 2 3 5 6"},
		{"sold.is.true", "1 5"},
		{"sold.is.false", "2 6"},
		{"sold.is.unknown", "3 4"},
		{"pages.isdistinct.100", "2 4 5 6"},
		{"meta.isdistinct.9", "1 2 3 5 6"},
		{"pages.in.(100,300,7)", "1 3 5"},
		{"pages.in.()", ""},
		{"title.in.(Axe,'École',x)", "1 6"},
		{"price.in.(10,5.25)", "1 3 5"},
		{"rating.in.(4.5,-1)", "1 3 6"},
		{"sold.in.(true)", "1 5"},
		{"blob.in.(\\x00ff,\\x)", "1 2"},
		{"meta.in.(9.0,'\"just\"')", "4 5"},
		{"tags.cs.'{b}'", "1 2"},
		{"tags.cs.'{}'", "1 2 3 5"},
		{"tags.cd.'{a,b,x}'", "1 3 5"},
		{"tags.ov.'{a,c}'", "1 2 5"},
		{"tags.ov.'{}'", ""},
		{"tags.eq.'{a,b}'", "1"},
		{"tags.eq.'{b,a}'", ""},
		{"tags.neq.'{}'", "1 2 5"},
		{"meta.cs.'{\"ok\":true}'", "1"},
		{"meta.cs.'[1]'", "3"},
		{"meta.cs.'\"two\"'", "3"},
		{"meta.cd.'[1,\"two\",3]'", "3"},
		{"meta.cs.'{\"n\":1.5}'", "1"},
		{"meta.eq.'{\"n\": 9.0}'", "6"},
		{"meta.neq.9", "1 2 3 5 6"},
		{"meta.gt.'true'", "1 2 3 6"},
		{"meta->n.eq.1.5", "1"},
		{"meta->n.gt.9", "2"},
		{"meta->ok.eq.true", "1"},
		{"meta->>n.eq.1.50", "1"},
		{"meta->>n.eq.10", "2"},
		{"meta->>ok.eq.false", "2"},
		{"meta->z.is.null", "2 3 4 5 6"},
		{"meta->>z.is.null", "1 2 3 4 5 6"},
		{"meta->list->2->>deep.eq.x", "1"},
		{"meta->>s.like.t%", "1"},
		{"pages.eq(any).(100,300)", "1 3 5"},
		{"pages.eq(all).(100,100)", "1 3"},
		{"pages.gt(any).(100,200)", "2 5"},
		{"pages.gt(all).(100,200)", "5"},
		{"pages.neq(any).(100,200)", "1 2 3 5 6"},
		{"pages.neq(all).(100,200)", "5 6"},
		{"title.like(any).(A%,C%)", "1 3"},
		{"title.ilike(all).(%a%,%x%)", "1"},
		{"title.match(any).(^b,t$)", "2 3"},
		{"blob.gt(any).(\\x)", "1"},
		{"pages.eq(any).()", ""},
		{"pages.eq(all).()", "1 2 3 4 5 6"},
		{"and(pages.eq.100,sold.is.true)", "1"},
		{"or(pages.eq.300,title.is.null)", "4 5"},
		{"and()", "1 2 3 4 5 6"},
		{"or()", ""},
		{"or(and(pages.gt.100,sold.is.true),not.or(title.is.not_null,id.gt.9))", "4 5"},
	} {
		w.filters(c.cond, c.want)
	}
	negations(w)
	for cond, code := range map[string]fault.Code{
		"pages.eq.x": fault.InvalidText, "pages.eq.99999999999999999999": fault.NumericOutOfRange, "pages.like.1%": fault.UndefinedFunction,
		"status.eq.nothing": fault.InvalidText, "title.match.'('": fault.InvalidRegexp, "title.match.'(?=x)'": fault.InvalidRegexp,
		"title.cs.a": fault.UndefinedFunction, "pages.ov.1": fault.UndefinedFunction, "pages.is.true": fault.UndefinedFunction,
		"tags.gt.'{a}'": fault.UndefinedFunction, "pages.in.(1,x)": fault.InvalidText, "title.fts.x": fault.NotImplemented,
		"meta.eq.'{'": fault.InvalidText, "title.eq.a\x00": fault.InvalidEncoding, "title.eq.\xff": fault.InvalidEncoding,
		"pages.isdistinct(any).(1)": fault.Parse,
	} {
		w.refuses("books{where="+cond+"}", code)
	}
}

// filters checks a condition and that, for every row, exactly one of it, its
// negation and unknown holds.
func (w *world) filters(cond, want string) {
	w.Helper()
	spec := "books(id){where=" + cond + "}"
	if got := w.ids(spec); got != want {
		sql, _ := w.engine.Explain(service(), read(spec))
		w.Errorf("%s: %q, want %q\n%s", cond, got, want, sql)
	}
	if got := w.ids("books(id){where=not.not." + cond + "}"); got != want {
		w.Errorf("not.not.%s: %q, want %q", cond, got, want)
	}
}

// negations: null on either side stays unknown under not.
func negations(w *world) {
	for _, c := range []struct{ cond, want string }{
		{"pages.eq.100", "2 5 6"},
		{"pages.neq.100", "1 3"},
		{"pages.gt.100", "1 3 6"},
		{"title.like.A%", "2 3 5 6"},
		{"title.imatch.a", "2 5 6"},
		{"pages.in.(100,300)", "2 6"},
		{"pages.in.()", "1 2 3 4 5 6"},
		{"title.is.null", "1 2 3 5 6"},
		{"sold.is.true", "2 3 4 6"},
		{"pages.isdistinct.100", "1 3"},
		{"tags.cs.'{a}'", "2 3"},
		{"tags.ov.'{a}'", "2 3"},
		{"meta->>s.eq.text", "2"},
		{"blob.in.(\\x)", "1"},
		{"pages.gt(any).(100,200)", "1 3 6"},
		{"pages.gt(all).(100,200)", "1 2 3 6"},
		{"pages.eq(any).()", "1 2 3 4 5 6"},
		{"pages.eq(all).()", ""},
		{"and(pages.eq.100,sold.is.true)", "2 3 4 5 6"},
		{"and(pages.eq.100,id.gt.1)", "1 2 5 6"},
		{"or(pages.eq.100,id.lt.3)", "5 6"},
	} {
		if got := w.ids("books(id){where=not." + c.cond + "}"); got != c.want {
			w.Errorf("not.%s: %q, want %q", c.cond, got, c.want)
		}
	}
}
