package main

import (
	"strings"
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
	m := &maker{t: target, counter: 8}
	want := "POST /x?id=eq.one&f={other} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nA: 1\r\nB: 2\r\nContent-Length: 18\r\n\r\n" + `[{"a":9},{"a":10}]`
	if got := string(m.request(nil)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if again := string(m.request([]byte("old"))); !strings.HasSuffix(again, `[{"a":11},{"a":12}]`) {
		t.Errorf("the second request is %q", again)
	}
}
