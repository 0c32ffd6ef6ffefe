package storetest

import (
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

func (s *suite) embed(t *testing.T) {
	w := s.library(t)
	for _, c := range []struct{ spec, want string }{
		// to-one
		{"books(id,author(name)){where=id.in.(1,5)}", `[{"id":1,"author":{"name":"Ann"}},{"id":5,"author":null}]`},
		{"books(id,a:author(n:name)){where=id.eq.1}", `[{"id":1,"a":{"n":"Ann"}}]`},
		{"books(author(*)){where=id.eq.1}", `[{"author":{"id":1,"name":"Ann","born":1950,"mentor_id":null}}]`},
		{"books(id,authors!author(name)){where=id.eq.1}", `[{"id":1,"authors":{"name":"Ann"}}]`},
		{"books(id,authors!editor_id(name)){where=id.eq.1}", `[{"id":1,"authors":{"name":"bob"}}]`},
		{"books(id,author!inner(name)){where=id.in.(1,5)}", `[{"id":1,"author":{"name":"Ann"}}]`},
		{"books(id,author(name){where=name.eq.Ann}){where=id.in.(1,3)}", `[{"id":1,"author":{"name":"Ann"}},{"id":3,"author":null}]`},
		{"books(id,author!inner(name){where=name.eq.Ann}){where=id.in.(1,3)}", `[{"id":1,"author":{"name":"Ann"}}]`},
		{"books(id,editor(name)){where=editor.is.null}", `[{"id":2,"editor":null},{"id":4,"editor":null},{"id":5,"editor":null},{"id":6,"editor":null}]`},
		{"books(id,editor(name)){where=editor.is.not_null;order=editor(name).desc}", `[{"id":3,"editor":{"name":"Émile"}},{"id":1,"editor":{"name":"bob"}}]`},
		{"books(id,author()){order=author(name).desc.nullslast,id;limit=3}", `[{"id":4,"author":` + author3 + `},{"id":3,"author":` + author2 + `},{"id":6,"author":` + author2 + `}]`},
		// one-to-one
		{"books(id,cover(color)){limit=2}", `[{"id":1,"cover":{"color":"red"}},{"id":2,"cover":null}]`},
		{"covers(color,book(title)){order=book(title).desc}", `[{"color":"blue","book":{"title":"Cat"}},{"color":"red","book":{"title":"Axe"}}]`},
		{"books(id,cover!inner(color){where=color.eq.blue})", `[{"id":3,"cover":{"color":"blue"}}]`},
		// to-many
		{"authors(name,books!author(id)){where=id.in.(1,4)}", `[{"name":"Ann","books":[{"id":1},{"id":2}]},{"name":"Zoë","books":[]}]`},
		{"authors(id,books!author(id){order=id.desc}){where=id.eq.1}", `[{"id":1,"books":[{"id":2},{"id":1}]}]`},
		{"authors(id,books!author(id){order=price.desc.nullslast;limit=1;offset=1}){where=id.eq.1}", `[{"id":1,"books":[{"id":1}]}]`},
		{"authors(id,books!author(id){where=pages.eq.100}){where=id.lte.2}", `[{"id":1,"books":[{"id":1}]},{"id":2,"books":[{"id":3}]}]`},
		{"authors(id,books!author!inner(id){where=pages.eq.100})", `[{"id":1,"books":[{"id":1}]},{"id":2,"books":[{"id":3}]}]`},
		{"authors(id,b:books!author(id)){where=b.is.null}", `[{"id":4,"b":[]}]`},
		{"authors(id,b:books!author(id){where=pages.eq.200}){where=b.is.not_null}", `[{"id":1,"b":[{"id":2}]}]`},
		{"authors(id,b:books!author(id){where=pages.eq.200}){where=not.b.is.null}", `[{"id":1,"b":[{"id":2}]}]`},
		{"authors(id,b:books!author(id),edited(id)){where=or(edited.is.not_null,b.is.null)}", `[{"id":2,"b":[{"id":3},{"id":6}],"edited":[{"id":1}]},{"id":3,"b":[{"id":4}],"edited":[{"id":3}]},{"id":4,"b":[],"edited":[]}]`},
		{"authors(edited(id,title)){where=id.eq.2}", `[{"edited":[{"id":1,"title":"Axe"}]}]`},
		// many-to-many
		{"books(id,genres(name)){where=id.in.(1,3)}", `[{"id":1,"genres":[{"name":"crime"},{"name":"art"}]},{"id":3,"genres":[]}]`},
		{"books(id,genres(name){order=name}){where=id.eq.1}", `[{"id":1,"genres":[{"name":"art"},{"name":"crime"}]}]`},
		{"books(id,genres!inner(name){where=name.eq.art})", `[{"id":1,"genres":[{"name":"art"}]},{"id":6,"genres":[{"name":"art"}]}]`},
		{"genres(name,books(id){order=id.desc;limit=1})", `[{"name":"crime","books":[{"id":2}]},{"name":"art","books":[{"id":6}]},{"name":"empty","books":[]}]`},
		{"genres(name,books(id)){where=books.is.null}", `[{"name":"empty","books":[]}]`},
		{"books(id,book_genres(id,genre(name))){where=id.eq.2}", `[{"id":2,"book_genres":[{"id":3,"genre":{"name":"crime"}}]}]`},
		// to itself
		{"authors(id,mentor(name))", `[{"id":1,"mentor":null},{"id":2,"mentor":{"name":"Ann"}},{"id":3,"mentor":{"name":"bob"}},{"id":4,"mentor":null}]`},
		{"authors(id,pupils(name))", `[{"id":1,"pupils":[{"name":"bob"}]},{"id":2,"pupils":[{"name":"Émile"}]},{"id":3,"pupils":[]},{"id":4,"pupils":[]}]`},
		{"authors(id,mentor(id,mentor(id,mentor(id)))){where=id.eq.3}", `[{"id":3,"mentor":{"id":2,"mentor":{"id":1,"mentor":null}}}]`},
		{"authors(id,mentor!inner(id,mentor!inner(id)))", `[{"id":3,"mentor":{"id":2,"mentor":{"id":1}}}]`},
		{"authors(id,mentor(id,mentor!inner(id)))", `[{"id":1,"mentor":null},{"id":2,"mentor":null},{"id":3,"mentor":{"id":2,"mentor":{"id":1}}},{"id":4,"mentor":null}]`},
		// four levels, mixed
		{
			"authors(id,books!author(id,genres(id,books(id,author(id)){order=id})){order=id}){where=id.eq.2}",
			`[{"id":2,"books":[{"id":3,"genres":[]},{"id":6,"genres":[{"id":2,"books":[{"id":1,"author":{"id":1}},{"id":6,"author":{"id":2}}]}]}]}]`,
		},
		// spread
		{"books(id,...author(by:name,born)){where=id.in.(1,5)}", `[{"id":1,"by":"Ann","born":1950},{"id":5,"by":null,"born":null}]`},
		{"books(id,...author(name,pupils(id))){where=id.in.(1,5)}", `[{"id":1,"name":"Ann","pupils":[{"id":2}]},{"id":5,"name":null,"pupils":null}]`},
		{"books(id,...author(name,...mentor(m:name))){where=id.in.(3,5)}", `[{"id":3,"name":"bob","m":"Ann"},{"id":5,"name":null,"m":null}]`},
		{"authors(id,books!author(id,...cover(color))){where=id.in.(1,2)}", `[{"id":1,"books":[{"id":1,"color":"red"},{"id":2,"color":null}]},{"id":2,"books":[{"id":3,"color":"blue"},{"id":6,"color":null}]}]`},
		// the same relation twice
		{"authors(id,x:books!author(id){limit=1},y:books!author(title){order=id.desc;limit=1}){where=id.eq.1}", `[{"id":1,"x":[{"id":1}],"y":[{"title":"bow"}]}]`},
		// every type through an embed
		{"covers(book(*)){where=id.eq.2}", `[{"book":{"id":3,"title":"Cat","author_id":2,"editor_id":3,"price":5.25,"pages":100,"rating":-1,"sold":null,"tags":[],"meta":[1,"two"],"blob":null,"status":"shipped"}}]`},
		{"authors(books!author(*)){where=id.eq.1}", `[{"books":[{"id":1,"title":"Axe","author_id":1,"editor_id":2,"price":10.00,"pages":100,"rating":4.5,"sold":true,"tags":["a","b"],"meta":{"n":1.50,"s":"text","z":null,"ok":true,"list":[1,2,{"deep":"x"}]},"blob":"\\x00ff","status":"paid"},{"id":2,"title":"bow","author_id":1,"editor_id":null,"price":20.50,"pages":200,"rating":0.5,"sold":false,"tags":["b","c"],"meta":{"n":10,"s":"10","ok":false},"blob":"\\x","status":"open"}]}]`},
		{"authors(books!author(meta->n,meta->>s)){where=id.eq.1}", `[{"books":[{"n":1.50,"s":"text"},{"n":10,"s":"10"}]}]`},
	} {
		w.answers(c.spec, c.want)
	}
	embedFaults(w)
}

const (
	author2 = `{"id":2,"name":"bob","born":null,"mentor_id":1}`
	author3 = `{"id":3,"name":"Émile","born":1970,"mentor_id":2}`
)

func embedFaults(w *world) {
	for spec, code := range map[string]fault.Code{
		"books(nothing(id))":                               fault.NoRelation,
		"genres(authors(id))":                              fault.NoRelation,
		"books(authors(id))":                               fault.AmbiguousRelation,
		"authors(books!nothing(id))":                       fault.NoRelation,
		"books(author(nothing))":                           fault.UndefinedField,
		"books(author(id){where=nothing.eq.1})":            fault.UndefinedField,
		"books(author(id){order=nothing})":                 fault.UndefinedField,
		"books(author(id),author(name))":                   fault.DuplicateField,
		"books(title,...author(title:name))":               fault.DuplicateField,
		"books(id,...genres(name))":                        fault.SpreadNotToOne,
		"books(id){order=author(name)}":                    fault.EmbedNotSelected,
		"books(id,genres(name)){order=genres(name)}":       fault.OrderNotToOne,
		"books(id,author(id)){where=author.eq.1}":          fault.EmbedFilter,
		"books(id){where=author.is.null}":                  fault.UndefinedField,
		"books(author(id){limit=1})":                       fault.NotImplemented,
		"authors(mentor(mentor(mentor(mentor(mentor()))))": fault.LimitExceeded,
		"authors(pupils(pupils(pupils(pupils(pupils()))))": fault.LimitExceeded,
	} {
		w.refuses(closeParens(spec), code)
	}
	w.answers("authors(mentor(mentor(mentor(mentor(id))))){where=id.eq.1}", `[{"mentor":null}]`)
}

// closeParens completes a spec whose nesting is the point.
func closeParens(spec string) string {
	open := 0
	for _, c := range spec {
		switch c {
		case '(':
			open++
		case ')':
			open--
		}
	}
	for range open {
		spec += ")"
	}
	return spec
}

func (s *suite) aggregate(t *testing.T) {
	w := s.library(t)
	for _, c := range []struct{ spec, want string }{
		{"books(count())", `[{"count":6}]`},
		{"books(count)", `[{"count":6}]`}, // no field of books is called count
		{"books(n:count::text)", `[{"n":"6"}]`},
		{"authors(id,books!author(count)){where=id.eq.1}", `[{"id":1,"books":[{"count":2}]}]`},
		{"books(n:count(),title.count())", `[{"n":6,"count":5}]`},
		{"books(count()){where=id.eq.99}", `[{"count":0}]`},
		{"books(pages.sum(),a:pages.avg(),b:pages.min(),c:pages.max())", `[{"sum":695,"a":139.000000,"b":-5,"c":300}]`},
		{"books(price.sum(),price.avg(),price.min(),price.max())", `[{"sum":45.75,"avg":9.15000000,"min":0.00,"max":20.50}]`},
		{"books(rating.sum(),rating.avg())", `[{"sum":8.5,"avg":2.125}]`},
		{"books(pages.sum(),price.avg(),title.min()){where=id.eq.99}", `[{"sum":null,"avg":null,"min":null}]`},
		{"books(title.min(),title.max(),status.max())", ""},
		{"books(t:title.min(),title.max(),s:status.max())", `[{"t":"100%_\\d","max":"École","s":"shipped"}]`},
		{"books(pages,count())", `[{"pages":-5,"count":1},{"pages":100,"count":2},{"pages":200,"count":1},{"pages":300,"count":1},{"pages":null,"count":1}]`},
		{"books(pages,price.sum()){order=pages.desc;limit=2}", `[{"pages":null,"sum":null},{"pages":300,"sum":10.00}]`},
		{"books(sold,pages.avg()){where=pages.gt.0}", `[{"sold":false,"avg":200.000000},{"sold":true,"avg":200.000000},{"sold":null,"avg":100.000000}]`},
		{"books(sold,count()){offset=1;limit=1}", `[{"sold":true,"count":2}]`},
		{"books(meta->>s,count()){where=id.lte.3}", `[{"s":"10","count":1},{"s":"text","count":1},{"s":null,"count":1}]`},
		{"books(meta->n,count()){where=id.in.(1,2,6)}", `[{"n":1.50,"count":1},{"n":9,"count":1},{"n":10,"count":1}]`},
		{"books(pages::text,count()){where=pages.eq.100}", `[{"pages":"100","count":2}]`},
		{"books(pages.sum()::text)", `[{"sum":"695"}]`},
		{"books(meta->>n::float.sum()){where=id.lte.2}", `[{"sum":11.5}]`},
		{"books(author(name),count()){order=author(name).nullsfirst}", `[{"author":null,"count":1},{"author":{"name":"Ann"},"count":2},{"author":{"name":"bob"},"count":2},{"author":{"name":"Émile"},"count":1}]`},
		{"books(...author(name),count()){where=id.lte.2}", `[{"name":"Ann","count":2}]`},
		{"authors(id,books!author(count()))", `[{"id":1,"books":[{"count":2}]},{"id":2,"books":[{"count":2}]},{"id":3,"books":[{"count":1}]},{"id":4,"books":[{"count":0}]}]`},
		{"authors(id,books!author(pages,price.avg(),pages.sum())){where=id.eq.1}", `[{"id":1,"books":[{"pages":100,"avg":10.00000000,"sum":100},{"pages":200,"avg":20.50000000,"sum":200}]}]`},
		{"genres(name,books(pages.sum()))", `[{"name":"crime","books":[{"sum":300}]},{"name":"art","books":[{"sum":95}]},{"name":"empty","books":[{"sum":null}]}]`},
	} {
		if c.want == "" {
			w.refuses(c.spec, fault.DuplicateField)
			continue
		}
		w.answers(c.spec, c.want)
	}
	for spec, code := range map[string]fault.Code{
		"books(title.sum())":                fault.UndefinedFunction,
		"books(meta.max())":                 fault.UndefinedFunction,
		"books(tags.min())":                 fault.UndefinedFunction,
		"books(pages,count()){order=title}": fault.Grouping,
		"books(id,author(count()))":         fault.NotImplemented,
		"books(nothing.sum())":              fault.UndefinedField,
		"books(sum())":                      fault.Parse,
		"books(count()){order=pages}":       fault.Grouping,
	} {
		w.refuses(spec, code)
	}
	w.add("books", `{"id":100,"pages":9223372036854775807,"price":9999999999999999.99}
{"id":101,"pages":9223372036854775807,"price":0.01}`)
	w.refuses("books(pages.sum())", fault.NumericOutOfRange)
	w.refuses("books(pages.avg())", fault.NumericOutOfRange)
	w.refuses("authors(books!author(id),x:books!author(pages.sum())){where=and(id.eq.1,nothing.eq.1)}", fault.UndefinedField)
	w.answers("books(pages.sum()){where=id.eq.100}", `[{"sum":9223372036854775807}]`)
	w.answers("books(price.max()){where=id.gte.100}", `[{"max":9999999999999999.99}]`)
}
