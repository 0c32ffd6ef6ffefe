package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// spoken is a world behind HTTP: the header Apikey names the caller.
func spoken(t *testing.T, config string) *world {
	t.Helper()
	w := newWorldOf(t, map[string]string{"modules/shop.yaml": shop, "pando.yaml": "app: shop\n" + config})
	w.door.Authenticate = func(r *http.Request) (policy.Identity, error) {
		switch r.Header.Get("Apikey") {
		case "service":
			return service(), nil
		case "":
			return policy.Identity{}, fault.New(fault.MissingCredential, "an API key is required")
		}
		return anon(), nil
	}
	w.door.RequestID, w.door.problems.RequestID = func(*http.Request) string { return "r-1" }, func(*http.Request) string { return "r-1" }
	return w
}

// send sends a request: a method and headers as "POST|Name: value", a path and a body.
func (w *world) send(how, path, body string) *httptest.ResponseRecorder {
	w.Helper()
	parts := strings.Split(how, "|")
	r := httptest.NewRequestWithContext(w.Context(), parts[0], path, strings.NewReader(body))
	if parts[0] == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Apikey", "anon")
	for _, h := range parts[1:] {
		name, val, _ := strings.Cut(h, ": ")
		r.Header.Del(name)
		if val != "" {
			r.Header.Set(name, val)
		}
	}
	rec := httptest.NewRecorder()
	w.door.ServeHTTP(rec, r)
	return rec
}

const (
	response  = "|Accept: application/graphql-response+json"
	graphqlV1 = "/graphql/v1"
)

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func asks(doc string) string { return `{"query":` + quoteJSON(doc) + `}` }

