package rpc_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

func asConnect(err error, to **connect.Error) bool { return errors.As(err, to) }

// protocols are the ways in which every client may speak.
func protocols() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"grpc":         {connect.WithGRPC()},
		"grpc-web":     {connect.WithGRPCWeb()},
		"connect":      nil,
		"connect-json": {connect.WithProtoJSON()},
		"connect-get":  {connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)},
		"grpc-gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
	}
}

const full = `{"id":"1","name":"Ünï \"q\" \\ \n","price":"12.50","rate":1.5,"done":true,"kind":"KIND_VERY_LARGE",` +
	`"key":"0198f1c2-0000-7000-8000-00000000000a","at":"2026-01-02T03:04:05.678900Z","day":"2026-01-02","hour":"03:04:05",` +
	`"meta":"{\"a\":[1,\"x\"],\"bb\":null}","raw":"AAH/","tags":["a","b,c"],"sizes":["1","-2"],"kinds":["KINDS_B","KINDS_A"],"cost":"3.00","owner":"nobody"}`

func TestRowsGoRoundOnEveryProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.ask("CreateThings", `{"row":`+full+`}`, asked{}); got != full {
		t.Fatalf("created\n%s\nwant\n%s", got, full)
	}
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			a := asked{options: opts}
			if got := w.ask("GetThings", `{"id":"1"}`, a); got != full {
				t.Errorf("got\n%s\nwant\n%s", got, full)
			}
			if got, want := w.ask("ListThings", `{}`, a), `{"rows":[`+full+`]}`; got != want {
				t.Errorf("listed\n%s\nwant\n%s", got, want)
			}
			if got, want := w.ask("GetThings", `{"id":"1","read_mask":"name,kind"}`, a), `{"name":"Ünï \"q\" \\ \n","kind":"KIND_VERY_LARGE"}`; got != want {
				t.Errorf("masked\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// things makes rows 1 to n, named after them, of which every second is done.
func (w *world) things(n int) {
	w.t.Helper()
	w.thingsFrom(0, n)
}

// thingsFrom makes n rows behind the row from.
func (w *world) thingsFrom(from, n int) {
	w.t.Helper()
	wr := &query.Write{Action: query.Create, Target: query.Target{Module: "shop", Entity: "things"}, Columns: []string{"id", "name", "done", "price", "tags"}}
	for i := from + 1; i <= from+n; i++ {
		wr.Rows = append(wr.Rows, []query.Cell{
			{Kind: query.FromText, Raw: fmt.Sprint(i)},
			{Kind: query.FromText, Raw: fmt.Sprintf("thing %d", i)},
			{Kind: query.FromText, Raw: fmt.Sprint(i%2 == 0)},
			{Kind: query.FromText, Raw: fmt.Sprintf("%d.50", i)},
			{Kind: query.FromJSON, Raw: fmt.Sprintf(`["t%d","all"]`, i%3)},
		})
	}
	if _, err := w.engine.Write(w.t.Context(), policy.Identity{Role: policy.Service}, wr, nil); err != nil {
		w.t.Fatal(err)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.things(9)
	w.ask("UpdateThings", `{"row":{"id":"3","kind":"KIND_VERY_LARGE","at":"2026-01-02T03:04:05Z","raw":"AAE=","meta":"{\"a\":1}","kinds":["KINDS_A"]}}`, asked{})
	for filter, want := range map[string]string{
		`{}`:                          "1 2 3 4 5 6 7 8 9",
		`{"id":{"eq":"3"}}`:           "3",
		`{"id":{"gt":"3","lte":"5"}}`: "4 5",
		`{"id":{"in":{"values":["1","7","99"]}}}`:                         "1 7",
		`{"id":{"in":{}}}`:                                                "",
		`{"id":{"neq":"1"},"done":{"eq":false}}`:                          "3 5 7 9",
		`{"name":{"ilike":"THING _"},"price":{"lt":"3"}}`:                 "1 2",
		`{"name":{"match":"[78]$"}}`:                                      "7 8",
		`{"name":{"wfts":"\"thing 4\""}}`:                                 "4",
		`{"or":[{"id":{"eq":"1"}},{"id":{"eq":"2"},"done":{"eq":true}}]}`: "1 2",
		`{"or":[{"id":{"eq":"1"}},{}],"id":{"lt":"3"}}`:                   "1 2",
		`{"not":{"id":{"gt":"2"}}}`:                                       "1 2",
		`{"and":[{"id":{"gt":"2"}},{"not":{"id":{"gte":"4"}}}]}`:          "3",
		`{"kind":{"eq":"KIND_VERY_LARGE"}}`:                               "3",
		`{"kind":{"in":{"values":["KIND_VERY_LARGE"]}}}`:                  "3",
		`{"kind":{"like":"very%"}}`:                                       "3",
		`{"at":{"is":"IS_NOT_NULL"}}`:                                     "3",
		`{"at":{"eq":"2026-01-02T03:04:05Z"}}`:                            "3",
		`{"rate":{"is":"IS_NULL"},"id":{"eq":"1"}}`:                       "1",
		`{"raw":{"eq":"AAE="}}`:                                           "3",
		`{"meta":{"cs":"{\"a\":1}"}}`:                                     "3",
		`{"tags":{"cs":{"values":["t0","all"]}}}`:                         "3 6 9",
		`{"tags":{"ov":{"values":["t0","t1"]}},"id":{"lt":"5"}}`:          "1 3 4",
		`{"tags":{"eq":{"values":["t1","all"]}},"id":{"lt":"5"}}`:         "1 4",
		`{"kinds":{"cs":{"values":["KINDS_A"]}}}`:                         "3",
		`{"price":{"isdistinct":"1.50"},"id":{"lte":"2"}}`:                "2",
	} {
		out, _, err := w.call("ListThings", `{"read_mask":"id","filter":`+filter+`}`, asked{})
		if err != nil {
			t.Errorf("%s: %v %v", filter, err, detailsOf(t, err))
			continue
		}
		if got := ids(out); got != want {
			t.Errorf("%s answers %q, want %q", filter, got, want)
		}
	}
}

// ids are the ids in a list of rows that have nothing else.
func ids(list string) string {
	var out []string
	for _, part := range strings.Split(list, `"id":"`)[1:] {
		out = append(out, part[:strings.IndexByte(part, '"')])
	}
	return strings.Join(out, " ")
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.things(7)
	var got []string
	token := ""
	for range 5 {
		out := w.ask("ListThings", `{"read_mask":"id","order_by":"done desc, id","page_size":"3","count":true,"page_token":"`+token+`"}`, asked{key: "user"})
		got = append(got, ids(out))
		if !strings.Contains(out, `"total_size":"7"`) {
			t.Errorf("%s has not the total 7", out)
		}
		_, rest, more := strings.Cut(out, `"next_page_token":"`)
		if !more {
			break
		}
		token, _, _ = strings.Cut(rest, `"`)
	}
	if want := "[2 4 6 1 3 5 7]"; fmt.Sprint(got) != want || len(got) != 3 {
		t.Errorf("the pages are %q, want %s in three", got, want)
	}
	if out := w.ask("ListThings", `{"read_mask":"id","offset":"5"}`, asked{}); ids(out) != "6 7" {
		t.Errorf("behind five rows there are %s", out)
	}
	w.fails("ListThings", `{"page_token":"`+token+`","page_size":"3","order_by":"done desc, id","count":true}`, asked{key: "staff"}, connect.CodeInvalidArgument, "invalid_cursor", "")
}

// fails asks for what has to be refused: with a code, a reason, and, where one is
// known, the field.
func (w *world) fails(method, in string, a asked, code connect.Code, reason, field string) {
	w.t.Helper()
	out, _, err := w.call(method, in, a)
	details := strings.Join(detailsOf(w.t, err), " ")
	if err == nil || connect.CodeOf(err) != code || !strings.Contains(details, `"reason":"`+reason+`","domain":"pando"`) {
		w.t.Errorf("%s %s as %q: %s %v %s, want %v and %s", method, in, a.key, out, err, details, code, reason)
	}
	if field != "" && !strings.Contains(details, `google.rpc.BadRequest {"field_violations":[{"field":"`+field+`"`) {
		w.t.Errorf("%s %s: %s does not name the field %s", method, in, details, field)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.things(3)
	service, user, anon := asked{key: "service"}, asked{key: "user"}, asked{key: "anon"}
	for _, c := range []struct {
		method, in    string
		as            asked
		code          connect.Code
		reason, field string
	}{
		{"GetThings", `{"id":"99"}`, user, connect.CodeNotFound, "not_found", ""},
		{"GetThings", `{}`, user, connect.CodeInvalidArgument, "invalid_input", "id"},
		{"GetThings", `{"id":"1"}`, asked{key: "-"}, connect.CodeUnauthenticated, "PGRST301", ""},
		{"GetThings", `{"id":"1","read_mask":"nme"}`, user, connect.CodeInvalidArgument, "42703", "nme"},
		{"GetThings", `{"id":"1","read_mask":"cost"}`, user, connect.CodeInvalidArgument, "42703", ""},
		{"GetThings", `{"id":"1","read_mask":"secret"}`, service, connect.CodeInvalidArgument, "42703", "secret"},
		{"GetClosed", `{"id":"1"}`, user, connect.CodePermissionDenied, "42501", ""},
		{"GetClosed", `{"id":"1"}`, anon, connect.CodeUnauthenticated, "42501", ""},
		{"ListThings", `{"filter":{"id":{}}}`, user, connect.CodeInvalidArgument, "PGRST100", "id"},
		{"ListThings", `{"filter":{"price":{"eq":"x"}}}`, user, connect.CodeInvalidArgument, "22P02", ""},
		{"ListThings", `{"filter":{"cost":{"eq":"1"}}}`, user, connect.CodeInvalidArgument, "42703", ""},
		{"ListThings", `{"filter":{"owner":{"fts":"x"}}}`, user, connect.CodeUnimplemented, "PGRST127", ""},
		{"ListThings", `{"order_by":"id down"}`, user, connect.CodeInvalidArgument, "PGRST100", "order_by"},
		{"ListThings", `{"order_by":"secret"}`, user, connect.CodeInvalidArgument, "42703", "secret"},
		{"ListThings", `{"page_size":"-1"}`, user, connect.CodeOutOfRange, "PGRST103", "page_size"},
		{"ListThings", `{"page_token":"x"}`, user, connect.CodeInvalidArgument, "invalid_cursor", ""},
		{"BatchGetThings", `{"keys":["1","99"]}`, user, connect.CodeNotFound, "not_found", ""},
		{"CreateThings", `{"row":{"id":"1","name":"n"}}`, user, connect.CodeAlreadyExists, "23505", ""},
		{"CreateThings", `{"row":{"id":"8"}}`, user, connect.CodeInvalidArgument, "23502", "name"},
		{"CreateThings", `{"row":{"id":"8","name":"n","price":"1.234"}}`, user, connect.CodeInvalidArgument, "22P02", "price"},
		{"CreateThings", `{"row":{"id":"8","name":"n","meta":"{"}}`, user, connect.CodeInvalidArgument, "22P02", "meta"},
		{"CreateThings", `{"row":{"id":"8","name":"n"},"create_mask":"id,name,owner"}`, user, connect.CodeInvalidArgument, "23502", "owner"},
		{"CreateClosed", `{"row":{"id":"8"}}`, user, connect.CodePermissionDenied, "42501", ""},
		{"UpdateThings", `{"row":{"name":"n"}}`, user, connect.CodeInvalidArgument, "invalid_input", "row.id"},
		{"UpdateThings", `{"row":{"id":"1"}}`, user, connect.CodeInvalidArgument, "invalid_input", "row"},
		{"UpdateThings", `{"row":{"id":"1"},"update_mask":"id"}`, user, connect.CodeInvalidArgument, "invalid_input", "update_mask"},
		{"UpdateThings", `{"row":{"id":"1"},"update_mask":"name"}`, user, connect.CodeInvalidArgument, "23502", "name"},
		{"UpdateThings", `{"row":{"id":"99","name":"n"}}`, user, connect.CodeNotFound, "not_found", ""},
		{"DeleteThings", `{"id":"99"}`, user, connect.CodeNotFound, "not_found", ""},
		{"Sum", `{"n":"1"}`, anon, connect.CodeUnauthenticated, "42501", ""},
		{"Sum", `{}`, user, connect.CodeInvalidArgument, "invalid_input", "n"},
		{"Fails", `{}`, user, connect.CodeInternal, "XX000", ""},
	} {
		w.fails(c.method, c.in, c.as, c.code, c.reason, c.field)
	}
	_, _, err := w.call("Fails", `{}`, user)
	if told := err.Error() + strings.Join(detailsOf(t, err), ""); strings.Contains(told, io.ErrUnexpectedEOF.Error()) || !strings.Contains(told, `"request_id":"r1"`) {
		t.Errorf("a fault of the server tells %s, want the request and not the cause", told)
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ask("CreateThings", `{"row":`+full+`}`, asked{})
	const rest = `"day":"2026-01-02","hour":"03:04:05","meta":"{\"a\":[1,\"x\"],\"bb\":null}","raw":"AAH/"`
	for _, c := range []struct{ row, mask, has, hasNot string }{
		{`"id":"1","price":"1.00"`, "", `"price":"1.00"`, ""},
		{`"id":"1","done":false`, "", `"done":false`, ""},
		{`"id":"1"`, "price", rest, `"price"`},
		{`"id":"1","name":"n","price":"2.00"`, "name,at", `"name":"n"`, `"price"`},
		{`"id":"1"`, "tags", `"sizes":["1","-2"]`, `"tags"`},
		{`"id":"1","tags":["z"]`, "", `"tags":["z"]`, ""},
		{`"id":"1","kind":"KIND_SMALL"`, "kind", `"kind":"KIND_SMALL"`, ""},
		{`"id":"1","name":"all","done":true,"kind":"KIND_SMALL","owner":"me"`, "*", `{"id":"1","name":"all","done":true,"kind":"KIND_SMALL","owner":"me"}`, `"day"`},
	} {
		in := `{"row":{` + c.row + `}}`
		if c.mask != "" {
			in = `{"row":{` + c.row + `},"update_mask":"` + c.mask + `"}`
		}
		out := w.ask("UpdateThings", in, asked{})
		if !strings.Contains(out, c.has) || c.hasNot != "" && strings.Contains(out, c.hasNot) {
			t.Errorf("%s answers %s, want %s and not %s", in, out, c.has, c.hasNot)
		}
		if again := w.ask("GetThings", `{"id":"1"}`, asked{}); again != out {
			t.Errorf("%s answers\n%s, and the row is\n%s", in, out, again)
		}
	}
	if out := w.ask("DeleteThings", `{"id":"1"}`, asked{}); out != "{}" {
		t.Errorf("a delete answers %s", out)
	}
	w.fails("GetThings", `{"id":"1"}`, asked{}, connect.CodeNotFound, "not_found", "")
}

// What a policy masks is absent; who may write and not read is told the key alone,
// and that only where he may read it.
func TestMaskedAndUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ask("CreateThings", `{"row":{"id":"1","name":"n","cost":"5.00","secret":"s"}}`, asked{})
	for key, want := range map[string]bool{"service": true, "staff": true, "user": false} {
		out := w.ask("GetThings", `{"id":"1"}`, asked{key: key})
		if strings.Contains(out, `"cost":"5.00"`) != want || strings.Contains(out, "secret") {
			t.Errorf("%s reads %s", key, out)
		}
	}
	if out := w.ask("CreateDrops", `{"row":{"id":"1","text":"t"}}`, asked{key: "user"}); out != "{}" {
		t.Errorf("who may not read is told %s", out)
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.things(3)
	const changes = `{"changes":[{"create":{"row":{"id":"9","name":"nine"}}},{"update":{"row":{"id":"1","name":"one"}}},{"delete":{"id":"2"}}]}`
	want := `{"rows":[{"id":"9","name":"nine","done":false,"kind":"KIND_SMALL","owner":"nobody"},` +
		`{"id":"1","name":"one","price":"1.50","done":false,"kind":"KIND_SMALL","tags":["t1","all"],"owner":"nobody"},{}]}`
	if out := w.ask("BatchThings", changes, asked{}); out != want {
		t.Errorf("a batch answers\n%s\nwant\n%s", out, want)
	}
	w.fails("BatchThings", `{"changes":[{"delete":{"id":"3"}},{"delete":{"id":"99"}}]}`, asked{}, connect.CodeNotFound, "not_found", "")
	w.fails("BatchThings", `{"changes":[{}]}`, asked{}, connect.CodeInvalidArgument, "invalid_input", "")
	if out := ids(w.ask("BatchGetThings", `{"keys":["9","1","3","1"],"read_mask":"id"}`, asked{})); out != "9 1 3 1" {
		t.Errorf("rows by their keys come as %s", out)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const all = `{"n":"9007199254740993","d":"1.50","t":"x","at":"2026-01-02T03:04:05Z","j":"{\"a\":[1]}","kind":"KIND_Y","list":["1","2"],"lines":[{"q":"1"},{"q":"2","sub":{"a":"b"}}]}`
	for name, opts := range protocols() {
		if out := w.ask("Echo", all, asked{key: "anon", options: opts}); out != all {
			t.Errorf("%s: echo says\n%s\nwant\n%s", name, out, all)
		}
	}
	const row = `{"id":"7","name":"seven","done":true,"kind":"KIND_SMALL","owner":"o"}`
	for _, c := range []struct{ method, in, want string }{
		{"Echo", `{}`, `{}`},
		{"Sum", `{"n":"3"}`, `{"rows":[{"n":"1"},{"n":"2"}]}`},
		{"Thing", `{"id":"7"}`, row},
		{"All", `{}`, `{"rows":[` + row + `,` + row + `]}`},
		{"Quiet", `{}`, `{}`},
	} {
		if out := w.ask(c.method, c.in, asked{}); out != c.want {
			t.Errorf("%s %s answers %s, want %s", c.method, c.in, out, c.want)
		}
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := func(key string) asked { return asked{header: http.Header{"Idempotency-Key": {key}}} }
	for i, want := range []string{"", "true"} {
		out, res, err := w.call("CreateThings", `{"row":{"id":"1","name":"n"}}`, a("one"))
		if err != nil || !strings.Contains(out, `"name":"n"`) || res.Header().Get("Idempotency-Replayed") != want {
			t.Errorf("call %d: %s %v", i, out, err)
		}
		if _, _, err = w.call("Quiet", `{}`, a("two")); err != nil || w.runs != 1 {
			t.Errorf("call %d has run the operation %d times, %v", i, w.runs, err)
		}
	}
	w.fails("CreateThings", `{"row":{"id":"2","name":"o"}}`, a("one"), connect.CodeInvalidArgument, "idempotency_mismatch", "")
}

// A stream has no row limit, and goes on where a page ends.
func TestStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rows = 5000
	w.things(rows)
	for name, opts := range protocols() {
		if name == "connect-get" {
			continue // it is for unary methods
		}
		m := w.method("StreamThings")
		a := asked{key: "user", options: opts}
		req := request(t, m, &a, `{"filter":{"id":{"gt":"10"}},"order_by":"id desc"}`)
		stream, err := w.client(m, &a).CallServerStream(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		next := int64(rows)
		id := m.Output().Fields().ByName("id")
		for stream.Receive() {
			if got := stream.Msg().Get(id).Int(); got != next {
				t.Fatalf("%s: row %d comes where %d should", name, got, next)
			}
			next--
		}
		if err := stream.Err(); err != nil || next != 10 {
			t.Errorf("%s: the stream ends at %d with %v", name, next, err)
		}
		_ = stream.Close()
	}
	m := w.method("StreamThings")
	a := asked{key: "user"}
	stream, err := w.client(m, &a).CallServerStream(t.Context(), request(t, m, &a, `{"filter":{"cost":{"eq":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeInvalidArgument {
		t.Errorf("a stream of what may not be known ends with %v", stream.Err())
	}
}

// The client's deadline is the statement's: the server gives up, and says so itself.
func TestDeadlineReachesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.things(3000)
	// A regular expression without an index over every row, many times over.
	filter := strings.TrimSuffix(strings.Repeat(`{"name":{"imatch":"(t|h|i|n|g| )*x"}},`, 150), ",")
	code, body := w.post("ShopService/ListThings", "application/json", `{"filter":{"or":[`+filter+`]},"count":true}`, http.Header{"Connect-Timeout-Ms": {"40"}})
	if code != http.StatusGatewayTimeout || !strings.Contains(body, `"code":"deadline_exceeded"`) || !strings.Contains(body, "57014") {
		t.Errorf("past its deadline the call ends with %d %s", code, body)
	}
}

// post sends a request of Connect as it is.
func (w *world) post(path, contentType, body string, header http.Header) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/pando.app.shop.v1."+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Path = strings.ReplaceAll(req.URL.Path, "pando.app.shop.v1.../", "")
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Apikey", "user")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// What is no message is a fault of the client, whatever it is, and the server goes
// on.
func TestBadWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		path, contentType, body string
		status                  int
		has                     string
	}{
		"no such method":   {"ShopService/GetNothing", "application/json", "{}", 501, "PGRST202"},
		"no such version":  {"../pando.app.shop.v9.ShopService/GetThings", "application/json", "{}", 501, "the versions are v1"},
		"no protobuf":      {"ShopService/GetThings", "application/proto", "\xff\xff", 400, "PGRST102"},
		"another type":     {"ShopService/GetThings", "application/proto", "\x0a\x00", 400, "it is of another type"},
		"no JSON":          {"ShopService/GetThings", "application/json", "{", 400, "PGRST102"},
		"an unknown field": {"ShopService/GetThings", "application/json", `{"idd":"1"}`, 400, "idd"},
		"not UTF-8":        {"ShopService/Echo", "application/proto", "\x1a\x01\xff", 400, "22021"},
		"no enum":          {"ShopService/Echo", "application/proto", "\x30\x63", 400, "22P02"},
		"too large":        {"ShopService/Echo", "application/json", `{"t":"` + strings.Repeat("x", 70<<10) + `"}`, 429, "resource_exhausted"},
	} {
		status, body := w.post(c.path, c.contentType, c.body, nil)
		if status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s: %d %s, want %d and %s", name, status, body, c.status, c.has)
		}
	}
}
