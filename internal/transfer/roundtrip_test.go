package transfer_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/transfer"
)

// everything has each type, required and optional, and as a list.
const everything = `
entities:
  things:
    fields:
      id:   { type: int, primary: true }
      t:    { type: text }
      t0:   { type: text, optional: true }
      i0:   { type: int, optional: true }
      f0:   { type: float, optional: true }
      d0:   { type: decimal, scale: 3, optional: true }
      b0:   { type: bool, optional: true }
      u0:   { type: uuid, optional: true }
      ts0:  { type: timestamp, optional: true }
      da0:  { type: date, optional: true }
      ti0:  { type: time, optional: true }
      j0:   { type: json, optional: true }
      by0:  { type: bytes, optional: true }
      e0:   { type: enum, values: [red, " ", "a,b", 'say "x"'], optional: true }
      fi:   { type: file }
      fi0:  { type: file, optional: true }
      tl0:  { type: text, list: true, optional: true }
      il0:  { type: int, list: true, optional: true }
      dl0:  { type: decimal, scale: 1, list: true, optional: true }
      el0:  { type: enum, values: [red, " "], list: true, optional: true }
      made: { type: timestamp, default: now(), optional: true }
`

// values draws a JSON value for each of the fields.
func values(t *rapid.T, id int) map[string]any {
	text := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'é', '\u0301', '"', ',', '\n', '\r', ' ', '\t', '\\', ';', '\x01', '\ufeff', '😀', '0', 'N'}), 0, 8, -1)
	number := rapid.Custom(func(t *rapid.T) json.Number {
		return json.Number(fmt.Sprintf("%d.%03d", rapid.Int64Range(-1e14, 1e14).Draw(t, "units"), rapid.IntRange(0, 999).Draw(t, "thousandths")))
	})
	row := map[string]any{"id": id, "t": text.Draw(t, "t"), "fi": text.Draw(t, "fi")}
	optional := map[string]*rapid.Generator[any]{
		"t0": text.AsAny(), "fi0": text.AsAny(), "tl0": rapid.SliceOfN(text, 0, 3).AsAny(),
		"i0": rapid.Int64().AsAny(), "il0": rapid.SliceOfN(rapid.Int64(), 0, 3).AsAny(),
		"f0": rapid.Float64Range(-1e300, 1e300).AsAny(), "d0": number.AsAny(), "b0": rapid.Bool().AsAny(),
		"dl0": rapid.SliceOfN(rapid.SampledFrom([]json.Number{"0", "-1.5", "12.3"}), 0, 3).AsAny(),
		"u0":  rapid.Just("0190A1B2-c3d4-7e5f-8a9b-0c1d2e3f4a5b").AsAny(),
		"ts0": rapid.SampledFrom([]string{"2026-01-02T03:04:05.678901+02:00", "0001-01-01 00:00:00Z", "9999-12-31 23:59:59.999999"}).AsAny(),
		"da0": rapid.SampledFrom([]string{"2026-02-28", "0001-01-01"}).AsAny(), "ti0": rapid.SampledFrom([]string{"03:04:05.6", "23:59:59.999999", "00:00"}).AsAny(),
		"j0":  rapid.OneOf(rapid.Just[any](nil), text.AsAny(), rapid.MapOfN(text, rapid.SliceOfN(text, 0, 2), 0, 3).AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny()),
		"by0": rapid.SampledFrom([]string{`\x`, `\x00ff22`, `\x2c0a`}).AsAny(), "e0": rapid.SampledFrom([]string{"red", " ", "a,b", `say "x"`}).AsAny(),
		"el0": rapid.SliceOfN(rapid.SampledFrom([]string{"red", " "}), 0, 3).AsAny(), "made": rapid.Just[any](nil),
	}
	for name, g := range optional {
		row[name] = rapid.OneOf(rapid.Just[any](nil), g).Draw(t, name)
	}
	return row
}

