package policy

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// CEL's messages are for people who know CEL's insides. These turn each of
// them into a sentence in the words of the module language; one that is not
// known here is passed on as it is.
var (
	undefinedField = regexp.MustCompile(`^undefined field '(.*)'$`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	noOverload     = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	noSelection    = regexp.MustCompile(`^type '(.*)' does not support field selection$`)
	tokenError     = regexp.MustCompile(`^token recognition error at: '(.*)'$`)
	unexpected     = regexp.MustCompile(`^(?:mismatched|extraneous) input '(.*?)' expecting`)
)

// syntaxProblems reports what the parser says. What follows its first message
// at one place is a consequence of it.
func (x *expression) syntaxProblems(issues *cel.Issues) {
	first := issues.Errors()[0]
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	hint := ""
	if m := tokenError.FindStringSubmatch(message); m != nil {
		switch {
		case strings.HasPrefix(m[1], "= ") || m[1] == "=":
			message, hint = "= is no operator", "write =="
		case strings.HasPrefix(m[1], "&") || strings.HasPrefix(m[1], "|"):
			message, hint = strings.TrimSpace(m[1])+" is no operator", "write && or ||"
		case strings.HasPrefix(m[1], "'") || strings.HasPrefix(m[1], `"`):
			message = "a text is not closed: " + shorten(m[1])
		default:
			message = "cannot read " + shorten(m[1])
		}
	} else if m := unexpected.FindStringSubmatch(message); m != nil {
		message = "unexpected " + shorten(m[1])
		if m[1] == "<EOF>" {
			message = "the expression ends too early"
		}
		hint = wordOperator(m[1])
	} else if at := strings.Index(message, " expecting {"); at > 0 {
		message = message[:at]
	}
	x.reportAt(x.placeOf(first.Location), hint, "%s", message)
}

// wordOperator helps with operators of other languages.
func wordOperator(word string) string {
	switch strings.ToLower(word) {
	case "and":
		return "write &&"
	case "or":
		return "write ||"
	case "not":
		return "write !"
	case "is":
		return "write == null or != null"
	case "like":
		return "write row.field.startsWith(\"...\"), .endsWith, .contains or .matches"
	}
	return ""
}

func shorten(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// placeOf is the place of CEL's location, whose lines count from 1 and whose
// columns count from 0.
func (x *expression) placeOf(at common.Location) model.Pos {
	return x.place(x.offset(at.Line(), at.Column()))
}

// typeProblems reports what the checker says. The names of macros are explained
// where they mean something: on the way through the expression.
func (x *expression) typeProblems(issues *cel.Issues) {
	type sentence struct{ message, hint string }
	explained := map[int64]map[string]sentence{}
	for _, issue := range issues.Errors() {
		explained[issue.ExprID] = map[string]sentence{}
	}
	var walk func(ast.Expr)
	walk = func(e ast.Expr) {
		if said := explained[e.ID()]; said != nil {
			for _, issue := range issues.Errors() {
				if issue.ExprID == e.ID() {
					message, hint := x.explain(issue.Message, e)
					said[issue.Message] = sentence{message, hint}
				}
			}
		}
		x.children(e, walk)
	}
	walk(x.ast.Expr())
	for _, issue := range issues.Errors() {
		said, ok := explained[issue.ExprID][issue.Message]
		if !ok {
			message, hint := x.explain(issue.Message, nil)
			x.reportAt(x.placeOf(issue.Location), hint, "%s", message)
			continue
		}
		x.report(issue.ExprID, said.hint, "%s", said.message)
	}
}

func (x *expression) explain(message string, e ast.Expr) (sentence, hint string) {
	if m := undefinedField.FindStringSubmatch(message); m != nil && e != nil && e.Kind() == ast.SelectKind {
		return x.unknownMember(m[1], e.AsSelect().Operand())
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		return x.unknownName(m[1], e)
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return mismatch(m[1], m[2])
	}
	if m := noSelection.FindStringSubmatch(message); m != nil {
		return plainType(m[1]) + " has no members", ""
	}
	return plainType(message), ""
}

// unknownMember is about row.x, auth.x, row.relation.x.
func (x *expression) unknownMember(name string, operand ast.Expr) (sentence, hint string) {
	object := x.object(operand)
	names, _ := x.schema.FindStructFieldNames(object)
	hint = nearest(name, "", names)
	if e := x.schema.entityOf(object); e != nil {
		if hint == "" {
			hint = "its fields are " + strings.Join(fieldNames(e), ", ")
		}
		return e.QualifiedName() + " has no field " + name, hint
	}
	if hint == "" {
		hint = "it has " + strings.Join(names, ", ")
	}
	return strings.TrimPrefix(object, "@") + " has no member " + name, hint
}

// unknownName is about a variable or a function.
func (x *expression) unknownName(name string, e ast.Expr) (sentence, hint string) {
	if e != nil && e.Kind() == ast.CallKind {
		functions := []string{"size", "startsWith", "endsWith", "contains", "matches", "timestamp", fnDecimal, fnNow, "has"}
		if hint = nearest(name, "", functions); hint == "" {
			hint = "there are " + strings.Join(functions, ", ")
		}
		return "there is no function " + name, hint
	}
	if x.entity != nil && fieldOf(x.entity, name) != nil {
		return "there is no variable " + name, "write row." + name
	}
	variables := []string{varRow, varAuth, varRequest, varOld}
	if hint = nearest(name, "", variables); hint == "" && x.entity != nil {
		hint = nearest(name, "row.", fieldNames(x.entity))
	}
	if hint == "" {
		hint = wordOperator(name)
	}
	if hint == "" {
		hint = "write texts in quotes"
	}
	return "there is no variable " + name, hint
}

// mismatch is about an operator or a function whose operands it does not take.
func mismatch(function, types string) (sentence, hint string) {
	types = plainType(strings.TrimSuffix(types, ")"))
	target, args, member := strings.Cut(types, ".(")
	if !member {
		args = strings.TrimPrefix(types, "(")
	}
	list := strings.Split(args, ", ")
	name := operatorName(function)
	switch {
	case member:
		return name + "() does not work on " + target + " with " + args, ""
	case len(list) == 2 && isOperator(name):
		if numbers(list[0]) && numbers(list[1]) {
			hint = "use numbers of one type"
		}
		if function == operators.Divide || function == operators.Modulo {
			_, hint = refusedCall(function)
		}
		if list[0] == "text" && list[1] == "timestamp" || list[0] == "timestamp" && list[1] == "text" {
			hint = "write timestamp(\"2026-01-02T03:04:05Z\")"
		}
		return name + " does not work between " + list[0] + " and " + list[1], hint
	case len(list) == 1 && isOperator(name):
		return name + " does not work on " + list[0], ""
	}
	return name + "() does not work on " + args, ""
}

func numbers(t string) bool { return t == "int" || t == "float" || t == "decimal" }

// operatorName is a function as it is written.
func operatorName(function string) string {
	switch function {
	case fnEqual, "_==_":
		return "=="
	case fnUnequal, "_!=_":
		return "!="
	case fnAmong, "@in":
		return "in"
	case "_?_:_":
		return "? :"
	case "_[_]":
		return "[ ]"
	}
	return strings.Trim(function, "_")
}

func isOperator(name string) bool { return name == "in" || !isWord([]rune(name)[0]) }

// plainType replaces CEL's type names.
func plainType(s string) string {
	return strings.NewReplacer(
		"list(string)", "a list of text", "list(", "a list of (", "google.protobuf.Timestamp", "timestamp",
		"google.protobuf.Duration", "duration", "wrapper", "", "string", "text", "double", "float", "null_type", "null",
		typeRow, "a row", typeAuth, "auth", typeRequest, "request", "dyn", "json",
	).Replace(s)
}

// typeName is a type of the checker in the words of the module language.
func typeName(t *cel.Type) string {
	if t.Kind() == cel.ListKind {
		return "a list"
	}
	return plainType(t.String())
}

// describe is a type with its article, for messages.
func describe(t value.Type) string { return article(t.String()) }

func article(s string) string {
	if strings.ContainsRune("aeio", rune(s[0])) { // a uuid
		return "an " + s
	}
	return "a " + s
}

// offset is the index of a character of the source by line, from 1, and
// column, from 0.
func (x *expression) offset(line, column int) int {
	at := 0
	for ; line > 1 && at < len(x.runes); at++ {
		if x.runes[at] == '\n' {
			line--
		}
	}
	return at + column
}
