package policy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// texts is a row written as texts by field; what is not there is null.
type texts map[string]string

func (r texts) Value(f *model.Field) value.Value {
	s, ok := r[f.Name]
	if !ok {
		return value.Null()
	}
	t := f.Type
	t.Min, t.Max, t.Values = nil, nil, nil
	if t.Kind == value.Enum {
		t.Kind = value.Text
	}
	v, err := t.FromText(s)
	if err != nil {
		panic(fmt.Sprintf("the test's row: %s: %v", f.Name, err))
	}
	return v
}

func fld(field string, steps ...query.Step) *query.FieldRef {
	return &query.FieldRef{Path: query.Path{Field: field, Steps: steps}}
}

func lit(s string) *query.Literal { return &query.Literal{Text: s} }

func compared(left query.Operand, op query.Op, right query.Operand) *query.Compare {
	return &query.Compare{Left: left, Op: op, Right: right}
}

func quant(left query.Operand, op query.Op, q query.Quant, list ...string) *query.Compare {
	return &query.Compare{Left: left, Op: op, Quant: q, Right: &query.List{Texts: list}}
}

// pairs is an entity with two fields of each type, t1 and t2.
func pairs(t testing.TB) *model.Entity {
	t.Helper()
	var b strings.Builder
	b.WriteString("module: m\nentities:\n  e:\n    search: [text1]\n    fields:\n")
	for _, n := range []string{"1", "2"} {
		for name, spec := range map[string]string{
			"text": "type: text", "int": "type: int", "float": "type: float", "bool": "type: bool", "uuid": "type: uuid",
			"timestamp": "type: timestamp", "date": "type: date", "time": "type: time", "json": "type: json",
			"bytes": "type: bytes", "enum": "type: enum, values: [a, b, c]", "texts": "type: text, list: true",
			"ints": "type: int, list: true", "decimal": "type: decimal, scale: " + n,
		} {
			fmt.Fprintf(&b, "      %s%s: { %s, optional: true }\n", name, n, spec)
		}
	}
	return loadModule(t, b.String()).Entity("m", "e")
}

