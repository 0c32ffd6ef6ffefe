package value

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestNewUUID(t *testing.T) {
	t.Parallel()
	// RFC 9562, A.6: 2022-02-22T19:22:22Z; rand_a is the millisecond's fraction here.
	at := time.UnixMilli(0x017F22E279B0)
	got := NewUUID(at, bytes.NewReader([]byte{0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F}))
	if want := "017f22e2-79b0-7000-98c4-dc0c0c07398f"; got != want {
		t.Errorf("NewUUID = %s, want %s", got, want)
	}
	got = NewUUID(at.Add(999_999), bytes.NewReader(bytes.Repeat([]byte{0xFF}, 8)))
	if want := "017f22e2-79b0-7fff-bfff-ffffffffffff"; got != want {
		t.Errorf("NewUUID = %s, want %s", got, want)
	}
	before := ""
	for i := range 5000 {
		id := NewUUID(at.Add(time.Duration(i)*245), rand.Reader) // just over a step of 1/4096 ms
		if id <= before {
			t.Fatalf("%s follows %s", id, before)
		}
		before = id
		parsed, err := uuid.Parse(id)
		if err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 || parsed.String() != id {
			t.Fatalf("%s: %v", id, err)
		}
		if v, err := (Type{Kind: UUID}).FromText(id); err != nil || v != OfText(id) {
			t.Fatalf("%s is not canonical: %v, %v", id, v, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic without random bytes")
		}
	}()
	NewUUID(at, bytes.NewReader([]byte{1, 2, 3}))
}

func TestNextUUIDCountsUp(t *testing.T) {
	last := NewUUID(time.Now(), rand.Reader)
	for range 1000 {
		next := NextUUID(last, rand.Reader)
		if next == "" { // the last group began near its end: improbable, and allowed
			return
		}
		if _, err := (Type{Kind: UUID}).FromText(next); err != nil || next <= last || next[:24] != last[:24] {
			t.Fatalf("%s after %s: %v", next, last, err)
		}
		last = next
	}
}

func TestNextUUIDEnds(t *testing.T) {
	for prev, want := range map[string]string{
		"":                                     "",
		"0198f1c2-0000-7000-8000-ffffffffffff": "",
		"0198f1c2-0000-7000-8000-fffffffffffe": "0198f1c2-0000-7000-8000-ffffffffffff",
	} {
		if got := NextUUID(prev, bytes.NewReader(make([]byte, 3))); got != want {
			t.Errorf("after %q: %q, want %q", prev, got, want)
		}
	}
}