// TestRoundTrip exports random rows in each format and imports them elsewhere:
// every format gives the same rows back.
func TestRoundTrip(t *testing.T) {
	source, target := newFixture(t, files(everything)), newFixture(t, files(everything))
	things := query.Target{Entity: "things"}
	rapid.Check(t, func(rt *rapid.T) {
		empty(t, source)
		var text strings.Builder
		for id := range rapid.IntRange(0, 4).Draw(rt, "rows") {
			raw, err := json.Marshal(values(rt, id))
			if err != nil {
				rt.Fatal(err)
			}
			text.Write(append(raw, '\n'))
		}
		if _, err := source.imports(transfer.ImportOptions{Target: things}, transfer.NDJSON, text.String()); err != nil {
			rt.Fatalf("%s\n%s", show(err), text.String())
		}
		want := source.export(transfer.ExportOptions{Target: things, Format: transfer.NDJSON})
		for _, format := range []transfer.Format{transfer.CSV, transfer.JSON, transfer.NDJSON} {
			empty(t, target)
			out := source.export(transfer.ExportOptions{Target: things, Format: format})
			if _, err := target.imports(transfer.ImportOptions{Target: things}, format, out); err != nil {
				rt.Fatalf("%s\n%s", show(err), out)
			}
			if diff := cmp.Diff(want, target.export(transfer.ExportOptions{Target: things, Format: transfer.NDJSON})); diff != "" {
				rt.Fatalf("%s (-exported +imported):\n%s\nthe file:\n%s", format, diff, out)
			}
		}
	})
}

// TestOneColumn has a file whose empty lines are rows.
func TestOneColumn(t *testing.T) {
	const module = "\nentities:\n  notes: { fields: { note: { type: text, optional: true } } }\n"
	opt := transfer.ExportOptions{Target: query.Target{Entity: "notes"}, Format: transfer.CSV, Select: selected("note")}
	file := "note\na\n\n\"\"\nb\n"
	for range 2 {
		f := newFixture(t, files(module))
		if _, err := f.imports(transfer.ImportOptions{Target: opt.Target}, transfer.CSV, file); err != nil {
			t.Fatal(show(err))
		}
		file = f.export(opt)
		lines := strings.Split(file, "\n")
		slices.Sort(lines) // keys of one millisecond have no order
		if diff := cmp.Diff([]string{"", "", "\"\"", "a", "b", "note"}, lines); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	}
}

// empty deletes the things.
func empty(t testing.TB, f *fixture) {
	t.Helper()
	if _, err := f.engine.Write(t.Context(), service(), &query.Write{Action: query.Delete, Target: query.Target{Entity: "things"}, All: true}, nil); err != nil {
		t.Fatal(show(err))
	}
}

// FuzzImport holds any file to this: no panic and no internal error, all or
// nothing, a report that tells what is stored, and for what encoding/csv reads
// the rows that it reads.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"id,name\n1,a\n", "\ufeffid,name,note\r\n1,\"a\"\"\n\",\"\"\r\n\r\n2,b,", "id,name\n1,\"a\n2,b\n", "id,name\n1\n2,b,c\n", "id;name\n1;a\n", "name\n\n\"\"\n",
		"id,_line,_code,_reason,name\n1,,,,\x00\n", "id,name\n1,\xff\n", `[{"id":1,"name":"a"}]`, `[{"id":1},{"id":"x","name":[{}]},7,`, "{\"id\":1,\"name\":\"\\u0000\"}\n{}\n[", `[[]]`, "[{\"\\ud800\":1}]", "id,id\n", "\r", "\"\r\n",
	} {
		for format := range uint8(6) {
			f.Add(format, seed)
		}
	}
	fix := newFixture(f, files(shop))
	f.Fuzz(func(t *testing.T, mode uint8, text string) {
		fix := fix.with(t)
		if _, err := fix.engine.Write(t.Context(), service(), &query.Write{Action: query.Delete, Target: products(), All: true}, nil); err != nil {
			t.Fatal(show(err))
		}
		format := []transfer.Format{transfer.CSV, transfer.JSON, transfer.NDJSON}[mode%3]
		skip := mode/3%2 == 1
		var errs strings.Builder
		report, err := fix.imports(transfer.ImportOptions{SkipBad: skip, Errors: &errs}, format, text)
		if err != nil && strings.HasPrefix(show(err), "XX000") {
			t.Fatal(show(err))
		}
		stored := strings.Count(fix.export(transfer.ExportOptions{Target: products(), Format: transfer.NDJSON}), "\n")
		if stored != report.Rows || err != nil && !skip && stored > 0 {
			t.Fatalf("%d rows are stored, the report is %+v, the error %s", stored, report, show(err))
		}
		if report.Skipped > 0 && errs.Len() == 0 || report.Skipped == 0 && errs.Len() > 0 {
			t.Fatalf("%d bad rows, written as %q", report.Skipped, errs.String())
		}
		if err != nil || format != transfer.CSV {
			return
		}
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
		if records, err := r.ReadAll(); err == nil && len(records[0]) > 1 && len(records)-1 != report.Rows+report.Skipped {
			t.Fatalf("encoding/csv reads %d rows, the report is %+v", len(records)-1, report)
		}
	})
}
