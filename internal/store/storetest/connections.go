package storetest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// of names fields as items.
func of(names ...string) []query.Item {
	items := make([]query.Item, len(names))
	for i, n := range names {
		items[i] = &query.Column{Path: query.Path{Field: n}}
	}
	return items
}

func firstRows(n int64) query.Page { return query.Page{Limit: &n} }

func by(terms ...string) []query.Order {
	var out []query.Order
	for _, t := range terms {
		name, desc := strings.CutSuffix(t, " desc")
		out = append(out, query.Order{Path: query.Path{Field: name}, Desc: desc})
	}
	return out
}

func equals(field, text string) query.Expr {
	return &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: field}}, Op: query.Eq, Right: &query.Literal{Text: text}}
}

func aggregate(field, alias string, fn query.Aggregate) query.Item {
	return &query.Column{Path: query.Path{Field: field}, Alias: alias, Aggregate: fn}
}

func books(n query.Node) *query.Read {
	return &query.Read{Target: query.Target{Entity: "books"}, Node: n}
}

// pageInfo asks for all that a page tells of itself.
func pageInfo(more ...query.Member) []query.Member {
	return append(more,
		query.Member{Name: "all", Kind: query.MemberCount},
		query.Member{Name: "next", Kind: query.MemberNext}, query.Member{Name: "prev", Kind: query.MemberPrevious})
}

