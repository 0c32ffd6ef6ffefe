package fault

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	fields := []string{"id", "customer_id", "status", "total", "note", "created_at", "größe"}
	for _, c := range []struct{ word, want string }{
		{"statsu", "status"}, // two neighbours swapped
		{"Status", "status"},
		{"STATUS", "status"},
		{"stat", ""}, // a third of four letters is one
		{"statu", "status"},
		{"totl", "total"},
		{"costumer_id", "customer_id"},
		{"craeted_at", "created_at"},
		{"di", "id"},
		{"grösse", "größe"},
		{"colour", ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat("a", 1<<20), ""},
	} {
		if got := Nearest(c.word, fields); got != c.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", c.word, got, c.want)
		}
	}
	if got := Nearest("cat", []string{"bat", "hat", "", "cat"}); got != "cat" {
		t.Errorf("an exact match must win, got %q", got)
	}
	if got := Nearest("cat", []string{"hat", "bat"}); got != "hat" {
		t.Errorf("the earlier of two equally near must win, got %q", got)
	}
	if got := Nearest("cat", nil); got != "" {
		t.Errorf("Nearest without candidates = %q", got)
	}
}

func TestAlignment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"ab", "ba", 1},
		{"ca", "abc", 3}, // 2 with unrestricted Damerau-Levenshtein
		{"status", "statsu", 1},
	} {
		if got := alignment([]rune(c.a), []rune(c.b)); got != c.want {
			t.Errorf("alignment(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