func TestHTTP(t *testing.T) {
	w := spoken(t, "limits: { body: 4KiB }\n")
	insert := `mutation { shop_customersInsertOne(object: {name: "x"}) { name } }`
	tests := []struct {
		name, how, path, body string
		status                int
		want                  string // in the body
		header                string
	}{
		{"a query", "POST", graphqlV1, asks(`{ __typename }`), 200, `{"data":{"__typename":"Query"},"extensions":{"cost":`, "Content-Type: application/json; charset=utf-8"},
		{"the new media type", "POST" + response, graphqlV1, asks(`{ __typename }`), 200, `"data":{"__typename":"Query"}`, "Content-Type: application/graphql-response+json; charset=utf-8"},
		{"the weight decides", "POST|Accept: application/json;q=0.5, application/graphql-response+json;q=0.6", graphqlV1, asks(`{ __typename }`), 200, "", "Content-Type: application/graphql-response+json; charset=utf-8"},
		{"anything", "POST|Accept: */*", graphqlV1, asks(`{ __typename }`), 200, "", "Content-Type: application/json; charset=utf-8"},
		{"what is excluded", "POST|Accept: */*;q=0.1, application/json;q=0, application/graphql-response+json;q=0.05", graphqlV1, asks(`{ __typename }`), 200, "", "Content-Type: application/graphql-response+json; charset=utf-8"},
		{"another media type", "POST|Accept: text/html", graphqlV1, asks(`{ __typename }`), 406, `"code":"PGRST107"`, "Content-Type: application/problem+json"},
		{"another charset", "POST|Accept: application/json; charset=latin1", graphqlV1, asks(`{ __typename }`), 406, `"code":"PGRST107"`, ""},
		{"no store", "POST", graphqlV1, asks(`{ __typename }`), 200, "", "Cache-Control: no-store"},
		{"it varies", "POST", graphqlV1, asks(`{ __typename }`), 200, "", "Vary: Accept, Apikey, Authorization"},
		{"a GET", "GET", graphqlV1 + "?query=" + url.QueryEscape(`query($a: Boolean!) { __typename @include(if: $a) }`) + "&variables=" + url.QueryEscape(`{"a":true}`), "", 200, `"data":{"__typename":"Query"}`, ""},
		{"a mutation by GET", "GET", graphqlV1 + "?query=" + url.QueryEscape(insert), "", 405, `"code":"PGRST101"`, "Allow: GET, POST, OPTIONS"},
		{"a GET that chooses the mutation", "GET", graphqlV1 + "?operationName=m&query=" + url.QueryEscape(`query q { __typename } mutation m { shop_customersInsertOne(object: {name: "x"}) { name } }`), "", 405, "", "Allow: GET, POST, OPTIONS"},
		{"a parameter twice", "GET", graphqlV1 + "?query=%7B__typename%7D&query=%7B__typename%7D", "", 400, "given twice", ""},
		{"what methods there are", "OPTIONS", graphqlV1, "", 204, "", "Allow: GET, POST, OPTIONS"},
		{"another method", "PUT", graphqlV1, asks(`{ __typename }`), 405, `"code":"PGRST101"`, "Allow: GET, POST, OPTIONS"},
		{"another path", "POST", "/graphql/v1/x", "", 404, "GraphQL is at /graphql/v1", "Content-Type: application/problem+json"},
		{"another version", "POST", "/graphql/v9", "", 404, "GraphQL is at /graphql/v1", ""},
		{"a form", "POST|Content-Type: application/x-www-form-urlencoded", graphqlV1, "query=" + url.QueryEscape(insert), 415, `"code":"unsupported_media_type"`, ""},
		{"plain text", "POST|Content-Type: text/plain", graphqlV1, asks(insert), 415, "", ""},
		{"a form with a file", "POST|Content-Type: multipart/form-data; boundary=x", graphqlV1, asks(insert), 415, "", ""},
		{"no type", "POST|Content-Type: ", graphqlV1, asks(`{ __typename }`), 415, "", ""},
		{"another charset of the body", "POST|Content-Type: application/json; charset=latin1", graphqlV1, asks(`{ __typename }`), 415, "JSON is UTF-8", ""},
		{"utf-8", "POST|Content-Type: Application/JSON; charset=\"UTF-8\"", graphqlV1, asks(`{ __typename }`), 200, "", ""},
		{"not UTF-8", "POST", graphqlV1, "{\"query\":\"{ __typename } # \xff\"}", 400, `"code":"PGRST102"`, ""},
		{"too long", "POST", graphqlV1, asks(`{ __typename #` + strings.Repeat("x", 5000) + "\n}"), 413, `"code":"body_too_large"`, ""},
		{"no JSON", "POST", graphqlV1, `{"query":`, 400, `"code":"PGRST102"`, ""},
		{"more than JSON", "POST", graphqlV1, asks(`{ __typename }`) + "{}", 400, `"code":"PGRST102"`, ""},
		{"no document", "POST", graphqlV1, `{"variables":{}}`, 400, "has no document", ""},
		{"no object", "POST", graphqlV1, `"{ __typename }"`, 400, "is an object", ""},
		{"no caller", "POST|Apikey: ", graphqlV1, asks(`{ __typename }`), 401, `{"errors":[{"message":"an API key is required","extensions":{"code":"PGRST302","requestId":"r-1","status":401}}]}`, `WWW-Authenticate: Bearer realm="pando"`},
		{"no caller, the new media type", "POST|Apikey: " + response, graphqlV1, asks(`{ __typename }`), 401, `"code":"PGRST302"`, ""},
		{"a wrong document", "POST", graphqlV1, asks(`{ __typename`), 200, `{"errors":[{"message":"Expected Name, found <EOF>","locations":[{"line":1,"column":13}],"extensions":{"code":"GRAPHQL_PARSE_FAILED","requestId":"r-1","status":400}}]}`, ""},
		{"a wrong document, the new media type", "POST" + response, graphqlV1, asks(`{ __typename`), 400, `"code":"GRAPHQL_PARSE_FAILED"`, ""},
		{"an unknown field", "POST" + response, graphqlV1, asks(`{ nothing }`), 400, `{"errors":[{"message":"Cannot query field \"nothing\" on type \"Query\".","locations":[{"line":1,"column":3}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"`, ""},
		{"a wrong variable", "POST" + response, graphqlV1, `{"query":"query($a: Boolean!) { __typename @include(if: $a) }","variables":{"a":1}}`, 400, `"code":"BAD_USER_INPUT"`, ""},
		{"a variable that is null where it must not be", "POST" + response, graphqlV1, `{"query":"query($a: Boolean = true) { __typename @include(if: $a) }","variables":{"a":null}}`, 400, `must not be null: it is used where null is not allowed`, ""},
		{"which operation", "POST" + response, graphqlV1, asks(`query a { __typename } query b { __typename }`), 400, `"hint":"operationName is one of a, b"`, ""},
		{"an operation that is not there", "POST" + response, graphqlV1, `{"query":"query a { __typename }","operationName":"c"}`, 400, `"code":"OPERATION_RESOLUTION_FAILURE"`, ""},
		{"the one that is named", "POST" + response, graphqlV1, `{"query":"query a { __typename } query b { b: __typename }","operationName":"b"}`, 200, `{"b":"Query"}`, ""},
		{"a subscription", "POST", graphqlV1, asks(`subscription { __typename }`), 200, `errors`, ""},
		{"introspection is not for strangers", "POST" + response, graphqlV1, asks(`{ __schema { queryType { name } } }`), 400, `"code":"INTROSPECTION_DISABLED"`, ""},
		{"nor in a fragment", "POST" + response, graphqlV1, asks(`{ ...F } fragment F on Query { ... { __type(name: "Query") { name } } }`), 400, `"code":"INTROSPECTION_DISABLED"`, ""},
		{"but for who is signed in", "POST|Apikey: service", graphqlV1, asks(`{ __schema { queryType { name } } }`), 200, `{"__schema":{"queryType":{"name":"Query"}}}`, ""},
		{"a literal that is no UUID's", "POST" + response, graphqlV1, asks(`{ shop_ordersByKey(id: 5) { id } }`), 400, `UUID cannot represent a non string value: 5`, ""},
		{"an idempotency key that is none", "POST|Idempotency-Key: " + strings.Repeat("k", 300), graphqlV1, asks(insert), 400, "Idempotency-Key must be", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.send(tt.how, tt.path, tt.body)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.want) {
				t.Errorf("%d %s\nwant %d %s", got.Code, got.Body, tt.status, tt.want)
			}
			name, val, _ := strings.Cut(tt.header, ": ")
			if tt.header != "" && got.Header().Get(name) != val {
				t.Errorf("%s is %q", name, got.Header().Get(name))
			}
			if body := got.Body.Bytes(); len(body) > 0 && !json.Valid(body) {
				t.Errorf("%s is no JSON", body)
			}
		})
	}
}

