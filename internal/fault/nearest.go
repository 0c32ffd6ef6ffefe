package fault

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Nearest returns the candidate that word was most probably meant to be, for a
// hint, or "" when none is near enough. Case counts less than a letter. Of two
// that are equally near the earlier candidate wins.
//
// Nearness is the optimal string alignment distance (Damerau-Levenshtein
// without edited transpositions): insert, delete, replace, or swap two
// neighbours. A third of the word may differ, at least one letter.
func Nearest(word string, candidates []string) string {
	const longest = 64 // characters; longer words are no typing errors and cost quadratic time
	if word == "" || utf8.RuneCountInString(word) > longest {
		return ""
	}
	w := []rune(strings.ToLower(word))
	best, limit := "", max(1, len(w)/3)+1
	for _, c := range candidates {
		n := utf8.RuneCountInString(c)
		if n == 0 || n > longest || n-len(w) >= limit || len(w)-n >= limit {
			continue
		}
		if d := alignment(w, []rune(strings.ToLower(c))); d < limit {
			best, limit = c, d
		}
		if limit == 0 {
			break
		}
	}
	return best
}

// NearestOf is [Nearest] among things that have names; false: none is near.
func NearestOf[T fmt.Stringer](word string, things []T) (T, bool) {
	names := make([]string, len(things))
	for i, t := range things {
		names[i] = t.String()
	}
	if near := Nearest(word, names); near != "" {
		return things[slices.Index(names, near)], true
	}
	var none T
	return none, false
}

// alignment is the optimal string alignment distance of a and b.
func alignment(a, b []rune) int {
	before := make([]int, len(b)+1)
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
