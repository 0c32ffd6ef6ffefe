package rest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		accept string
		want   string
	}{
		{"", "application/json; charset=utf-8"},
		{"*/*", "application/json; charset=utf-8"},
		{"application/json", "application/json; charset=utf-8"},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json; charset=utf-8"},
		{"text/csv", "text/csv; charset=utf-8"},
		{"text/csv;q=0.5, application/json", "application/json; charset=utf-8"},
		{"text/csv, application/json;q=0.5", "text/csv; charset=utf-8"},
		{"application/json;q=0.1, Text/CSV ; q=0.2", "text/csv; charset=utf-8"},
		{"text/csv, application/json", "text/csv; charset=utf-8"},
		{"application/json;q=0, */*", ""},
		{"application/json;q=0, */*;q=0.1, text/csv;q=0.05", "text/csv; charset=utf-8"},
		{"application/vnd.pgrst.object+json", "application/vnd.pgrst.object+json; charset=utf-8"},
		{"application/vnd.pgrst.object+json;nulls=stripped", "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"},
		{"application/vnd.pgrst.array+json;nulls=stripped", "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
		{"application/vnd.pgrst.array+json", "application/vnd.pgrst.array+json; charset=utf-8"},
		{"application/x-ndjson", "application/x-ndjson; charset=utf-8"},
		{"application/openapi+json", ""},
		{"application/geo+json", ""},
		{"application/vnd.pgrst.plan+text", ""},
		{"application/geo+json, application/json;q=0.2", "application/json; charset=utf-8"},
		{"application/json;q=nonsense", ""},
		{"application/json;q=0", ""},
	} {
		rep, err := negotiate([]string{tt.accept}, false)
		switch {
		case tt.want == "" && !fault.Is(err, fault.NotAcceptable):
			t.Errorf("%q: %v, %v", tt.accept, rep, err)
		case tt.want != "" && (err != nil || rep.contentType() != tt.want):
			t.Errorf("%q: %q, %v; want %q", tt.accept, rep.contentType(), err, tt.want)
		}
	}
	if rep, err := negotiate([]string{"application/openapi+json"}, true); err != nil || rep.media != mediaOpenAPI {
		t.Errorf("the root's document: %v, %v", rep, err)
	}
	if _, err := negotiate([]string{"text/csv"}, true); !fault.Is(err, fault.NotAcceptable) {
		t.Errorf("the root as CSV: %v", err)
	}
}

func TestPrefer(t *testing.T) {
	all := applied{answer: true, resolution: true, missing: true, maxAffected: true, age: true}
	for _, tt := range []struct {
		headers []string
		applied string
		details string // of the fault
	}{
		{nil, "", ""},
		{[]string{"return=representation"}, "return=representation", ""},
		{
			[]string{"max-affected=5, handling=strict ,count=exact", "return=minimal,missing=default , resolution=merge-duplicates"},
			"resolution=merge-duplicates, missing=default, return=minimal, count=exact, handling=strict, max-affected=5", "",
		},
		{[]string{"return=minimal, return=representation"}, "return=minimal", ""},
		{[]string{"handling=lenient, handling=strict, foo"}, "handling=lenient", ""},
		{[]string{"foo, bar=1, timezone=UTC, tx=commit, count=some"}, "", ""},
		{[]string{`return="representation"`}, "return=representation", ""},
		{[]string{"max-affected=5"}, "", ""}, // counts with handling=strict only
		{
			[]string{"resolution=ignore-duplicates,missing=null,return=headers-only,count=estimated"},
			"resolution=ignore-duplicates, missing=null, return=headers-only, count=estimated", "",
		},
		{[]string{"consistency=strong, count=exact", "consistency=eventual"}, "count=exact, consistency=strong", ""},
		{[]string{`consistency="bounded"`}, "consistency=bounded", ""},
		{[]string{"handling=strict, foo, tx=rollback, max-affected=-1"}, "", "Invalid preferences: foo, tx=rollback, max-affected=-1"},
		{[]string{"return=, handling=strict"}, "", "Invalid preferences: return="},
	} {
		p, err := parsePrefer(tt.headers)
		if tt.details != "" {
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.InvalidPreference || f.Details != tt.details {
				t.Errorf("%q: %v", tt.headers, err)
			}
			continue
		}
		h := http.Header{}
		p.apply(h, all)
		if got := h.Get("Preference-Applied"); err != nil || got != tt.applied {
			t.Errorf("%q: %q, %v; want %q", tt.headers, got, err, tt.applied)
		}
	}
	for _, h := range []string{"consistency=sometimes", "consistency=", "consistency", "consistency=STRONG", "consistency=strong, consistency=none"} {
		var f *fault.Error
		if _, err := parsePrefer([]string{h}); !errors.As(err, &f) || f.Code != fault.InvalidPreference {
			t.Errorf("%q: %v", h, err)
		}
	}
	p, _ := parsePrefer([]string{"return=representation, resolution=merge-duplicates, count=exact"})
	h := http.Header{}
	if p.apply(h, applied{}); h.Get("Preference-Applied") != "count=exact" {
		t.Errorf("a read applied %q", h.Get("Preference-Applied"))
	}
}