func TestSuggestions(t *testing.T) {
	w := spoken(t, "")
	for _, doc := range []string{`{ shop_order { nodes { id } } }`, `{ shop_orders(firs: 1) { nodes { id } } }`, `{ shop_orders { nodes { i } } }`} {
		if got := w.send("POST|Apikey: service", graphqlV1, asks(doc)).Body.String(); !strings.Contains(got, "Did you mean") {
			t.Errorf("%s: who may know the schema is told nothing: %s", doc, got)
		}
		if got := w.send("POST", graphqlV1, asks(doc)).Body.String(); strings.Contains(got, "Did you mean") {
			t.Errorf("%s: who may not is told: %s", doc, got)
		}
	}
	const enums = `{"query":"query($w: shop_customersFilter) { shop_customers(where: $w) { totalCount } }","variables":{"w":{"nam":1}}}`
	if got := w.send("POST", graphqlV1, enums).Body.String(); strings.Contains(got, "Did you mean") || !strings.Contains(got, `\"nam\" is not defined`) {
		t.Errorf("in variables: %s", got)
	}
}

// TestStranger: who is not signed in hears that this may be the reason.
func TestStranger(t *testing.T) {
	w := spoken(t, "")
	const doc = `mutation { shop_close(number: 1) { id } }`
	if got := w.send("POST", graphqlV1, asks(doc)).Body.String(); !strings.Contains(got, "you are not signed in") {
		t.Errorf("a stranger is told %s", got)
	}
	if got := w.send("POST|Apikey: service", graphqlV1, asks(`{ nothing }`)).Body.String(); strings.Contains(got, "you are not signed in") {
		t.Errorf("the service is told %s", got)
	}
}

func TestIntrospectionModes(t *testing.T) {
	doc := asks(`{ __schema { queryType { name } } }`)
	for _, tt := range []struct {
		config        string
		develop       bool
		anon, service bool
	}{
		{"", false, false, true},
		{"", true, true, true},
		{"off", true, false, false},
		{"signed-in", true, false, true},
		{"all", false, true, true},
	} {
		config := ""
		if tt.config != "" {
			config = "api: { graphql: { introspection: " + tt.config + " } }\n"
		}
		w := spoken(t, config)
		w.door.Develop = tt.develop
		for who, told := range map[string]bool{"anon": tt.anon, "service": tt.service} {
			got := w.send("POST|Apikey: "+who, graphqlV1, doc).Body.String()
			if strings.Contains(got, `"data"`) != told {
				t.Errorf("introspection %q, develop %v, %s: %s", tt.config, tt.develop, who, got)
			}
			if got := w.send("POST|Apikey: "+who, graphqlV1, asks(`{ __typename }`)).Body.String(); !strings.Contains(got, `{"__typename":"Query"}`) {
				t.Errorf("__typename: %s", got)
			}
		}
	}
}

