package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// answer is a whole HTTP/1.1 response within the bytes read so far.
type answer struct {
	total   int // its length; 0 while it is not whole
	status  int
	body    int // where the body begins
	length  int // the body's, without chunk headers
	closing bool
}

// parse looks for one whole response at the beginning of b.
func parse(b []byte) (answer, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return answer{}, nil
	}
	if end < 12 {
		return answer{}, fmt.Errorf("no status line in %q", b[:end])
	}
	a := answer{status: int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0'), body: end + 4, length: -1}
	chunked := false
	for line := range bytes.SplitSeq(b[:end], []byte("\r\n")) {
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		switch name, v := line[:colon], bytes.TrimSpace(line[colon+1:]); {
		case bytes.EqualFold(name, []byte("content-length")):
			a.length, _ = strconv.Atoi(string(v))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("connection")):
			a.closing = bytes.EqualFold(v, []byte("close"))
		}
	}
	switch {
	case chunked:
		return a.chunks(b)
	case a.length >= 0:
	case a.status == 204 || a.status == 304:
		a.length = 0
	default:
		return a, fmt.Errorf("no length in %q", b[:end])
	}
	if len(b) >= a.body+a.length {
		a.total = a.body + a.length
	}
	return a, nil
}

// chunks finds the end of a chunked body (RFC 9112, section 7.1), without trailers.
func (a answer) chunks(b []byte) (answer, error) {
	at, length := a.body, 0
	for {
		eol := bytes.Index(b[at:], []byte("\r\n"))
		if eol < 0 {
			return a, nil
		}
		hex, _, _ := bytes.Cut(b[at:at+eol], []byte(";"))
		size, err := strconv.ParseUint(string(hex), 16, 31)
		if err != nil {
			return a, fmt.Errorf("chunk size: %w", err)
		}
		at += eol + 2 + int(size) + 2
		if len(b) < at {
			return a, nil
		}
		length += int(size)
		if size == 0 {
			a.total, a.length = at, length
			return a, nil
		}
	}
}
