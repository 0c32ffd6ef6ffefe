package rpc

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

const fuzzModule = `
module: m
entities:
  rows:
    fields:
      id:    { type: int, primary: true }
      text:  { type: text, optional: true }
      price: { type: decimal, scale: 2, optional: true }
      rate:  { type: float, optional: true }
      done:  { type: bool, optional: true }
      kind:  { type: enum, values: [a, b], optional: true }
      at:    { type: timestamp, optional: true }
      meta:  { type: json, optional: true }
      raw:   { type: bytes, optional: true }
      tags:  { type: text, list: true, optional: true }
      sizes: { type: int, list: true, optional: true }
operations:
  run: { run: go, input: { lines: { list: true, fields: { q: int, j: { type: json, optional: true } }, optional: true }, at: { type: timestamp, optional: true } } }
`

// FuzzMessage holds the reading of messages against any bytes: nothing panics, a
// refusal is the client's fault, and what is understood is what the protobuf
// library understands, and comes out as JSON.
func FuzzMessage(f *testing.F) {
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: m\n")}, "modules/m.yaml": {Data: []byte(fuzzModule)}}, nil, model.Features{})
	if problems != nil {
		f.Fatal(problems)
	}
	s := newSchema(app.View("v1"))
	const service = "/pando.app.m.v1.MService/"
	methods := []string{"CreateRows", "ListRows", "Run", "BatchRows"}
	for i, seed := range [][]byte{
		{},
		{0x0a, 0x02, 0x08, 0x01},
		{0x0a, 0x06, 0x5a, 0x04, 0x08, 0x01, 0x10, 0x02},
		{0x0a, 0x02, 0x08, 0x05},
		{0xff, 0xff},
		{0x0a, 0x03, 0x5a, 0x01, 0x01},
		{0x0a, 0x08, 0x3a, 0x06, 0x08, 0x80, 0x80, 0x80, 0x80, 0x08},
		{0x12, 0x04, 0x08, 0x01, 0x10, 0x01},
	} {
		f.Add(byte(i), seed)
	}
	f.Fuzz(func(t *testing.T, which byte, wire []byte) {
		m := s.methods[service+methods[int(which)%len(methods)]]
		g, err := m.in.read(wire)
		if err != nil {
			clientsFault(t, err)
			return
		}
		canonical, err := g.appendWire(nil)
		if err != nil {
			clientsFault(t, err)
			return
		}
		out, err := g.appendJSON(nil)
		switch {
		case err != nil:
			clientsFault(t, err)
		case !json.Valid(out):
			t.Fatalf("%x is read as %s", wire, out)
		}
		again, err := m.in.read(canonical)
		if err != nil {
			t.Fatalf("%x is written as %x, which is not read: %v", wire, canonical, err)
		}
		if twice, err := again.appendWire(nil); err != nil || !bytes.Equal(twice, canonical) {
			t.Fatalf("%x is written as %x and then as %x, %v", wire, canonical, twice, err)
		}
		desc, err := s.descriptor(m.in)
		if err != nil {
			t.Fatal(err)
		}
		theirs := dynamicpb.NewMessage(desc)
		if err := proto.Unmarshal(canonical, theirs); err != nil {
			if _, jsonErr := g.appendJSON(nil); jsonErr == nil {
				t.Fatalf("%x is understood, and not by the library: %v", wire, err)
			}
		}
		if m.entity != nil && m.in.byName(nameFilter) != nil {
			c := &call{door: &Door{limits: model.Limits{Filters: 50}}, schema: s, method: m}
			if filter, err := g.message(nameFilter); err == nil && filter != nil {
				where, err := (&filtering{call: c, left: 50}).all(filter, 0)
				if err != nil {
					clientsFault(t, err)
				} else if where != nil {
					query.Literals(where, nil)
				}
			}
		}
	})
}

// clientsFault fails for an error that would be taken for the server's.
func clientsFault(t *testing.T, err error) {
	t.Helper()
	if f := fault.From(err); f.HTTPStatus() >= 500 {
		t.Fatalf("the fault is the server's: %v (%v)", f, f.Cause)
	}
}

// FuzzRow holds the writing of rows against any JSON: nothing panics, and what is
// written is a message that the library reads.
func FuzzRow(f *testing.F) {
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: m\n")}, "modules/m.yaml": {Data: []byte(fuzzModule)}}, nil, model.Features{})
	if problems != nil {
		f.Fatal(problems)
	}
	s := newSchema(app.View("v1"))
	m := s.methods["/pando.app.m.v1.MService/GetRows"]
	for _, seed := range []string{
		`{"id":1,"text":"a\"b\\","price":1.50,"rate":1.5,"done":true,"kind":"b","at":"2026-01-02T03:04:05.6+00:00","meta":{"a":[1,{"b":"]"}]},"raw":"\\x00ff","tags":["a","b,"],"sizes":[1,-2]}`,
		`{ "id" : 1 , "tags" : [ ] , "other" : null }`, `{}`, `{"id":`, `{"tags":["`, `[`, `{"raw":"x"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, row string) {
		out, err := m.out.appendObject(nil, &text{b: []byte(row)})
		if err != nil || !json.Valid([]byte(row)) {
			return // the engine writes no such rows
		}
		desc, err := s.descriptor(m.out)
		if err != nil {
			t.Fatal(err)
		}
		if err := (proto.UnmarshalOptions{}).Unmarshal(out, dynamicpb.NewMessage(desc)); err != nil && !bytes.ContainsRune([]byte(row), '\ufffd') {
			t.Fatalf("%s is written as %x: %v", row, out, err)
		}
	})
}