func TestBatch(t *testing.T) {
	w := spoken(t, "api: { graphql: { batch: 3, fields: 4 } }\n")
	one := asks(`{ __typename }`)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"two", "[" + one + "," + asks(`{ nothing }`) + "]", 200, `[{"data":{"__typename":"Query"},"extensions":{"cost":{"limit":100000,"requested":0}}},{"errors":[{`},
		{"one", " [" + one + "]", 200, `[{"data":`},
		{"none", "[]", 400, "is empty"},
		{"more than are allowed", "[" + one + "," + one + "," + one + "," + one + "]", 400, "3 operations at most, and this one 4"},
		{"root fields together", "[" + asks(`{ a: __typename b: __typename c: __typename }`) + "," + asks(`{ a: __typename b: __typename }`) + "]", 400, "more than 4 root fields together"},
		{"no objects", `["{ __typename }"]`, 400, "is an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.send("POST", graphqlV1, tt.body); got.Code != tt.status || !strings.Contains(got.Body.String(), tt.want) {
				t.Errorf("%d %s", got.Code, got.Body)
			}
		})
	}
	t.Run("cost together", func(t *testing.T) {
		w := spoken(t, "api: { graphql: { cost: 150 } }\n")
		one := asks(`{ shop_orders(first: 100) { nodes { id } } }`)
		if got := w.send("POST", graphqlV1, one).Body.String(); !strings.Contains(got, `"cost":{"limit":150,"requested":100}`) {
			t.Errorf("one: %s", got)
		}
		if got := w.send("POST", graphqlV1, "["+one+","+one+"]").Body.String(); !strings.Contains(got, `may read 100 rows, and 50 are allowed`) {
			t.Errorf("two: %s", got)
		}
	})
	t.Run("a list does not write twice under one key", func(t *testing.T) {
		w := spoken(t, "")
		doc := asks(`mutation { shop_customersInsertOne(object: {name: "NAME"}) { name } }`)
		body := "[" + strings.Replace(doc, "NAME", "a", 1) + "," + strings.Replace(doc, "NAME", "b", 1) + "]"
		for range 2 {
			got := w.send("POST|Idempotency-Key: k", graphqlV1, body).Body.String()
			if !strings.Contains(got, `"a"`) || !strings.Contains(got, `"b"`) || strings.Contains(got, "errors") {
				t.Fatalf("%s", got)
			}
		}
		if got := w.send("POST", graphqlV1, asks(`{ shop_customers { totalCount } }`)).Body.String(); !strings.Contains(got, `"totalCount":2`) {
			t.Errorf("%s", got)
		}
	})
}

