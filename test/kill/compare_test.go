package kill

import (
	"fmt"
	"slices"
	"testing"
)

// compare lists what the database holds against the writers' knowledge: the
// rows by number and part with their count, and the balances by account.
func (c *crew) compare(stored map[int]map[int]int, balances map[string]int) []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	sent := 0
	for _, w := range c.writers {
		for _, p := range w.postings {
			rows := stored[p.number]
			if rows != nil {
				sent++
			}
			switch {
			case p.outcome == pending:
				add("posting %d was never brought to an end", p.number)
			case p.outcome == acknowledged && len(rows) == 0:
				add("posting %d was acknowledged and is lost", p.number)
			case len(rows) != 0 && len(rows) != p.parts:
				add("posting %d of %d rows is torn: %d are there", p.number, p.parts, len(rows))
			}
			for part, n := range rows {
				if n > 1 {
					add("posting %d, row %d is there %d times", p.number, part, n)
				}
			}
		}
		switch got, ok := balances[w.account]; {
		case !ok:
			add("account %s is lost", w.account)
		case got < w.balance:
			add("account %s has %d, and %d was acknowledged", w.account, got, w.balance)
		case got > w.sent:
			add("account %s has %d, and only %d was sent", w.account, got, w.sent)
		}
	}
	if sent != len(stored) {
		add("%d postings are stored that nobody sent", len(stored)-sent)
	}
	return problems
}

// TestCompareFinds shows that a broken database would not pass.
func TestCompareFinds(t *testing.T) {
	const account = "a"
	rows := func(parts ...int) map[int]int {
		m := map[int]int{}
		for _, p := range parts {
			m[p]++
		}
		return m
	}
	for _, tc := range []struct {
		name     string
		posting  posting
		stored   map[int]map[int]int
		balances map[string]int
		want     []string
	}{
		{"kept", posting{number: 8, parts: 2, outcome: acknowledged}, map[int]map[int]int{8: rows(0, 1)}, map[string]int{account: 5}, nil},
		{"abandoned and not there", posting{number: 8, parts: 2, outcome: abandoned}, nil, map[string]int{account: 6}, nil},
		{"abandoned and there", posting{number: 8, parts: 2, outcome: abandoned}, map[int]map[int]int{8: rows(0, 1)}, map[string]int{account: 7}, nil},
		{"lost", posting{number: 8, parts: 2, outcome: acknowledged}, nil, map[string]int{account: 5}, []string{"posting 8 was acknowledged and is lost"}},
		{"torn", posting{number: 8, parts: 2, outcome: abandoned}, map[int]map[int]int{8: rows(1)}, map[string]int{account: 5}, []string{"posting 8 of 2 rows is torn: 1 are there"}},
		{"doubled", posting{number: 8, parts: 1, outcome: acknowledged}, map[int]map[int]int{8: rows(0, 0)}, map[string]int{account: 5}, []string{"posting 8, row 0 is there 2 times"}},
		{"unknown", posting{number: 8, parts: 1, outcome: acknowledged}, map[int]map[int]int{8: rows(0), 9: rows(0)}, map[string]int{account: 5}, []string{"1 postings are stored that nobody sent"}},
		{"unended", posting{number: 8, parts: 1}, nil, map[string]int{account: 5}, []string{"posting 8 was never brought to an end"}},
		{"undone", posting{number: 8, parts: 1, outcome: abandoned}, nil, map[string]int{account: 4}, []string{"account a has 4, and 5 was acknowledged"}},
		{"ahead", posting{number: 8, parts: 1, outcome: abandoned}, nil, map[string]int{account: 8}, []string{"account a has 8, and only 7 was sent"}},
		{"account lost", posting{number: 8, parts: 1, outcome: abandoned}, nil, nil, []string{"account a is lost"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &crew{writers: []*writer{{account: account, postings: []*posting{&tc.posting}, balance: 5, sent: 7}}}
			if got := c.compare(tc.stored, tc.balances); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
