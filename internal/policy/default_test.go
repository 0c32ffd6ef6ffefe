package policy

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

func loadModule(t testing.TB, source string) *model.App {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: a\n")},
		"modules/m.yaml": {Data: []byte(source)},
	}, nil, model.Features{FieldPolicies: true})
	for _, p := range problems {
		t.Fatalf("the application: %s\n%s", p, source)
	}
	return app
}

// withDefault is an entity whose field x has a type and a CEL default.
func withDefault(t testing.TB, typ, source string) (*model.Field, *Rules, []model.Problem) {
	t.Helper()
	app := loadModule(t, fmt.Sprintf(`module: m
entities:
  e:
    fields:
      x: { %s, default: { cel: '%s' } }
      name: { type: text, optional: true }
      qty: { type: int, optional: true }
      price: { type: decimal, scale: 2, optional: true }
      ratio: { type: float, optional: true }
      gift: { type: bool, optional: true }
      at: { type: timestamp, optional: true }
      tags: { type: text, list: true, optional: true }
      meta: { type: json, optional: true }
      blob: { type: bytes, optional: true }
      other_id: { ref: e, optional: true, on_delete: set_null }
`, typ, strings.ReplaceAll(source, "'", "''")))
	rules, problems := Compile(app)
	return app.Entity("m", "e").Field("x"), rules, problems
}