// TestNull is the table of every operator against null on the left, on the
// right and on both sides. Only is and isdistinct see null as a value.
func TestNull(t *testing.T) {
	e := pairs(t)
	values := map[string][2]string{
		"text": {"a", "b"}, "int": {"1", "2"}, "float": {"1", "2"}, "bool": {"false", "true"},
		"uuid": {"00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"}, "timestamp": {"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
		"date": {"2026-01-01", "2026-01-02"}, "time": {"01:00", "02:00"}, "json": {`{"a":1}`, `{"a":2}`}, "bytes": {`\x00`, `\x01`},
		"enum": {"a", "b"}, "texts": {"{a}", "{b}"}, "ints": {"{1}", "{2}"}, "decimal": {"1", "2"},
	}
	ordered := []query.Op{query.Eq, query.Neq, query.Gt, query.Gte, query.Lt, query.Lte, query.IsDistinct}
	ops := map[string][]query.Op{}
	for name := range values {
		ops[name] = ordered
	}
	ops["json"] = []query.Op{query.Eq, query.Neq, query.Contains, query.ContainedBy, query.IsDistinct}
	ops["texts"] = []query.Op{query.Eq, query.Neq, query.Contains, query.ContainedBy, query.Overlaps, query.IsDistinct}
	ops["ints"] = ops["texts"]
	// Whether 1 op 2 holds, and 1 op 1.
	differ := map[query.Op]Truth{query.Eq: False, query.Neq: True, query.Gt: False, query.Gte: False, query.Lt: True, query.Lte: True, query.IsDistinct: True, query.Contains: False, query.ContainedBy: False, query.Overlaps: False}
	same := map[query.Op]Truth{query.Eq: True, query.Neq: False, query.Gt: False, query.Gte: True, query.Lt: False, query.Lte: True, query.IsDistinct: False, query.Contains: True, query.ContainedBy: True, query.Overlaps: True}
	for name, v := range values {
		for _, op := range ops[name] {
			one, two, both := Unknown, Unknown, Unknown
			if op == query.IsDistinct {
				one, two, both = True, True, False
			}
			a, b := name+"1", name+"2"
			for _, c := range []struct {
				row  texts
				want Truth
			}{
				{texts{}, both},
				{texts{a: v[0]}, one},
				{texts{b: v[0]}, two},
				{texts{a: v[0], b: v[1]}, differ[op]},
				{texts{a: v[0], b: v[0]}, same[op]},
			} {
				expect(t, e, compared(fld(a), op, fld(b)), c.row, c.want)
				expect(t, e, &query.Not{Arg: compared(fld(a), op, fld(b))}, c.row, c.want.Not())
			}
			literal := Unknown
			if op == query.IsDistinct {
				literal = True
			}
			expect(t, e, compared(fld(a), op, lit(v[0])), texts{}, literal)
			expect(t, e, compared(fld(a), op, lit(v[0])), texts{a: v[0]}, same[op])
			expect(t, e, compared(lit(v[0]), op, fld(b)), texts{}, literal)
			expect(t, e, compared(lit(v[0]), op, fld(b)), texts{b: v[1]}, differ[op])
		}
		for word, want := range map[string][2]Truth{"null": {True, False}, "not_null": {False, True}} {
			x := compared(fld(name+"1"), query.Is, &query.Word{Word: word})
			expect(t, e, x, texts{}, want[0])
			expect(t, e, x, texts{name + "1": v[0]}, want[1])
		}
	}
	for _, op := range []query.Op{query.Like, query.ILike, query.Match, query.IMatch, query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS} {
		expect(t, e, compared(fld("text1"), op, lit("a")), texts{}, Unknown)
		expect(t, e, compared(fld("text1"), op, lit("a")), texts{"text1": "a"}, True)
		expect(t, e, compared(fld("text1"), op, lit("a")), texts{"text1": "b"}, False)
	}
	for _, f := range []query.Func{query.StartsWith, query.EndsWith, query.HasSubstring} {
		x := compared(&query.Call{Func: f, Args: []query.Operand{fld("text1"), fld("text2")}}, query.Eq, lit("true"))
		expect(t, e, x, texts{"text1": "a"}, Unknown)
		expect(t, e, x, texts{"text2": "a"}, Unknown)
		expect(t, e, x, texts{"text1": "ab", "text2": "ba"}, False)
		expect(t, e, x, texts{"text1": "aba", "text2": "a"}, True)
	}
	for _, f := range []query.Func{query.Add, query.Sub, query.Mul} {
		x := compared(&query.Call{Func: f, Args: []query.Operand{fld("int1"), fld("int2")}}, query.Neq, lit("99"))
		expect(t, e, x, texts{"int1": "1"}, Unknown)
		expect(t, e, x, texts{"int2": "1"}, Unknown)
		expect(t, e, x, texts{"int1": "1", "int2": "2"}, True)
	}
}

// TestKleene is the tables of and, or and not.
func TestKleene(t *testing.T) {
	e := pairs(t)
	of := map[Truth]query.Expr{True: &query.Const{Value: true}, False: &query.Const{}, Unknown: compared(fld("int1"), query.Eq, lit("1"))}
	for a, x := range of {
		expect(t, e, &query.Not{Arg: x}, texts{}, -a)
		for b, y := range of {
			expect(t, e, &query.And{Args: []query.Expr{x, y}}, texts{}, min(a, b))
			expect(t, e, &query.Or{Args: []query.Expr{x, y}}, texts{}, max(a, b))
		}
	}
	expect(t, e, &query.And{}, texts{}, True)
	expect(t, e, &query.Or{}, texts{}, False)
	expect(t, e, nil, texts{}, True)
}

func TestEval(t *testing.T) {
	e := pairs(t)
	key := func(k string) query.Step { return query.Step{Key: k, ByKey: true} }
	text := func(k string) query.Step { return query.Step{Key: k, ByKey: true, Text: true} }
	at := func(i int64) query.Step { return query.Step{Index: i} }
	call := func(f query.Func, args ...query.Operand) *query.Call { return &query.Call{Func: f, Args: args} }
	doc := texts{"json1": `{"a":{"b":[1,"x",null]},"n":1.50,"t":"red","z":null}`}
	for i, c := range []struct {
		x    query.Expr
		row  texts
		want Truth
	}{
		{quant(fld("int1"), query.In, query.NoQuant, "1", "2"), texts{"int1": "2"}, True},
		{quant(fld("int1"), query.In, query.NoQuant, "1", "2"), texts{"int1": "3"}, False},
		{quant(fld("int1"), query.In, query.NoQuant, "1", "2"), texts{}, Unknown},
		{quant(fld("int1"), query.In, query.NoQuant), texts{}, False},
		{quant(fld("int1"), query.Gt, query.Any, "1", "5"), texts{"int1": "3"}, True},
		{quant(fld("int1"), query.Gt, query.All, "1", "5"), texts{"int1": "3"}, False},
		{quant(fld("int1"), query.Gt, query.All), texts{}, True},
		{quant(fld("int1"), query.Gt, query.Any), texts{}, False},
		{quant(fld("text1"), query.ILike, query.Any, "X%", "ÄB%"), texts{"text1": "äbc"}, True},
		{quant(fld("text1"), query.Match, query.All, "^a", "c$"), texts{"text1": "abc"}, True},
		{compared(fld("text1"), query.Like, lit("a_c%")), texts{"text1": "abcd"}, True},
		{compared(fld("text1"), query.Like, lit("A%")), texts{"text1": "abcd"}, False},
		{compared(fld("text1"), query.IMatch, lit("^A")), texts{"text1": "abcd"}, True},
		{compared(fld("text1"), query.Gt, lit("B")), texts{"text1": "a"}, True}, // binary order
		{compared(fld("bool1"), query.Is, &query.Word{Word: "true"}), texts{"bool1": "true"}, True},
		{compared(fld("bool1"), query.Is, &query.Word{Word: "true"}), texts{}, False},
		{compared(fld("bool1"), query.Is, &query.Word{Word: "false"}), texts{"bool1": "false"}, True},
		{compared(fld("bool1"), query.Is, &query.Word{Word: "false"}), texts{}, False},
		{compared(fld("bool1"), query.Is, &query.Word{Word: "unknown"}), texts{}, True},
		{compared(fld("decimal1"), query.Lt, fld("decimal2")), texts{"decimal1": "1.5", "decimal2": "1.51"}, True},
		{compared(fld("decimal1"), query.Eq, fld("decimal2")), texts{"decimal1": "1.5", "decimal2": "1.50"}, True},
		{compared(fld("texts1"), query.Contains, lit("{a,a}")), texts{"texts1": "{b,a}"}, True},
		{compared(fld("texts1"), query.Contains, lit("{}")), texts{"texts1": "{}"}, True},
		{compared(fld("texts1"), query.ContainedBy, lit("{a,b}")), texts{"texts1": "{a,a}"}, True},
		{compared(fld("texts1"), query.Overlaps, lit("{}")), texts{"texts1": "{a}"}, False},
		{compared(fld("ints1"), query.Overlaps, lit("{3,2}")), texts{"ints1": "{1,2}"}, True},
		{compared(fld("json1"), query.Contains, lit(`{"n":1.5}`)), doc, True},
		{compared(fld("json1"), query.Contains, lit(`{"a":{"b":["x"]}}`)), doc, True},
		{compared(fld("json1"), query.Contains, lit(`{"a":{"b":"x"}}`)), doc, False},
		{compared(fld("json1"), query.Contains, lit(`"x"`)), texts{"json1": `["x",1]`}, True},
		{compared(fld("json1"), query.ContainedBy, lit(`{"a":1,"b":2}`)), texts{"json1": `{"b":2}`}, True},
		{compared(fld("json1"), query.Eq, lit(`{"b":2.0,"a":1}`)), texts{"json1": `{"a":1,"b":2}`}, True},
		{compared(fld("json1", text("t")), query.Eq, lit("red")), doc, True},
		{compared(fld("json1", key("t")), query.Eq, lit(`"red"`)), doc, True},
		{compared(fld("json1", text("n")), query.Eq, lit("1.50")), doc, True},
		{compared(fld("json1", key("a"), key("b"), query.Step{Index: -2, Text: true}), query.Eq, lit("x")), doc, True},
		{compared(fld("json1", key("a"), key("b"), at(7)), query.Eq, lit("1")), doc, Unknown},
		{compared(fld("json1", key("t"), at(0)), query.Eq, lit("1")), doc, Unknown},
		{compared(fld("json1", text("z")), query.Is, &query.Word{Word: "null"}), doc, True},
		{compared(fld("json1", key("z")), query.Is, &query.Word{Word: "null"}), doc, False}, // json's null is a value
		{compared(fld("json1", key("y")), query.Is, &query.Word{Word: "null"}), doc, True},
		{compared(call(query.Length, fld("text1")), query.Eq, lit("2")), texts{"text1": "äö"}, True},
		{compared(call(query.Length, fld("bytes1")), query.Eq, lit("2")), texts{"bytes1": `\x0001`}, True},
		{compared(call(query.Length, fld("texts1")), query.Eq, lit("0")), texts{"texts1": "{}"}, True},
		{compared(call(query.Length, fld("text1")), query.Eq, lit("0")), texts{}, Unknown},
		{compared(call(query.Add, fld("decimal2"), lit("0.05")), query.Eq, lit("1.00")), texts{"decimal2": "0.95"}, True},
		{compared(call(query.Mul, fld("decimal2"), lit("1.5")), query.Eq, lit("0.0015")), texts{"decimal2": "0.01"}, False},
		{compared(call(query.Mul, fld("decimal2"), lit("1.5")), query.Eq, lit("0.0150")), texts{"decimal2": "0.01"}, True},
		{compared(call(query.Neg, fld("float1")), query.Lt, lit("-1")), texts{"float1": "1.5"}, True},
		{compared(call(query.Mul, fld("int1"), fld("int2")), query.Eq, lit("-9223372036854775808")), texts{"int1": "4611686018427387904", "int2": "-2"}, True},
		{compared(fld("text1"), query.PhraseFTS, lit("quick fox")), texts{"text1": "the Quick, fox"}, True},
		{compared(fld("text1"), query.WebFTS, lit("fox -quick")), texts{"text1": "the quick fox"}, False},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { expect(t, e, c.x, c.row, c.want) })
	}
}