func TestRangeHeader(t *testing.T) {
	for _, tt := range []struct {
		query, unit, header string
		limit, offset       int64 // limit -1: none
		details             string
	}{
		{"", "", "", -1, 0, ""},
		{"", "", "0-9", 10, 0, ""},
		{"", "items", "10-19", 10, 10, ""},
		{"", "", "items=10-19", 10, 10, ""},
		{"", "", "5-", -1, 5, ""},
		{"", "bytes", "0-9", -1, 0, ""},
		{"", "", "bytes=0-9", -1, 0, ""},
		{"", "", "x-9", -1, 0, ""},
		{"", "", "0-9,20-29", -1, 0, ""},
		{"limit=5", "", "0-9", 5, 0, ""},
		{"limit=50&offset=5", "", "0-9", 5, 5, ""},
		{"limit=5&offset=2", "", "4-", 3, 4, ""},
		{"limit=0", "", "0-9", 0, 0, ""},
		{"", "", "9-0", 0, 0, "The lower boundary must be lower than or equal to the upper boundary in the Range header."},
		{"offset=20", "", "0-9", 0, 0, "The Range header and the parameters limit and offset have no row in common."},
		{"limit=9223372036854775807&offset=9223372036854775807", "", "", 9223372036854775807, 9223372036854775807, ""},
	} {
		p, err := parseParams(tt.query, testLimits())
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("Range-Unit", tt.unit)
		h.Set("Range", tt.header)
		err = p.rangeHeader(h)
		var f *fault.Error
		if tt.details != "" {
			if !errors.As(err, &f) || f.Code != fault.InvalidRange || f.Details != tt.details {
				t.Errorf("%+v: %v", tt, err)
			}
			continue
		}
		limit := int64(-1)
		if p.node.Page.Limit != nil {
			limit = *p.node.Page.Limit
		}
		if err != nil || limit != tt.limit || p.node.Page.Offset != tt.offset {
			t.Errorf("%+v: limit %d offset %d, %v", tt, limit, p.node.Page.Offset, err)
		}
	}
}

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		low, rows, total int64
		want             string
		status           int
	}{
		{0, 30, -1, "0-29/*", 200},
		{0, 30, 30, "0-29/30", 200},
		{0, 30, 31, "0-29/31", 206},
		{30, 1, 31, "30-30/31", 206},
		{0, 0, -1, "*/*", 200},
		{0, 0, 0, "*/0", 200},
		{0, 0, 5, "*/5", 206}, // limit=0
		{5, 0, 5, "*/5", 206},
		{6, 0, 5, "", 416},
		{6, 0, -1, "*/*", 200},
		{-1, 30, 90, "*/90", 206}, // by cursor
		{-1, 30, -1, "*/*", 200},
	} {
		status, err := pageStatus(tt.low, tt.rows, tt.total)
		if tt.status == 416 {
			if !fault.Is(err, fault.InvalidRange) {
				t.Errorf("%+v: %v", tt, err)
			}
			continue
		}
		if got := string(contentRange(nil, tt.low, tt.rows, tt.total)); got != tt.want || status != tt.status || err != nil {
			t.Errorf("%+v: %q, %d, %v", tt, got, status, err)
		}
	}
}