func (s *suite) connection(t *testing.T) {
	w := s.library(t)
	check := func(q *query.Read, want string) {
		t.Helper()
		body, err := w.try(q)
		if err != nil || body != "["+want+"]" {
			t.Errorf("answered %s\n%v, want\n[%s]\n%v", body, err, want, errors.Unwrap(err))
		}
	}
	rows := query.Member{Name: "rows", Kind: query.MemberRows, Items: of("id")}
	check(books(query.Node{Connection: pageInfo(rows), Page: firstRows(2)}), `{"rows":[{"id":1},{"id":2}],"all":6,"next":true,"prev":false}`)
	check(books(query.Node{Connection: pageInfo(rows), Page: firstRows(6)}), `{"rows":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}],"all":6,"next":false,"prev":false}`)
	check(books(query.Node{Connection: pageInfo(rows), Page: query.Page{Limit: firstRows(2).Limit, Offset: 4}}), `{"rows":[{"id":5},{"id":6}],"all":6,"next":false,"prev":true}`)
	check(books(query.Node{Connection: pageInfo(rows), Page: firstRows(0)}), `{"rows":[],"all":6,"next":true,"prev":false}`)
	check(books(query.Node{Connection: pageInfo(rows), Page: query.Page{Limit: firstRows(2).Limit, Last: true}, Order: by("title")}), `{"rows":[{"id":6},{"id":4}],"all":6,"next":false,"prev":true}`)
	check(books(query.Node{Connection: pageInfo(rows), Where: equals("author_id", "9")}), `{"rows":[],"all":0,"next":false,"prev":false}`)
	// What a row has beside its fields.
	check(books(query.Node{Where: equals("id", "1"), Connection: []query.Member{{Name: "edges", Kind: query.MemberRows, Items: []query.Item{
		&query.Object{Alias: "node", Items: append(of("id"), &query.Fixed{Alias: "kind", Text: `b"k`}, &query.Embed{
			Relation: "genres", Alias: "g", Node: query.Node{Order: by("name"), Page: firstRows(1), Connection: pageInfo(query.Member{Name: "rows", Kind: query.MemberRows, Items: of("name")})},
		}, &query.Embed{Relation: "author", Node: query.Node{Select: of("name")}})},
	}}, {Name: "info", Kind: query.MemberObject, Members: []query.Member{{Name: "is", Kind: query.MemberFixed, Text: "x"}}}}}),
		`{"edges":[{"node":{"id":1,"kind":"b\"k","g":{"rows":[{"name":"art"}],"all":2,"next":true,"prev":false},"author":{"name":"Ann"}}}],"info":{"is":"x"}}`)
	check(books(query.Node{Where: equals("id", "1"), Select: []query.Item{&query.Fixed{Alias: "t", Text: "book"}, &query.Object{Alias: "o", Items: of("id", "title")}}}), `{"t":"book","o":{"id":1,"title":"Axe"}}`)
	// Aggregates of all rows and of groups.
	check(books(query.Node{Page: firstRows(1), Connection: []query.Member{
		{Name: "totals", Kind: query.MemberTotals, Items: []query.Item{&query.Column{Aggregate: query.CountRows, Alias: "n"}, &query.Object{Alias: "sum", Items: []query.Item{aggregate("price", "price", query.Sum)}}}},
		{Name: "groups", Kind: query.MemberGroups, Items: []query.Item{&query.Object{Alias: "key", Items: of("author_id")}, &query.Column{Aggregate: query.CountRows, Alias: "n"}}},
	}}), `{"totals":{"n":6,"sum":{"price":45.75}},"groups":[{"key":{"author_id":1},"n":2},{"key":{"author_id":2},"n":2},{"key":{"author_id":3},"n":1},{"key":{"author_id":null},"n":1}]}`)
	// A partner in a relation.
	related := func(rel string, where query.Expr) *query.Read {
		return books(query.Node{Select: of("id"), Where: &query.Related{Relation: rel, Where: where}})
	}
	for _, c := range []struct {
		q    *query.Read
		want string
	}{
		{related("genres", equals("name", "art")), "1 6"},
		{related("author", equals("name", "Ann")), "1 2"},
		{related("cover", nil), "1 3"},
		{books(query.Node{Select: of("id"), Where: &query.Not{Arg: &query.Related{Relation: "cover"}}}), "2 4 5 6"},
		{books(query.Node{Select: of("id"), Where: &query.Or{Args: []query.Expr{equals("id", "5"), &query.Related{Relation: "cover"}}}}), "1 3 5"},
	} {
		body, err := w.try(c.q)
		if got := strings.Join(strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune(`[]{}",:id`, r) }), " "); err != nil || got != c.want {
			t.Errorf("%s %v, want %s", body, err, c.want)
		}
	}
	t.Run("walk", func(t *testing.T) {
		for _, order := range [][]query.Order{nil, by("title"), by("title desc"), by("price", "pages desc"), by("rating desc"), by("sold", "author_id"), by("status desc")} {
			for _, nested := range []bool{false, true} {
				w.walkPages(order, nested)
			}
		}
	})
	for name, cursor := range map[string]string{"no hex": "xx", "no list": "7b7d", "empty": "5b5d", "another order": "5b312c325d", "another type": "5b226122" + "5d"} {
		k, err := query.OpenRowCursor(cursor)
		if err == nil {
			_, err = w.try(books(query.Node{Select: of("id"), After: k}))
		}
		if !fault.Is(err, fault.InvalidCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// walkPages goes through all books by cursors, both ways, two at a time.
func (w *world) walkPages(order []query.Order, nested bool) {
	w.Helper()
	ask := func(n query.Node) (ids []string, first, last string, next, prev bool) {
		n.Connection = pageInfo(
			query.Member{Name: "rows", Kind: query.MemberRows, Items: append(of("id"), &query.RowCursor{Alias: "at"})},
			query.Member{Name: "first", Kind: query.MemberFirstCursor}, query.Member{Name: "last", Kind: query.MemberLastCursor})
		q := books(n)
		if nested {
			q = &query.Read{Target: query.Target{Entity: "genres"}, Node: query.Node{Where: equals("id", "1"), Select: []query.Item{&query.Embed{Relation: "books", Alias: "b", Node: n}}}}
		}
		body, err := w.try(q)
		if err != nil {
			w.Fatal(err)
		}
		if nested {
			body = "[" + strings.TrimSuffix(strings.TrimPrefix(body, `[{"b":`), "}]") + "]"
		}
		var got []struct {
			Rows []struct {
				ID json.Number
				At string
			}
			First, Last *string
			Next, Prev  bool
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got) != 1 {
			w.Fatal(body, err)
		}
		g := got[0]
		for _, r := range g.Rows {
			ids = append(ids, r.ID.String())
		}
		if len(g.Rows) > 0 {
			if g.First == nil || g.Last == nil || *g.First != g.Rows[0].At || *g.Last != g.Rows[len(g.Rows)-1].At {
				w.Fatalf("the cursors are not those of the rows: %s", body)
			}
			first, last = *g.First, *g.Last
		} else if g.First != nil || g.Last != nil {
			w.Fatalf("cursors of no rows: %s", body)
		}
		return ids, first, last, g.Next, g.Prev
	}
	open := func(text string) *query.Keys {
		k, err := query.OpenRowCursor(text)
		if err != nil {
			w.Fatal(err)
		}
		return k
	}
	whole, _, _, _, _ := ask(query.Node{Order: order})
	var forward, backward []string
	n := query.Node{Order: order, Page: firstRows(2)}
	for more := true; more; {
		ids, _, last, next, prev := ask(n)
		if prev != (n.After != nil) {
			w.Errorf("prev is %v after %v", prev, forward)
		}
		forward = append(forward, ids...)
		if more = next; more {
			n.After = open(last)
		}
	}
	n = query.Node{Order: order, Page: query.Page{Limit: firstRows(2).Limit, Last: true}}
	for more := true; more; {
		ids, first, _, _, prev := ask(n)
		backward = append(ids, backward...)
		if more = prev; more {
			n.Before = open(first)
		}
	}
	if f, b, all := strings.Join(forward, " "), strings.Join(backward, " "), strings.Join(whole, " "); f != all || b != all {
		w.Errorf("order %v: forward %s, backward %s, at once %s", order, f, b, all)
	}
}

// connectionPolicies: what is told of rows is told of those that may be read.
func (s *suite) connectionPolicies(t *testing.T) {
	w := s.world(t, "", `  people:
    fields: { id: { type: int, primary: true }, name: { type: text }, secret: { type: text, optional: true, read: "row.id == 1" } }
    policy: { read: "row.id < 3" }
  pets:
    fields: { id: { type: int, primary: true }, owner_id: { ref: people }, hidden: { type: text, optional: true, hidden: true } }
    policy: { read: "row.id > 1" }
`)
	w.add("people", `{"id":1,"name":"a","secret":"x"}
{"id":2,"name":"b","secret":"y"}
{"id":3,"name":"c","secret":"z"}`)
	w.add("pets", `{"id":1,"owner_id":1}
{"id":2,"owner_id":2}
{"id":3,"owner_id":3}`)
	anon := policy.Identity{Role: policy.Anon}
	people := func(n query.Node) *query.Read { return &query.Read{Target: query.Target{Entity: "people"}, Node: n} }
	pets := query.Node{Connection: pageInfo(query.Member{Name: "rows", Kind: query.MemberRows, Items: of("id")})}
	for _, c := range []struct {
		q    *query.Read
		want string
	}{
		{people(query.Node{Connection: pageInfo(query.Member{Name: "rows", Kind: query.MemberRows, Items: append(of("id", "secret"), &query.Embed{Relation: "pets", Node: pets})})}), `[{"rows":[` +
			`{"id":1,"secret":"x","pets":{"rows":[],"all":0,"next":false,"prev":false}},{"id":2,"secret":null,"pets":{"rows":[{"id":2}],"all":1,"next":false,"prev":false}}],"all":2,"next":false,"prev":false}]`},
		{people(query.Node{Connection: []query.Member{{Name: "t", Kind: query.MemberTotals, Items: []query.Item{aggregate("secret", "m", query.Max), aggregate("id", "n", query.Max)}}}}), `[{"t":{"m":"x","n":2}}]`},
		{people(query.Node{Connection: []query.Member{{Name: "g", Kind: query.MemberGroups, Items: of("secret")}}}), `[{"g":[{"secret":"x"},{"secret":null}]}]`},
		{people(query.Node{Select: of("id"), Where: &query.Related{Relation: "pets"}}), `[{"id":2}]`},
		{people(query.Node{Select: of("id"), Where: &query.Not{Arg: &query.Related{Relation: "pets"}}}), `[{"id":1}]`},
		{&query.Read{Target: query.Target{Entity: "pets"}, Node: query.Node{Select: of("id"), Where: &query.Related{Relation: "owner"}}}, `[{"id":2}]`},
		{&query.Read{Target: query.Target{Entity: "pets"}, Node: query.Node{Select: of("id"), Where: &query.Related{Relation: "owner", Where: equals("secret", "y")}}}, `[]`},
	} {
		res, err := w.engine.Read(t.Context(), anon, c.q, engine.ReadOptions{})
		if err != nil {
			t.Fatal(err, errors.Unwrap(err))
		}
		if got := string(res.Body); got != c.want {
			t.Errorf("answered\n%s, want\n%s", got, c.want)
		}
		res.Release()
	}
	for _, q := range []*query.Read{
		{Target: query.Target{Entity: "pets"}, Node: query.Node{Connection: []query.Member{{Name: "t", Kind: query.MemberTotals, Items: []query.Item{aggregate("hidden", "m", query.Max)}}}}},
		{Target: query.Target{Entity: "pets"}, Node: query.Node{Connection: []query.Member{{Name: "g", Kind: query.MemberGroups, Items: of("hidden")}}}},
	} {
		if _, err := w.engine.Read(t.Context(), anon, q, engine.ReadOptions{}); !fault.Is(err, fault.UndefinedField) {
			t.Errorf("a hidden field answers %v", err)
		}
	}
}
