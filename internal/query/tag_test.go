package query

import "testing"

func TestTag(t *testing.T) {
	// xxHash64 with seed 0 of the empty input, from the specification.
	if got := Tag(nil); got != "ef46db3751d8e999" {
		t.Errorf("Tag(nil) = %q", got)
	}
	a, b := Tag([]byte(`[{"id":1}]`)), Tag([]byte(`[{"id":2}]`))
	if a == b {
		t.Errorf("two bodies have the tag %q", a)
	}
	if len(a) != 16 {
		t.Errorf("Tag has %d digits: %q", len(a), a)
	}
}
