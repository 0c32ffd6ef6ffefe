package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     answer
		fails    bool
	}{
		{name: "head not whole", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"},
		{name: "body not whole", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", want: answer{status: 200, body: 38, length: 2}},
		{name: "whole", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", want: answer{status: 200, body: 38, length: 2, total: 40}},
		{name: "closing", in: "HTTP/1.1 201 Created\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n", want: answer{status: 201, body: 62, total: 62, closing: true}},
		{name: "no content", in: "HTTP/1.1 204 No Content\r\n\r\n", want: answer{status: 204, body: 27, total: 27}},
		{name: "chunks", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", want: answer{status: 200, body: 47, length: 13, total: 79}},
		{name: "chunks not whole", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", want: answer{status: 200, body: 47, length: -1}},
		{name: "bad chunk size", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", fails: true},
		{name: "no length", in: "HTTP/1.1 200 OK\r\n\r\nabc", fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse([]byte(tc.in))
			if (err != nil) != tc.fails {
				t.Fatalf("error %v, want one: %v", err, tc.fails)
			}
			if !tc.fails && got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	target := &Target{
		Addr: "127.0.0.1:1", Method: "POST", Path: "/x?id=eq.{c1}&f={other}", Headers: map[string]string{"B": "2", "A": "1"},
		BodyPre: "[", BodyItem: `{"a":{n}}`, BodyPost: "]", BodyCount: 2,
	}
	if err := target.prepare(32); err != nil {
		t.Fatal(err)
	}
	target.rows = [][][]byte{{[]byte("zero"), []byte("one")}}
	m := newMaker(target, 1)
	m.counter = 8
	want := "POST /x?id=eq.one&f={other} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nA: 1\r\nB: 2\r\nContent-Length: 18\r\n\r\n" + `[{"a":9},{"a":10}]`
	if got := string(m.request(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if again := string(m.request([]byte("old"))); !strings.HasSuffix(again, `[{"a":11},{"a":12}]`) {
		t.Errorf("the second request is %q", again)
	}
}

// TestNormal: the doors' answers are the same rows, and other rows are not.
func TestNormal(t *testing.T) {
	names := map[string]string{"rowId": "id", "ownerId": "owner_id", "notesByTaskId": "notes", "nodeId": ""}
	want, err := normal([]byte(`[{"id": "a", "priority": 7, "owner_id": null, "at": "2026-01-02T03:04:05.678+00:00", "notes": [{"id": "b"}]}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		body string
		same bool
	}{
		{`{"data": {"tasks": {"nodes": [{"id": "a", "priority": "7", "owner_id": null, "at": "2026-01-02T03:04:05.678Z", "notes": {"nodes": [{"id": "b"}]}}]}}}`, true},
		{`{"data": {"tasks": {"nodes": [{"nodeId": "x", "rowId": "a", "priority": "7", "ownerId": null, "at": "2026-01-02T04:04:05.678+01:00", "notesByTaskId": {"nodes": [{"rowId": "b"}]}}]}}}`, true},
		{`{"data": {"tasks": {"nodes": [{"id": "a", "priority": "8", "owner_id": null, "at": "2026-01-02T03:04:05.678Z", "notes": {"nodes": [{"id": "b"}]}}]}}}`, false},
		{`{"data": {"tasks": {"nodes": [{"id": "a", "priority": "7", "owner_id": null, "at": "2026-01-02T03:04:05.678Z", "notes": {"nodes": []}}]}}}`, false},
	} {
		got, err := normal([]byte(tc.body), names)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(got, want) != tc.same {
			t.Errorf("%s\n%v, beside %v", tc.body, got, want)
		}
	}
	for _, body := range []string{`[]`, `{"data": {"task": null}}`, `{"data": {"tasks": {"nodes": []}}}`, `{"data": null, "errors": [{"message": "no"}]}`} {
		if got, err := normal([]byte(body), names); err == nil {
			t.Errorf("%s is %v", body, got)
		}
	}
}

// TestCalls drives a server of net/http, which is no gRPC library but speaks as one.
func TestCalls(t *testing.T) {
	var asked atomic.Int64
	status := "0"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "\x00\x00\x00\x00\x03abc" || r.Header.Get("Apikey") != "k" || r.Header.Get("Content-Type") != "application/grpc+proto" || r.URL.Path != "/x/Get" {
			t.Errorf("asked %s %q %v", r.URL, body, r.Header)
		}
		asked.Add(1)
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write(append([]byte{0, 0, 0, 1, 0}, bytes.Repeat([]byte("x"), 256)...))
		w.Header().Set("Grpc-Status", status)
	}))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	target := &Target{Name: "x", Addr: server.Listener.Addr().String(), Path: "/x/Get", Protocol: "grpc", Headers: map[string]string{"Apikey": "k"}, Body: "abc", Check: "xxx"}
	if err := target.prepare(6); err != nil {
		t.Fatal(err)
	}
	got, err := run(target, 0.05, 0.2, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Answers == 0 || int64(got.Answers) > asked.Load() || got.Bad != 0 || got.Body != 261 {
		t.Errorf("%+v of %d", got, asked.Load())
	}
	target.Check = "y"
	if got, err := run(target, 0.05, 0.2, ""); err == nil {
		t.Errorf("%+v of answers that are wrong", got)
	}
	target.Check, status = "xxx", "13"
	if got, err := run(target, 0.05, 0.2, ""); err == nil {
		t.Errorf("%+v of calls that fail", got)
	}
}
