package model

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with an application. File names the
// environment variable, and Line is 0, when the value came from one.
type Problem struct {
	Pos
	Message string // what is wrong, one line
	Hint    string // what to do, or the nearest valid thing; may be empty

	// structural: the JSON Schema of the file refuses it as well.
	structural bool
}

// String is "file:line:column: message (hint)".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Pos.String())
	b.WriteString(": ")
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (")
		b.WriteString(p.Hint)
		b.WriteByte(')')
	}
	return b.String()
}

// String is "file:line:column", or "file" alone where there is no line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// report collects the problems of one load.
type report struct {
	problems []Problem
}

func (r *report) add(pos Pos, hint, format string, args ...any) {
	r.problems = append(r.problems, Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *report) addStructural(pos Pos, hint, format string, args ...any) {
	r.add(pos, hint, format, args...)
	r.problems[len(r.problems)-1].structural = true
}

// sorted returns the problems by place, each once.
func (r *report) sorted() []Problem {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Hint, b.Hint),
		)
	})
	return slices.Compact(r.problems)
}
