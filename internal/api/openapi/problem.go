package openapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
)

// codes returns the codes that a request can be answered with, sorted. Those
// of the command line are not among them.
func codes() []fault.Code {
	out := slices.DeleteFunc(fault.Codes(), func(c fault.Code) bool {
		return c == fault.ConfigInvalid || c == fault.MigrationRefused
	})
	slices.Sort(out)
	return out
}

// problemSchema is the one body of every error: RFC 9457 with the members
// that PostgREST's clients read.
func problemSchema() object {
	var words []string
	for _, c := range codes() {
		words = append(words, string(c))
	}
	text := func(d string) object { return object{{"type", "string"}, {"description", d}} }
	orNull := func(d string) object {
		return object{{"type", []string{"string", "null"}}, {"description", d}}
	}
	return object{
		{"type", "object"},
		{"description", "What went wrong, as RFC 9457 describes it. `code` is for programs, `message`, `details` and `hint` are for people."},
		{"properties", object{
			{"type", text("A URI that names the kind of problem: " + problem.TypePrefix + " and the code.")},
			{"title", text("The kind of problem in a few constant words.")},
			{"status", object{{"type", "integer"}, {"description", "The HTTP status."}, {"minimum", 300}, {"maximum", 599}}},
			{"detail", text("What is wrong with this request.")},
			{"instance", text("The request's id, as the server's log has it.")},
			{"code", object{{"type", "string"}, {"enum", words}, {"description", "The kind of problem: a PostgREST code, a PostgreSQL SQLSTATE, or one of Pando's own."}}},
			{"message", text("What is wrong with this request.")},
			{"details", orNull("Where it is wrong: the value, the key, the position.")},
			{"hint", orNull("What to do about it, or the nearest valid thing.")},
		}},
		{"required", []string{"type", "title", "status", "detail", "code", "message", "details", "hint"}},
		{"examples", array{problemExample(fault.UndefinedField)}},
	}
}

// problemExample is a problem with the given code, as the renderer of every
// door writes it.
func problemExample(c fault.Code) raw {
	f := fault.New(c, "%s", c.Title())
	if c == fault.UndefinedField {
		f = fault.New(c, "orders.orders has no field totl").WithDetails("select=totl").WithHint("did you mean total?")
	}
	b, err := json.Marshal(problem.Of(f, "019b7d2a6c407a319c5e2f8d4b6a1e03"))
	if err != nil {
		panic(err) // strings and one int always encode
	}
	return raw(b)
}

// statuses groups the codes by the HTTP status that they come with.
func statuses() map[int][]fault.Code {
	out := make(map[int][]fault.Code)
	for _, c := range codes() {
		out[c.Status()] = append(out[c.Status()], c)
	}
	return out
}

// problemKey names the response component of a status.
func problemKey(status int) string { return "Problem" + strconv.Itoa(status) }

// problemResponse describes one status and the codes that it comes with.
func problemResponse(status int, cs []fault.Code) object {
	var list, words []string
	for _, c := range cs {
		list = append(list, "`"+string(c)+"` "+strings.ToLower(c.Title()[:1])+c.Title()[1:])
		words = append(words, string(c))
	}
	reason := http.StatusText(status)
	return object{
		{"description", reason + ": " + strings.Join(list, "; ") + "."},
		{"content", object{{problem.ContentType, object{
			{"schema", object{{"allOf", array{
				ref("schemas", "Problem"),
				object{{"type", "object"}, {"properties", object{{"code", object{{"type", "string"}, {"enum", words}}}}}},
			}}}},
			{"example", problemExample(cs[0])},
		}}}},
	}
}

// anyProblem is the response for every status that an operation does not list:
// limits of time and size, and the server's own troubles.
func anyProblem(listed map[int]bool) object {
	all := statuses()
	var rest []string
	for s := range all {
		if !listed[s] {
			rest = append(rest, strconv.Itoa(s))
		}
	}
	slices.Sort(rest)
	return object{
		{"description", "Any other problem; the status is one of " + strings.Join(rest, ", ") + "."},
		{"content", object{{problem.ContentType, object{{"schema", ref("schemas", "Problem")}}}}},
	}
}
