package authn

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// FuzzObject reads any text as a body: it is an object whose members every
// reader understands alike, or a fault that shows nothing of it.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"email":"a@example.com","data":{"a":[1,{"b":null}]}}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":[{"b":1,"b":2}]}`,
		`[{"a":1}]`, `null`, ` {"a" : null } `, `{"a":"\ud800"}`, `{"a":1e999}`, `{"a":1e350}`, "{\"\xff\":1}", `{"a":{}}{`, `{"":{"":""}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseObject(text)
		if err != nil {
			if !fault.Is(err, fault.AuthBadJSON) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		var plain map[string]any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber() // 1e350 is a number of JSON and none of Go's
		if err := dec.Decode(&plain); err != nil || len(plain) != len(got.members) {
			t.Fatalf("%q has %d members, not %d: %v", text, len(got.members), len(plain), err)
		}
		// Written again by a reader that keeps the last of equal names, nothing is lost.
		again, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if n, m := strings.Count(text, ":"), strings.Count(string(again), ":"); !strings.Contains(text, `\`) && n != m {
			t.Errorf("%q lost a member: %s", text, again)
		}
		for name := range got.members {
			got.text(name)
			got.flag(name)
			got.object(name)
		}
		if got.err != nil && !fault.Is(got.err, fault.AuthValidation) {
			t.Errorf("%q: %v", text, got.err)
		}
	})
}
