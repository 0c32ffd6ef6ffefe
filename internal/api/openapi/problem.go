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

// applies reports whether a read, or a write, of rows can be answered with c.
func applies(c fault.Code, write bool) bool {
	switch c { //nolint:exhaustive // every other code applies to both
	case fault.UnknownOperation, fault.AmbiguousOperation, fault.InvalidInput, fault.InvalidOutput, fault.FunctionFailed:
		return false
	case fault.InvalidRange, fault.InvalidCursor:
		return !write
	case fault.InvalidBody, fault.InvalidPut, fault.PutLimits, fault.PutMismatch, fault.MaxAffected, fault.UnknownInput,
		fault.TextTooLong, fault.NotNull, fault.ForeignKey, fault.Unique, fault.Check, fault.DuplicateField,
		fault.CardinalityClash, fault.UnsupportedMediaType, fault.PreconditionFailed, fault.IdempotencyInFlight,
		fault.IdempotencyMismatch, fault.UnfilteredWrite:
		return write
	}
	return true
}

// codesOf lists the codes of a status that a read, or a write, is answered with.
func codesOf(status int, write bool) []fault.Code {
	var out []fault.Code
	for _, c := range codes() {
		if c.Status() == status && applies(c, write) {
			out = append(out, c)
		}
	}
	return out
}

// problemKey names the response component of a status. Reads and writes share
// one where they have the same codes.
func problemKey(status int, write bool) string {
	key := "Problem" + strconv.Itoa(status)
	if reads := codesOf(status, false); write && len(reads) > 0 && !slices.Equal(reads, codesOf(status, true)) {
		key += "Write"
	}
	return key
}

// problemResponse describes one status and the codes that it comes with.
func problemResponse(status int, cs []fault.Code) object {
	var list, words []string
	for _, c := range cs {
		list = append(list, "`"+string(c)+"` "+c.Title())
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
	var rest []string
	for _, c := range codes() {
		if s := strconv.Itoa(c.Status()); !listed[c.Status()] && !slices.Contains(rest, s) {
			rest = append(rest, s)
		}
	}
	slices.Sort(rest)
	return object{
		{"description", "Any other problem; the status is one of " + strings.Join(rest, ", ") + "."},
		{"content", object{{problem.ContentType, object{{"schema", ref("schemas", "Problem")}}}}},
	}
}