func expect(t *testing.T, e *model.Entity, x query.Expr, row texts, want Truth) {
	t.Helper()
	got, err := Eval(e, x, row)
	if err != nil {
		t.Errorf("%s of %v: %v", render(x), row, err)
	} else if got != want {
		t.Errorf("%s of %v is %v, want %v", render(x), row, got, want)
	}
}

func TestEvalFaults(t *testing.T) {
	e := pairs(t)
	add := func(f query.Func) query.Expr {
		return compared(&query.Call{Func: f, Args: []query.Operand{fld("int1"), fld("int2")}}, query.Eq, lit("1"))
	}
	greatest, least := fmt.Sprint(int64(math.MaxInt64)), fmt.Sprint(int64(math.MinInt64))
	for i, c := range []struct {
		x    query.Expr
		row  texts
		code fault.Code
	}{
		{compared(fld("nothing"), query.Eq, lit("1")), nil, fault.UndefinedField},
		{compared(&query.FieldRef{Path: query.Path{Field: "int1"}, Via: []string{"x"}}, query.Eq, lit("1")), nil, fault.NotImplemented},
		{compared(fld("int1"), query.Eq, lit("one")), nil, fault.InvalidText},
		{compared(fld("int1"), query.Like, lit("1")), nil, fault.UndefinedFunction},
		{compared(fld("int1"), query.Eq, fld("text1")), nil, fault.UndefinedFunction},
		{compared(fld("json1"), query.Lt, lit("1")), nil, fault.UndefinedFunction},
		{compared(fld("texts1"), query.Lt, lit("{}")), nil, fault.UndefinedFunction},
		{compared(fld("int1"), query.Is, &query.Word{Word: "true"}), nil, fault.UndefinedFunction},
		{compared(fld("int1"), query.Is, &query.Word{Word: "odd"}), nil, fault.Parse},
		{compared(fld("text1"), query.Match, lit("(")), nil, fault.InvalidRegexp},
		{compared(fld("text2"), query.FTS, lit("a")), nil, fault.NotImplemented},
		{compared(fld("int1", query.Step{Key: "a", ByKey: true}), query.Eq, lit("1")), nil, fault.UndefinedFunction},
		{add(query.Add), texts{"int1": greatest, "int2": "1"}, fault.NumericOutOfRange},
		{add(query.Add), texts{"int1": least, "int2": "-1"}, fault.NumericOutOfRange},
		{add(query.Sub), texts{"int1": least, "int2": "1"}, fault.NumericOutOfRange},
		{add(query.Mul), texts{"int1": greatest, "int2": "2"}, fault.NumericOutOfRange},
		{add(query.Mul), texts{"int1": least, "int2": "-1"}, fault.NumericOutOfRange},
		{compared(&query.Call{Func: query.Neg, Args: []query.Operand{fld("int1")}}, query.Eq, lit("1")), texts{"int1": least}, fault.NumericOutOfRange},
		{compared(&query.Call{Func: query.Mul, Args: []query.Operand{fld("float1"), fld("float2")}}, query.Eq, lit("1")), texts{"float1": "1e300", "float2": "1e300"}, fault.NumericOutOfRange},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			got, err := Eval(e, c.x, c.row)
			if !fault.Is(err, c.code) || got != Unknown {
				t.Errorf("got %v and %v, want unknown and %s", got, err, c.code)
			}
		})
	}
}

