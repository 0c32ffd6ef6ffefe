package value

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

func BenchmarkAppendQuoted(b *testing.B) {
	for name, s := range map[string]string{
		"plain":   strings.Repeat("plain text ", 8),
		"unicode": strings.Repeat("größer als ", 8),
		"escapes": strings.Repeat("line\n\"q\" \\ ", 8),
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 512)
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendQuoted(buf[:0], s)
			}
		})
	}
}

func BenchmarkFromJSON(b *testing.B) {
	for _, c := range []struct {
		name string
		typ  Type
		raw  string
	}{
		{"text", Type{Kind: Text}, `"a plain text without any escapes in it"`},
		{"unicode", Type{Kind: Text}, `"größer als das größte"`},
		{"escapes", Type{Kind: Text}, `"line\nline \"quoted\" \u00e9"`},
		{"int", Type{Kind: Int}, `1234567`},
		{"decimal", Type{Kind: Decimal, Scale: 2}, `1234.50`},
		{"float", Type{Kind: Float}, `1234.5`},
		{"uuid", Type{Kind: UUID}, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`},
		{"timestamp", Type{Kind: Timestamp}, `"2026-01-02T03:04:05.678+02:00"`},
		{"json", Type{Kind: JSON}, `{"size": "xl", "colour": "red", "tags": ["a", "b"], "price": 1.50}`},
		{"list", Type{Kind: Text, List: true}, `["a", "b", "c"]`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.typ.FromJSON(c.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewUUID(b *testing.B) {
	now := time.Now()
	b.Run("crypto", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewUUID(now, rand.Reader)
		}
	})
	b.Run("formatting", func(b *testing.B) {
		random := make([]byte, 8)
		r := bytes.NewReader(random)
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(random)
			NewUUID(now, r)
		}
	})
}

func BenchmarkLike(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 4)
	for _, fold := range []bool{false, true} {
		l, err := CompileLike("%brown%lazy_dog%", fold)
		if err != nil {
			b.Fatal(err)
		}
		name := map[bool]string{false: "like", true: "ilike"}[fold]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Match(text)
			}
		})
	}
}
