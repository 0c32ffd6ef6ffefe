package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Plan says what to measure. Times are in seconds.
type Plan struct {
	Baseline  Target   `json:"baseline"` // measured anew right before each run of a target
	Targets   []Target `json:"targets"`
	Clients   int      `json:"clients"`  // keep-alive connections; default 32
	Duration  float64  `json:"duration"` // of a run; default 3
	BaseTime  float64  `json:"base"`     // of a baseline's run; default 1.5
	Warm      float64  `json:"warm"`     // before a run, not measured; default 0.5
	SampleDir string   `json:"samples"`  // where each target's first answer is kept; empty keeps none
}

// Target is one request, sent again and again. Path, Body and BodyItem may hold
// {n} (a counter), {rand} (0 to 999) and {c0}, {c1}... (columns of one random
// line of Rows).
type Target struct {
	Name    string            `json:"name"`
	Addr    string            `json:"addr"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	// BodyItem, BodyCount times and joined by commas, stands between BodyPre and BodyPost.
	BodyPre   string `json:"body_pre"`
	BodyItem  string `json:"body_item"`
	BodyPost  string `json:"body_post"`
	BodyCount int    `json:"body_count"`
	Rows      string `json:"rows"`   // a file of lines with tab-separated columns
	Expect    int    `json:"expect"` // HTTP status of every answer; default 200
	Check     string `json:"check"`  // what the first answer's body must hold
	PID       int    `json:"pid"`    // the server
	Tree      int    `json:"tree"`   // a database whose processes work for it; 0: none
	Clients   int    `json:"clients"`
	Unit      int    `json:"unit"` // things done by one request; default 1
	// Same names a question that several targets ask, each in its own words: before
	// anything is measured they have to answer it alike. Names says how a target
	// calls what others call otherwise, and what to leave away ("").
	Same  string            `json:"same"`
	Names map[string]string `json:"names"`
	// Protocol is HTTP/1.1, or "grpc": unary calls over HTTP/2 in the clear, a
	// message from Body, the clients spread over four connections.
	Protocol string `json:"protocol"`

	names      []string // of Headers
	head, body []segment
	rows       [][][]byte
}

// segment is a literal, followed by a generated value unless kind is 0.
type segment struct {
	literal []byte
	kind    byte // 'n' counter, 'r' random below 1000, 'c' column
	column  int
}

func readPlan(path string) (*Plan, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	p := &Plan{Clients: 32, Duration: 3, BaseTime: 1.5, Warm: 0.5}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := p.Baseline.prepare(p.Clients); err != nil {
		return nil, err
	}
	for i := range p.Targets {
		if err := p.Targets[i].prepare(p.Clients); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Targets[i].Name, err)
		}
	}
	return p, nil
}

func (t *Target) prepare(clients int) error {
	t.Method = defaulted(t.Method, "GET")
	t.Expect = defaulted(t.Expect, 200)
	t.Unit = defaulted(t.Unit, 1)
	t.Clients = defaulted(t.Clients, clients)
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", t.Method, t.Path, t.Addr)
	t.names = slices.Sorted(maps.Keys(t.Headers))
	for _, name := range t.names {
		fmt.Fprintf(&head, "%s: %s\r\n", name, t.Headers[name])
	}
	if t.Protocol != "" && t.Protocol != "grpc" {
		return fmt.Errorf("there is no protocol %s", t.Protocol)
	}
	t.head = compile(head.String())
	if t.BodyCount > 0 {
		items := slices.Repeat([]string{t.BodyItem}, t.BodyCount)
		t.Body = t.BodyPre + strings.Join(items, ",") + t.BodyPost
	}
	if t.Body != "" {
		t.body = compile(t.Body)
	}
	if t.Rows == "" {
		return nil
	}
	data, err := os.ReadFile(t.Rows)
	if err != nil {
		return err
	}
	for line := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n")) {
		t.rows = append(t.rows, bytes.Split(line, []byte("\t")))
	}
	return nil
}

func defaulted[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// compile splits a template at its placeholders. Other braces are literal.
func compile(s string) []segment {
	var out []segment
	literal := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '{' {
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			break
		}
		seg := segment{literal: []byte(s[literal:i])}
		switch token := s[i+1 : i+end]; {
		case token == "n":
			seg.kind = 'n'
		case token == "rand":
			seg.kind = 'r'
		case len(token) == 2 && token[0] == 'c' && token[1] >= '0' && token[1] <= '9':
			seg.kind, seg.column = 'c', int(token[1]-'0')
		default:
			continue
		}
		out = append(out, seg)
		i += end
		literal = i + 1
	}
	return append(out, segment{literal: []byte(s[literal:])})
}

// maker writes requests. Its counter begins at the clock, so that bodies of
// different runs differ.
type maker struct {
	t       *Target
	counter uint64
	rand    *rand.Rand
	scratch []byte
}

// newMaker with the same seed makes requests with the same rows and numbers.
func newMaker(t *Target, seed uint64) *maker {
	return &maker{t: t, counter: uint64(time.Now().UnixMicro()), rand: rand.New(rand.NewPCG(seed, 0))}
}

func (m *maker) row() [][]byte {
	if len(m.t.rows) == 0 {
		return nil
	}
	return m.t.rows[m.rand.IntN(len(m.t.rows))]
}

// request replaces dst by the next request.
func (m *maker) request(dst []byte) []byte {
	row := m.row()
	dst = m.fill(dst[:0], m.t.head, row)
	if m.t.body == nil {
		return append(dst, "\r\n"...)
	}
	m.scratch = m.fill(m.scratch[:0], m.t.body, row)
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(m.scratch)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, m.scratch...)
}

func (m *maker) fill(dst []byte, segs []segment, row [][]byte) []byte {
	for i := range segs {
		dst = append(dst, segs[i].literal...)
		switch segs[i].kind {
		case 'n':
			m.counter++
			dst = strconv.AppendUint(dst, m.counter, 10)
		case 'r':
			dst = strconv.AppendInt(dst, int64(m.rand.IntN(1000)), 10)
		case 'c':
			dst = append(dst, row[segs[i].column]...)
		}
	}
	return dst
}