func TestPreparedOnce(t *testing.T) {
	w := spoken(t, "")
	for range 3 {
		w.send("POST", graphqlV1, asks(`{ __typename }`))
		w.send("POST", graphqlV1, asks(`{ nothing }`))
	}
	if n := len(w.door.prepared.m); n != 1 {
		t.Errorf("%d documents are kept", n)
	}
	// Another class of callers has another schema, and the document is another one.
	w.send("POST|Apikey: service", graphqlV1, asks(`{ __typename }`))
	if n := len(w.door.prepared.m); n != 2 {
		t.Errorf("%d documents are kept for two classes of callers", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := cache[int, int]{max: 100}
	for i := range 1000 {
		c.put(i, i, 1)
	}
	if len(c.m) > 100 || len(c.m) < 50 {
		t.Errorf("%d entries of 100", len(c.m))
	}
	c = cache[int, int]{max: 1000}
	for i := range 100 {
		c.put(i, i, maxCachedBytes/10)
	}
	if len(c.m) > 10 {
		t.Errorf("%d entries of a tenth each", len(c.m))
	}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func persisted(doc, hash string) string {
	query := ""
	if doc != "" {
		query = `"query":` + quoteJSON(doc) + ","
	}
	return fmt.Sprintf(`{%s"extensions":{"persistedQuery":{"version":1,"sha256Hash":%q}}}`, query, hash)
}

func TestPersisted(t *testing.T) {
	w := spoken(t, "")
	doc := `{ __typename }`
	steps := []struct {
		name, how, path, body string
		status                int
		want                  string
	}{
		{"not known yet", "POST", graphqlV1, persisted("", hash(doc)), 200, `{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"`},
		{"not known yet, the new media type", "POST" + response, graphqlV1, persisted("", hash(doc)), 404, `PersistedQueryNotFound`},
		{"another hash", "POST" + response, graphqlV1, persisted(doc, hash("x")), 400, `provided sha does not match query`},
		{"no hash", "POST" + response, graphqlV1, persisted(doc, "x"), 400, `64 hexadecimal digits`},
		{"an invalid document is not kept", "POST", graphqlV1, persisted("{ nothing }", hash("{ nothing }")), 200, `GRAPHQL_VALIDATION_FAILED`},
		{"so it is not known", "POST", graphqlV1, persisted("", hash("{ nothing }")), 200, `PersistedQueryNotFound`},
		{"stored", "POST", graphqlV1, persisted(doc, hash(doc)), 200, `"data"`},
		{"known", "POST", graphqlV1, persisted("", strings.ToUpper(hash(doc))), 200, `"data"`},
		{"by GET", "GET", graphqlV1 + "?extensions=" + url.QueryEscape(`{"persistedQuery":{"version":1,"sha256Hash":"`+hash(doc)+`"}}`), "", 200, `"data"`},
		{"by its id", "POST", graphqlV1, `{"documentId":"sha256:` + hash(doc) + `"}`, 200, `"data"`},
		{"another version", "POST" + response, graphqlV1, `{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"` + hash(doc) + `"}}}`, 400, `PERSISTED_QUERY_NOT_SUPPORTED`},
		{"a mutation is stored", "POST", graphqlV1, persisted(`mutation { shop_customersInsertOne(object: {name: "p"}) { name } }`, hash(`mutation { shop_customersInsertOne(object: {name: "p"}) { name } }`)), 200, `"data"`},
		{"and not executed by GET", "GET", graphqlV1 + "?documentId=" + hash(`mutation { shop_customersInsertOne(object: {name: "p"}) { name } }`), "", 405, `PGRST101`},
	}
	for _, s := range steps {
		if got := w.send(s.how, s.path, s.body); got.Code != s.status || !strings.Contains(got.Body.String(), s.want) {
			t.Errorf("%s: %d %s", s.name, got.Code, got.Body)
		}
	}
}

func TestAllowList(t *testing.T) {
	w := spoken(t, "")
	listed, relay := `query Listed { shop_customers { totalCount } }`, `{ __typename }`
	docs, err := ReadDocuments(fstest.MapFS{
		"a/Listed.graphql": {Data: []byte(listed)},
		"relay.json":       {Data: []byte(`{"r1": ` + quoteJSON(relay) + `}`)},
		"apollo.json":      {Data: []byte(`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"a1","name":"x","type":"query","body":"{ shop_orders { totalCount } }"}]}`)},
		"readme.md":        {Data: []byte(`{`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.door.Documents = docs
	for _, tt := range []struct{ name, how, body, want string }{
		{"by its text", "POST", asks(listed), `"data"`},
		{"by its hash", "POST", persisted("", hash(listed)), `"data"`},
		{"by both", "POST", persisted(listed, hash(listed)), `"data"`},
		{"by its path", "POST", `{"documentId":"a/Listed"}`, `"data"`},
		{"by the manifest's id", "POST", `{"documentId":"r1"}`, `"data"`},
		{"by Apollo's id", "POST", `{"documentId":"a1"}`, `"data"`},
		{"another one", "POST", asks(`{ shop_customers { nodes { id } } }`), `QUERY_NOT_IN_SAFELIST`},
		{"another one under its hash", "POST", persisted(`{ x: __typename }`, hash(`{ x: __typename }`)), `QUERY_NOT_IN_SAFELIST`},
		{"another one under a listed id", "POST", `{"documentId":"r1","query":"{ x: __typename }"}`, `QUERY_NOT_IN_SAFELIST`},
		{"another one under a listed hash", "POST", persisted(`{ x: __typename }`, hash(listed)), `QUERY_NOT_IN_SAFELIST`},
		{"an unknown id", "POST", `{"documentId":"zz"}`, `QUERY_NOT_IN_SAFELIST`},
		{"a blank more", "POST", asks(listed + " "), `QUERY_NOT_IN_SAFELIST`},
		{"who has the secret key", "POST|Apikey: service", asks(`{ x: __typename }`), `"data"`},
	} {
		if got := w.send(tt.how, graphqlV1, tt.body).Body.String(); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

func TestReadDocuments(t *testing.T) {
	for name, file := range map[string]struct{ name, text, want string }{
		"no GraphQL":    {"x.graphql", "{", "x.graphql has a document that is not GraphQL"},
		"no manifest":   {"x.json", "[]", "x.json is no manifest"},
		"in a manifest": {"x.json", `{"a":"{"}`, "x.json has a document that is not GraphQL"},
		"an id twice":   {"a.json", `{"b":"{ x }"}`, "two documents have the id b"},
	} {
		_, err := ReadDocuments(fstest.MapFS{file.name: {Data: []byte(file.text)}, "b.graphql": {Data: []byte("{ y }")}})
		if err == nil || !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(err.Error(), file.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