func TestDefaults(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))
	row := map[string]value.Value{
		"name": value.OfText("Ada"), "qty": value.OfInt(3), "price": value.OfInt(1999), "ratio": value.OfFloat(0.5),
		"gift": value.OfBool(true), "at": value.OfText("2026-01-01T00:00:00+00:00"), "tags": value.OfText(`["a","b"]`),
		"meta": value.OfText(`{"k":{"n":9007199254740993,"f":1.5}}`), "blob": value.OfBytes("ab"),
	}
	for _, c := range []struct{ typ, source, want string }{
		{"type: text", "auth.uid", "u1"},
		{"type: text", "'by ' + auth.role", "by authenticated"},
		{"type: text", "row.name + '-' + string(row.qty)", "Ada-3"},
		{"type: text", "row.gift ? 'gift' : 'sale'", "gift"},
		{"type: text, optional: true", "row.gift ? null : 'sale'", ""},
		{"type: int", "size(row.name) * row.qty", "9"},
		{"type: int", "row.meta.k.n", "9007199254740993"},
		{"type: decimal, scale: 3", "row.price * 1.5", "29.985"},
		{"type: decimal, scale: 2", "0.10", "0.10"},
		{"type: decimal, scale: 2", "row.gift ? 1 : 2.5", "1.00"},
		{"type: decimal, scale: 2", "-row.price + 20", "0.01"},
		{"type: decimal, scale: 17", "row.qty > 1 ? 0.12345678901234567 : 0", "0.12345678901234567"},
		{"type: bool", "row.price == 19.99 && row.price in [1, 19.99] && row.price > 19", "true"},
		{"type: float", "row.ratio + 1", "1.5"},
		{"type: float", "1", "1"},
		{"type: timestamp", "now() + duration('1h')", "2026-01-02T03:04:05.6789+00:00"},
		{"type: timestamp", "row.at", "2026-01-01T00:00:00+00:00"},
		{"type: date", "string(now()).substring(0, 10)", "?"},
		{"type: date", "'2026-02-03'", "2026-02-03"},
		{"type: text, list: true", "row.tags + ['c']", `["a","b","c"]`},
		{"type: text, list: true", "row.tags.map(x, x + x)", `["aa","bb"]`},
		{"type: text, list: true", "[]", `[]`},
		{"type: decimal, scale: 1, list: true", "[1, 2.5]", `[1.0,2.5]`},
		{"type: json", "{'b': [1, 2.5, null, row.gift], 'a': row.price}", `{"a":19.99,"b":[1,2.5,null,true]}`},
		{"type: json", "row.meta", `{"k":{"f":1.5,"n":9007199254740993}}`},
		{"type: bytes", "row.blob", `\x6162`},
		{"type: enum, values: [low, high]", "row.qty > 2 ? 'high' : 'low'", "high"},
		{"type: uuid", "'0190A0B0-0000-7000-8000-000000000000'", "0190a0b0-0000-7000-8000-000000000000"},
		{"type: bool", "auth.roles.exists(r, r == 'staff') || auth.service", "false"},
		{"type: bool", "row.other_id == null", "true"},
	} {
		t.Run(c.typ+" "+c.source, func(t *testing.T) {
			f, rules, problems := withDefault(t, c.typ, c.source)
			if c.want == "?" {
				if len(problems) == 0 {
					t.Fatal("a function that does not exist was accepted")
				}
				return
			}
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			compute, ok := rules.Default(f)
			if !ok {
				t.Fatal("there is no default")
			}
			v, err := compute(Identity{Role: Authenticated, UID: "u1"}, row, now)
			if err != nil {
				t.Fatalf("%v (%v)", err, fault.From(err).Cause)
			}
			if got := string(f.Type.AppendText(nil, v)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestDefaultFaults(t *testing.T) {
	for _, c := range []struct {
		typ, source string
		code        fault.Code
	}{
		{"type: text", "row.name + 'x'", fault.InvalidText},                 // of null
		{"type: bool", "row.name == 'x'", fault.InvalidText},                // unknown
		{"type: bool", "'x' != row.name", fault.InvalidText},                // unknown
		{"type: bool", "row.name == auth.email", fault.InvalidText},         // both null
		{"type: bool", "row.qty in [1]", fault.InvalidText},                 // unknown
		{"type: int", "1 / (size('') + 0)", fault.InvalidText},              // division by zero
		{"type: int", "9223372036854775807 + size('a')", fault.InvalidText}, // overflow
		{"type: text, max: 2", "'abc'", fault.TextTooLong},                  // the field's limits
		{"type: enum, values: [a]", "'b'", fault.InvalidText},               // the field's words
		{"type: decimal, scale: 1", "0.25", fault.InvalidText},              // never rounded
		{"type: text", "auth.claims.org", fault.InvalidText},                // no such claim
		{"type: int", "[1,2,3,4,5,6,7,8,9].map(a, [1,2,3,4,5,6,7,8,9].map(b, [1,2,3,4,5,6,7,8,9].map(c, [1,2,3,4,5,6,7,8,9].map(d, a*b*c*d)))).size()", fault.LimitExceeded},
	} {
		t.Run(c.source, func(t *testing.T) {
			f, rules, problems := withDefault(t, c.typ, c.source)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			compute, _ := rules.Default(f)
			v, err := compute(Identity{}, nil, time.Time{})
			if !fault.Is(err, c.code) {
				t.Errorf("got %v and %v, want %s", v, err, c.code)
			}
		})
	}
}

func TestDefaultProblems(t *testing.T) {
	for _, c := range []struct{ typ, source, want string }{
		{"type: int", "'a'", "a default must be int, and this is text"},
		{"type: int", "row.price", "a default must be int, and this is decimal"},
		{"type: text", "row.nam", "m.e has no field nam (did you mean name?)"},
		{"type: text", "row.other.name", "a default sees one row: it cannot follow the relation other (the row itself has other_id)"},
		{"type: text", "old.name", "a default cannot use old (old is known in an update policy's `check` and in the `when` of an event on update)"},
		{"type: text", "request.ip", "a default cannot use request (a rule about the request belongs into the entity's policy)"},
		{"type: text", "auth", "auth alone is no value: name one of its members (for example auth.uid)"},
		{"type: timestamp", "timestamp('today')", `"today" is no RFC 3339 timestamp (write timestamp("2026-01-02T03:04:05Z"))`},
		{"type: decimal, scale: 2", "decimal('1,5')", `"1,5" is not a decimal number`},
		{"type: text", " ", "the expression is empty"},
	} {
		t.Run(c.source, func(t *testing.T) {
			f, rules, problems := withDefault(t, c.typ, c.source)
			if _, ok := rules.Default(f); ok || len(problems) != 1 {
				t.Fatalf("got %v, want one problem and no rule", problems)
			}
			got := problems[0].Message
			if problems[0].Hint != "" {
				got += " (" + problems[0].Hint + ")"
			}
			if got != c.want || problems[0].Line != 5 {
				t.Errorf("got line %d: %s\nwant %s", problems[0].Line, got, c.want)
			}
		})
	}
}

// TestDefaultAbsorbsUnknown: a known side decides && and || whatever the other
// one is, as in SQL.
func TestDefaultAbsorbsUnknown(t *testing.T) {
	for source, want := range map[string]int64{
		"row.name == 'x' || row.name == null": 1,
		"row.name != 'x' && row.name != null": 0,
		"!(row.name == 'x') || true":          1,
	} {
		f, rules, problems := withDefault(t, "type: bool", source)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		compute, _ := rules.Default(f)
		if v, err := compute(Identity{}, nil, time.Time{}); err != nil || v.Int != want || v.IsNull() {
			t.Errorf("%s is %v, %v, want %d", source, v, err, want)
		}
	}
}
