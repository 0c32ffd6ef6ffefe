package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkCron checks a schedule's syntax: the five fields of POSIX crontab with
// names, ranges, lists and steps, or one of the usual @words. When it runs is
// the job room's to say.
func checkCron(s string) error {
	if strings.HasPrefix(s, "@") {
		if slices.Contains([]string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}, s) {
			return nil
		}
		return fmt.Errorf("unknown schedule %s", quote(s))
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	parts := []cronPart{
		{"minute", 0, 59, nil, 0},
		{"hour", 0, 23, nil, 0},
		{"day", 1, 31, nil, 0},
		{"month", 1, 12, months, 1},
		{"weekday", 0, 7, days, 0},
	}
	fields := strings.Fields(s)
	if len(fields) != len(parts) {
		return fmt.Errorf("a schedule has %d fields, not %d", len(parts), len(fields))
	}
	for i, p := range parts {
		for item := range strings.SplitSeq(fields[i], ",") {
			if err := p.check(item); err != nil {
				return err
			}
		}
	}
	return nil
}

type cronPart struct {
	name        string
	least, most int
	words       []string
	first       int // the number of words[0]
}

func (p cronPart) check(item string) error {
	span, step, stepped := strings.Cut(item, "/")
	if stepped {
		if n, err := strconv.Atoi(step); err != nil || n < 1 || n > p.most {
			return fmt.Errorf("the %s's step %s is not a number from 1 to %d", p.name, quote(step), p.most)
		}
	}
	if span == "*" {
		return nil
	}
	from, to, ranged := strings.Cut(span, "-")
	low, ok := p.number(from)
	if !ok {
		return p.wrong(from)
	}
	if !ranged {
		return nil
	}
	high, ok := p.number(to)
	if !ok {
		return p.wrong(to)
	}
	if low > high {
		return fmt.Errorf("the %s's range %s runs backwards", p.name, quote(span))
	}
	return nil
}

func (p cronPart) wrong(s string) error {
	return fmt.Errorf("the %s %s is not from %d to %d", p.name, quote(s), p.least, p.most)
}

func (p cronPart) number(s string) (int, bool) {
	if i := slices.Index(p.words, strings.ToLower(s)); i >= 0 {
		return i + p.first, true
	}
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= p.least && n <= p.most
}
