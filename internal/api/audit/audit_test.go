package audit_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	door "github.com/pandobase/pando/internal/api/audit"
	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

// callers are who may be named by the header As.
func callers(r *http.Request) (policy.Identity, error) {
	req := &policy.Request{Door: "audit", IP: "203.0.113.1", ID: "r1"}
	switch r.Header.Get("As") {
	case "service":
		return policy.Identity{Role: policy.Service, Key: "key_1", Request: req}, nil
	case "bounded":
		return policy.Identity{Role: policy.Service, Key: "key_2", Modules: []string{"shop"}, Request: req}, nil
	case "auditor":
		return policy.Identity{Role: policy.Authenticated, UID: "ann", Roles: []string{"auditor"}, Request: req}, nil
	case "user":
		return policy.Identity{Role: policy.Authenticated, UID: "bob", Roles: []string{"admin", "auditors"}, Request: req}, nil
	case "anon":
		return policy.Identity{Role: policy.Anon, Roles: []string{"auditor"}, Key: "key_pub", Request: req}, nil
	}
	return policy.Identity{}, fault.New(fault.InvalidCredential, "the API key is not valid")
}

func serve(t *testing.T) (*audit.Log, func(method, path, as string, header ...string) *httptest.ResponseRecorder) {
	t.Helper()
	dir := t.TempDir()
	driver := teststore.Open(t)
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(t.Context(), audit.Config{Driver: driver, Wrapper: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	for _, uid := range []string{"ann", "bob", "cid"} {
		r := audit.Record{Role: "authenticated", UID: uid, Action: "create", Entity: "shop.orders", Keys: []string{uid + "1"}, IP: "198.51.100.7"}
		if err := l.Write(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
	}
	h := door.New(door.Config{Log: l, Authenticate: callers})
	return l, func(method, path, as string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.Header.Set("As", as)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		res := httptest.NewRecorder()
		h.ServeHTTP(res, r)
		return res
	}
}

func last(t *testing.T, l *audit.Log) *audit.Record {
	t.Helper()
	page, err := l.Search(t.Context(), audit.Query{Limit: 1})
	if err != nil || len(page.Records) == 0 {
		t.Fatal(page, err)
	}
	return page.Records[0]
}

// TestWhoMayRead: service callers and auditors; everybody else's try is on
// record, or counted where nobody knows who it was.
func TestWhoMayRead(t *testing.T) {
	l, get := serve(t)
	for _, path := range []string{"/audit/v1/records", "/audit/v1/records/1", "/audit/v1/checkpoint"} {
		for as, want := range map[string]int{"service": 200, "auditor": 200, "user": 403, "bounded": 403, "anon": 401, "": 401} {
			before := last(t, l).ID
			res := get("GET", path, as)
			if res.Code != want {
				t.Errorf("%s as %q: %d %s", path, as, res.Code, res.Body)
			}
			rec := last(t, l)
			switch want {
			case 200:
				if rec.ID != before+1 || rec.Outcome != audit.Allowed || rec.Door != "audit" || rec.Service != (as == "service") || rec.IP != "203.0.113.1" {
					t.Errorf("%s as %q left %+v", path, as, rec)
				}
			case 403:
				if rec.ID != before+1 || rec.Outcome != audit.Denied || rec.Rule == "" {
					t.Errorf("%s as %q left %+v", path, as, rec)
				}
				if strings.Contains(res.Body.String(), "198.51.100.7") {
					t.Error("a refusal tells records")
				}
			default:
				if rec.ID != before {
					t.Errorf("%s as %q left %+v", path, as, rec)
				}
			}
		}
	}
}

func TestRecords(t *testing.T) {
	_, get := serve(t)
	res := get("GET", "/audit/v1/records?entity=shop.orders&limit=2", "service")
	var page audit.Page
	if err := json.Unmarshal(res.Body.Bytes(), &page); err != nil || res.Header().Get("Content-Type") != "application/json" {
		t.Fatal(err, res.Header())
	}
	if len(page.Records) != 2 || page.Records[0].UID != "cid" || page.Records[0].IP != "198.51.100.7" || page.Next != 2 {
		t.Errorf("%s", res.Body)
	}
	res = get("GET", "/audit/v1/records?entity=shop.orders&limit=2&before=2", "service")
	page = audit.Page{}
	if err := json.Unmarshal(res.Body.Bytes(), &page); err != nil || len(page.Records) != 1 || page.Next != 0 {
		t.Errorf("%s, %v", res.Body, err)
	}
	res = get("GET", "/audit/v1/records/2", "auditor")
	var rec audit.Record
	if err := json.Unmarshal(res.Body.Bytes(), &rec); err != nil || rec.UID != "bob" {
		t.Errorf("%s, %v", res.Body, err)
	}
	res = get("GET", "/audit/v1/records?entity=shop.orders", "service", "Accept", "application/x-ndjson")
	if lines := strings.Count(res.Body.String(), "\n"); lines != 3 || res.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%s", res.Body)
	}
	res = get("GET", "/audit/v1/records?entity=shop.orders", "service", "Accept", "text/html, application/json;q=0.5, application/cloudevents-batch+json")
	var events []audit.Event
	if err := json.Unmarshal(res.Body.Bytes(), &events); err != nil || len(events) != 3 || events[0].Source != "/audit/v1" {
		t.Errorf("%s, %v", res.Body, err)
	}
	if res := get("HEAD", "/audit/v1/records", "service"); res.Code != 200 || res.Body.Len() != 0 {
		t.Errorf("HEAD: %d %s", res.Code, res.Body)
	}
}

func TestCheckpoint(t *testing.T) {
	l, get := serve(t)
	res := get("GET", "/audit/v1/checkpoint", "auditor")
	anchors, err := audit.ReadAnchors(res.Body)
	if err != nil || len(anchors) != 1 {
		t.Fatal(anchors, err)
	}
	if rep, err := l.Verify(t.Context(), anchors); err != nil || !rep.OK || rep.Anchors != 1 || anchors[0].Record != 4 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestBadRequests(t *testing.T) {
	_, get := serve(t)
	for _, tt := range []struct {
		method, path, accept string
		want                 int
	}{
		{"POST", "/audit/v1/records", "", 405},
		{"DELETE", "/audit/v1/records/1", "", 405},
		{"GET", "/audit/v1", "", 404},
		{"GET", "/audit/v1/", "", 404},
		{"GET", "/audit/v1/recordsx", "", 404},
		{"GET", "/audit/v1/records/99", "", 404},
		{"GET", "/audit/v1/records/x", "", 400},
		{"GET", "/audit/v1/records/1?x=1", "", 400},
		{"GET", "/audit/v1/records?colour=red", "", 400},
		{"GET", "/audit/v1/records?limit=1001", "", 400},
		{"GET", "/audit/v1/records?limit=0", "", 400},
		{"GET", "/audit/v1/records?limit=99999999999999999999", "", 400},
		{"GET", "/audit/v1/records?before=-1", "", 400},
		{"GET", "/audit/v1/records?from=yesterday", "", 400},
		{"GET", "/audit/v1/records?actor=a&actor=b", "", 400},
		{"GET", "/audit/v1/records?outcome=maybe", "", 400},
		{"GET", "/audit/v1/records?key=1", "", 400},
		{"GET", "/audit/v1/records?%zz", "", 400},
		{"GET", "/audit/v1/records?limit=5", "application/x-ndjson", 400},
		{"GET", "/audit/v1/records", "text/html", 406},
		{"GET", "/audit/v1/checkpoint?x=1", "", 400},
	} {
		var header []string
		if tt.accept != "" {
			header = []string{"Accept", tt.accept}
		}
		res := get(tt.method, tt.path, "service", header...)
		if res.Code != tt.want || res.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, res.Code, res.Body)
		}
	}
}