// TestFoldingAgrees compares what the compiler folds with what the evaluator
// answers: the same comparison between two constants, a field and a constant,
// and two fields.
func TestFoldingAgrees(t *testing.T) {
	kinds := map[string][]string{
		"int": {"-1", "0", "7"}, "decimal": {"-0.1", "0.0", "2.5"}, "float": {"-0.5", "0.0", "3.25"}, "text": {"'a'", "'b'", "'é'"},
		"timestamp": {"timestamp('2026-01-02T03:04:05Z')", "timestamp('2026-01-02T03:04:05.5Z')", "timestamp('2026-01-02T05:04:05+02:00')"},
	}
	e := pairs(t)
	type trial struct {
		constants string
		row       texts
	}
	var trials []trial // three checks each
	raw := strings.NewReplacer("timestamp(", "", ")", "", "'", "")
	for kind, values := range kinds {
		a, b := kind+"1", kind+"2"
		for _, op := range []string{" == ", " != ", " < ", " <= ", " > ", " >= "} {
			for _, l := range values {
				for _, r := range values {
					row := texts{a: raw.Replace(l), b: raw.Replace(r)}
					trials = append(trials, trial{constants: l + op + r, row: row})
					fields := "row." + a + op + "row." + b
					if kind == "decimal" { // of two scales
						fields = "row." + a + op + r
					}
					for _, source := range []string{l + op + r, fields, l + op + "row." + b} {
						e.Checks = append(e.Checks, model.Expression{Source: source})
					}
				}
			}
		}
	}
	rules, problems := Compile(&model.App{Modules: []*model.Module{e.Module}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i, c := range rules.Checks(e) {
		trial := trials[i/3]
		folded, ok := rules.Checks(e)[i/3*3].Expr.(*query.Const)
		if !ok {
			t.Fatalf("%s is not folded", trial.constants)
		}
		if got, err := Eval(e, c.Expr, trial.row); err != nil || got != truth(folded.Value) {
			t.Errorf("%s of %v is %v (%v), and %s is %v", c.Source, trial.row, got, err, trial.constants, folded.Value)
		}
	}
}

// TestTernary is Kleene's table of c ? a : b.
func TestTernary(t *testing.T) {
	e := pairs(t)
	e.Checks = []model.Expression{{Source: "row.bool1 ? row.int1 == 1 : row.int2 == 1"}}
	rules, problems := Compile(&model.App{Modules: []*model.Module{e.Module}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	x := rules.Checks(e)[0].Expr
	for _, c := range []struct {
		c, a, b string
		want    Truth
	}{
		{"true", "1", "0", True},
		{"true", "0", "1", False},
		{"false", "1", "0", False},
		{"false", "0", "1", True},
		{"true", "1", "", True},
		{"true", "", "1", Unknown},
		{"", "1", "1", True},
		{"", "0", "0", False},
		{"", "1", "0", Unknown},
		{"", "1", "", Unknown},
	} {
		row := texts{}
		for name, v := range map[string]string{"bool1": c.c, "int1": c.a, "int2": c.b} {
			if v != "" {
				row[name] = v
			}
		}
		expect(t, e, x, row, c.want)
	}
}

func TestMatcherIsShared(t *testing.T) {
	e := pairs(t)
	m, err := NewMatcher(e, compared(fld("text1"), query.Match, lit("^a+$")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for i := range 4 {
		go func() {
			want := truth(i%2 == 0)
			for range 200 {
				if got, err := m.Match(texts{"text1": strings.Repeat("a", 5) + strings.Repeat("b", i%2)}); got != want || err != nil {
					done <- errors.Join(err, fmt.Errorf("got %v, want %v", got, want))
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