func TestLinks(t *testing.T) {
	ten := int64(10)
	for _, tt := range []struct {
		url        string
		page       query.Page
		next, prev string
		want       string
	}{
		{"/rest/v1/a?limit=3", query.Page{}, "", "", ""},
		{"/rest/v1/a", query.Page{}, "N+/", "", `</rest/v1/a?cursor=N%2B%2F>; rel="next"`},
		{
			"/rest/v1/a?offset=9&limit=3&curso%72=old&order=b.desc",
			query.Page{Limit: &ten},
			"N", "P",
			`</rest/v1/a?limit=3&order=b.desc&cursor=N>; rel="next", </rest/v1/a?limit=3&order=b.desc&cursor=P>; rel="prev"`,
		},
		{"/rest/v1/a?b=eq.x", query.Page{Limit: &ten}, "N", "", `</rest/v1/a?b=eq.x&limit=10&cursor=N>; rel="next"`},
		{"/rest/v1/a?b=eq.<\">é", query.Page{}, "", "P", `</rest/v1/a?b=eq.%3C%22%3E%C3%A9&cursor=P>; rel="prev"`},
	} {
		u, err := url.ParseRequestURI(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := links(u, tt.page, tt.next, tt.prev); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.url, got, tt.want)
		}
	}
}

func TestReplyConditions(t *testing.T) {
	for _, tt := range []struct {
		name, header, val string
		status            int
	}{
		{"none", "X", "", 200},
		{"known", "If-None-Match", `"abc"`, 304},
		{"known among others", "If-None-Match", `"x", W/"abc"`, 304},
		{"any", "If-None-Match", `*`, 304},
		{"another", "If-None-Match", `"abd"`, 200},
		{"without quotes", "If-None-Match", `abc`, 200},
		{"still the same", "If-Match", `"abc"`, 200},
		{"changed", "If-Match", `"abd"`, 412},
		{"weak", "If-Match", `W/"abc"`, 412},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
				r.Header.Set(tt.header, tt.val)
				w := httptest.NewRecorder()
				a := reply{status: 200, contentType: "application/json", body: []byte("[]"), tag: "abc", contentRange: "*/*"}
				err := a.send(w, r)
				if tt.status == 412 {
					if !fault.Is(err, fault.PreconditionFailed) {
						t.Errorf("%v", err)
					}
					continue
				}
				if err != nil || w.Code != tt.status {
					t.Errorf("%d, %v", w.Code, err)
				}
				if w.Header().Get("ETag") != `"abc"` || w.Header().Get("Vary") != varies {
					t.Errorf("headers %v", w.Header())
				}
				if wantBody := tt.status == 200 && method == http.MethodGet; (w.Body.String() == "[]") != wantBody {
					t.Errorf("%s body %q", method, w.Body)
				}
				if tt.status == 200 && w.Header().Get("Content-Length") != "2" {
					t.Errorf("%s Content-Length %q", method, w.Header().Get("Content-Length"))
				}
			}
		})
	}
}

func BenchmarkTag(b *testing.B) {
	body := make([]byte, 6<<10) // 30 rows
	for b.Loop() {
		if query.Tag(body) == "" {
			b.Fatal()
		}
	}
}

// Existing clients always send their default schema; it means none, unless a
// module has that name.
func TestProfile(t *testing.T) {
	load := func(module string) *handler {
		app, problems := model.Load(fstest.MapFS{
			"pando.yaml":       {Data: []byte("app: test")},
			"modules/one.yaml": {Data: []byte("module: " + module + "\nentities: { things: { fields: { name: { type: text } } } }")},
		}, nil, model.Features{})
		if problems != nil {
			t.Fatal(problems)
		}
		return &handler{app: app}
	}
	for _, tt := range []struct{ module, method, header, profile, want string }{
		{"shop", "GET", "Accept-Profile", "public", ""},
		{"shop", "HEAD", "Accept-Profile", "public", ""},
		{"shop", "PATCH", "Content-Profile", "public", ""},
		{"shop", "GET", "Accept-Profile", "shop", "shop"},
		{"shop", "GET", "Accept-Profile", "Public", "Public"},
		{"shop", "GET", "Content-Profile", "shop", ""},
		{"shop", "POST", "Accept-Profile", "shop", ""},
		{"public", "GET", "Accept-Profile", "public", "public"},
		{"public", "DELETE", "Content-Profile", "public", "public"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/rest/v1/things", nil)
		r.Header.Set(tt.header, tt.profile)
		if got := load(tt.module).profile(r); got != tt.want {
			t.Errorf("%s with %s: %s in an application with %s: got %q, want %q", tt.method, tt.header, tt.profile, tt.module, got, tt.want)
		}
	}
}
