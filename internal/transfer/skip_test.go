package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/transfer"
)

// TestSkipBad stores the good rows, and imports the file of the bad ones once
// it is corrected.
func TestSkipBad(t *testing.T) {
	const text = "id,name,price\n1,a,1\n2,b\n3,c,x\n4,\"d\"\"\",4\n1,e,5\n5,f\"g,6\n6,\"h,\ni\",1.234\n7,j,7\n"
	const bad = `_line,_code,_reason,id,name,price
3,PGRST102,"the row has 2 cells, the header has 3",2,b
4,22P02,"invalid input syntax for type decimal(2): ""x"": in field 'price' (decimal(2))",3,c,x
6,23505,"duplicate key value violates unique constraint ""products_pkey"": Key (id)=(1) already exists.",1,e,5
7,PGRST102,"malformed CSV: a quote stands inside a cell that is not quoted","5,f""g,6"
8,22P02,"`
	f := newFixture(t, files(shop))
	var errs bytes.Buffer
	report, err := f.imports(transfer.ImportOptions{SkipBad: true, Errors: &errs}, transfer.CSV, text)
	if err != nil {
		t.Fatal(show(err))
	}
	if report.Rows != 3 || report.Skipped != 5 || report.LastLine != 10 || len(report.Problems) != 5 {
		t.Errorf("report %+v", report)
	}
	if got := errs.String(); !strings.HasPrefix(got, bad) || !strings.HasSuffix(got, ",6,\"h,\ni\",1.234\n") {
		t.Errorf("the bad rows are\n%s\nwant\n%s...", got, bad)
	}
	if got, want := f.rows("id", "name", "price"), "id,name,price\n1,a,1.00\n4,\"d\"\"\",4.00\n7,j,7.00\n"; got != want {
		t.Errorf("rows\n%swant\n%s", got, want)
	}
	corrected := strings.NewReplacer("2,b\n", "2,b,\n", "c,x", "c,3", "1,e,5", "8,e,5", `"5,f""g,6"`, `5,"f""g",6`, "1.234", "1.23").Replace(errs.String())
	report, err = f.imports(transfer.ImportOptions{}, transfer.CSV, corrected)
	if err != nil || report.Rows != 5 {
		t.Fatalf("the corrected rows: %+v, %s", report, show(err))
	}
}

func TestSkipBadObjects(t *testing.T) {
	const text = "[{\"id\":1,\"name\":\"a\"},\n{\"id\":2, \"name\":null,\n \"note\":\"\xff\"},\n{},[\"x\"],\n{\"id\":3,\"name\":\"b\"}]"
	f := newFixture(t, files(shop))
	var errs bytes.Buffer
	report, err := f.imports(transfer.ImportOptions{SkipBad: true, Errors: &errs}, transfer.JSON, text)
	if err != nil {
		t.Fatal(show(err))
	}
	if report.Rows != 2 || report.Skipped != 3 {
		t.Errorf("report %+v", report)
	}
	lines := strings.Split(errs.String(), "\n")
	for i, want := range []string{
		`{"_line":2,"_code":"23502","_reason":"null value`, `{"_line":4,"_code":"23502","_reason":"null value`, `{"_line":4,"_code":"PGRST102","_reason":"a row is an object`,
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("bad row %d is %s", i, lines[i])
		}
	}
	if !strings.HasSuffix(lines[0], `,"id":2,"name":null,"note":"`+"\xff"+`"}`) || !strings.HasSuffix(lines[2], `,"_row":"[\"x\"]"}`) {
		t.Errorf("the bad rows are\n%s", errs.String())
	}
	corrected := strings.ReplaceAll(lines[0], "null,\"note\":\"\xff\"", `"n"`)
	if report, err = f.imports(transfer.ImportOptions{}, transfer.NDJSON, corrected); err != nil || report.Rows != 1 {
		t.Errorf("the corrected row: %+v, %s", report, show(err))
	}
}

// TestManyBad counts every bad row and keeps the first hundred.
func TestManyBad(t *testing.T) {
	f := newFixture(t, files(shop))
	text := "id,name\n1,a\n" + strings.Repeat("x,a\n", 1234)
	var errs bytes.Buffer
	report, err := f.imports(transfer.ImportOptions{Errors: &errs}, transfer.CSV, text)
	if err == nil || !strings.Contains(show(err), "22P02: 1234 rows of the file cannot be stored, so nothing was") {
		t.Errorf("error %s", show(err))
	}
	if report.Rows != 0 || report.Skipped != 1234 || len(report.Problems) != 100 || report.Problems[99].Line != 102 {
		t.Errorf("report: %d rows, %d skipped, %d problems", report.Rows, report.Skipped, len(report.Problems))
	}
	if n := strings.Count(errs.String(), "\n"); n != 1235 {
		t.Errorf("%d lines of bad rows", n)
	}
	if got := f.rows("id"); got != "id\n" {
		t.Errorf("rows %q", got)
	}
}

// list is a CSV file with the products from first to last, one a line.
func list(first, last int) string {
	var b strings.Builder
	b.WriteString("id,name\n")
	for i := first; i <= last; i++ {
		fmt.Fprintf(&b, "%d,n%d\n", i, i)
	}
	return b.String()
}

// TestStopped stops an import in its middle. What the report says is stored,
// nothing else is, and going on as the hint says completes it.
func TestStopped(t *testing.T) {
	const last = 10000
	f := newFixture(t, files(shop))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := transfer.Import(ctx, f.engine, service(), transfer.ImportOptions{
		Target: products(), Format: transfer.CSV, Reader: strings.NewReader(list(1, last)), SkipBad: true,
		Progress: func(_, _ int64, rows int) {
			if rows > 5000 {
				cancel()
			}
		},
	})
	if !fault.Is(err, fault.QueryCanceled) {
		t.Fatalf("error %s", show(err))
	}
	if got := strings.Count(f.rows("id"), "\n") - 1; got != report.Rows || got != 4096 || report.LastLine != 4097 {
		t.Fatalf("%d rows are stored, the report is %+v", got, report)
	}
	_, after, _ := strings.Cut(fault.From(err).Hint, "--from ")
	from, perr := strconv.Atoi(after)
	if perr != nil {
		t.Fatalf("the hint is %q", fault.From(err).Hint)
	}
	report, err = f.imports(transfer.ImportOptions{From: from}, transfer.CSV, list(1, last))
	if err != nil || report.Rows != last-4096 {
		t.Fatalf("going on from %d: %+v, %s", from, report, show(err))
	}
}

func TestStoppedWhole(t *testing.T) {
	f := newFixture(t, files(shop))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := transfer.Import(ctx, f.engine, service(), transfer.ImportOptions{
		Target: products(), Format: transfer.CSV, Reader: strings.NewReader(list(1, 10000)),
		Progress: func(int64, int64, int) { cancel() },
	})
	if !fault.Is(err, fault.QueryCanceled) || !strings.Contains(show(err), "the import was stopped (nothing was stored") {
		t.Errorf("error %s", show(err))
	}
	if got := f.rows("id"); got != "id\n" || report.Rows != 0 {
		t.Errorf("report %+v, rows %q", report, got)
	}
}

// TestBrokenFile ends where a file cannot be read further: what is before that
// place is stored with SkipBad.
func TestBrokenFile(t *testing.T) {
	broken := errors.New("the wire was cut")
	for _, skip := range []bool{false, true} {
		f := newFixture(t, files(shop))
		report, err := transfer.Import(t.Context(), f.engine, service(), transfer.ImportOptions{
			Target: products(), Format: transfer.CSV, SkipBad: skip,
			Reader: io.MultiReader(strings.NewReader(list(1, 6000)), iotest.ErrReader(broken)),
		})
		if !errors.Is(err, broken) {
			t.Errorf("skip %v: error %s", skip, show(err))
		}
		stored := strings.Count(f.rows("id"), "\n") - 1
		if want := map[bool]int{true: 6000}[skip]; report.Rows != stored || stored != want {
			t.Errorf("skip %v: %d rows are stored, the report is %+v", skip, stored, report)
		}
		if want := "go on with --from 6002"; skip && !strings.Contains(show(err), want) {
			t.Errorf("error %s lacks %q", show(err), want)
		}
	}
}

func TestErrorsNotWritten(t *testing.T) {
	f := newFixture(t, files(shop))
	w := closedPipe(t)
	report, err := f.imports(transfer.ImportOptions{SkipBad: true, Errors: w}, transfer.CSV, "id,name\n1,a\nx,b\n")
	if !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(show(err), "1 rows are stored: go on with --from 4") {
		t.Errorf("error %s", show(err))
	}
	if report.Rows != 1 {
		t.Errorf("report %+v", report)
	}
}

// closedPipe is a writer whose reader is gone.
func closedPipe(t *testing.T) io.Writer {
	t.Helper()
	r, w := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestLongRows reads rows that are longer than the window, and refuses those
// that are longer than a row may be.
func TestLongRows(t *testing.T) {
	f := newFixture(t, files(shop))
	long := strings.Repeat("é,", 100_000)
	huge := strings.Repeat("x", 17<<20)
	text := "id,name,note\n1,a,\"" + long + "\"\n2,b," + huge + "\n3,\"c,d\n4,e,\"" + huge + "\"\n5,f,\n"
	report, err := f.imports(transfer.ImportOptions{SkipBad: true}, transfer.CSV, text)
	if err != nil {
		t.Fatal(show(err))
	}
	var lines []int
	for _, p := range report.Problems {
		lines = append(lines, p.Line)
	}
	if diff := cmp.Diff([]int{3, 4, 5}, lines); diff != "" {
		t.Errorf("bad lines (-want +got):\n%s", diff)
	}
	if got, want := f.rows("id", "note"), "id,note\n1,\""+long+"\"\n5,\n"; got != want {
		t.Errorf("%d bytes of rows, want %d", len(got), len(want))
	}
	report, err = f.imports(transfer.ImportOptions{SkipBad: true}, transfer.NDJSON, "{\"id\":6,\"name\":\""+huge+"\"}\n{\"id\":7,\"name\":\"g\"}")
	if err != nil || report.Rows != 1 || report.Skipped != 1 {
		t.Errorf("lines: %+v, %s", report, show(err))
	}
	_, err = f.imports(transfer.ImportOptions{}, transfer.JSON, "[{\"id\":8,\"name\":\""+huge+"\"}]")
	if err == nil || !strings.Contains(show(err), "longer than 16777216 bytes") {
		t.Errorf("elements: %s", show(err))
	}
}

// TestSlowReader reads a byte at a time.
func TestSlowReader(t *testing.T) {
	for format, text := range map[transfer.Format]string{
		transfer.CSV: "\ufeffid,name,note\r\n1,\"a\"\"b\",\"c\r\nd\"\r\n2,e,\r\n", transfer.JSON: `[{"id":1,"name":"a\"b","note":"c\r\nd"}, {"id":2,"name":"e"}]`,
		transfer.NDJSON: "{\"id\":1,\"name\":\"a\\\"b\",\"note\":\"c\\r\\nd\"}\n{\"id\":2,\"name\":\"e\"}",
	} {
		f := newFixture(t, files(shop))
		_, err := transfer.Import(t.Context(), f.engine, service(), transfer.ImportOptions{
			Target: products(), Format: format, Reader: iotest.OneByteReader(strings.NewReader(text)),
		})
		if err != nil {
			t.Fatal(show(err))
		}
		if got, want := f.rows("id", "name", "note"), "id,name,note\n1,\"a\"\"b\",\"c\r\nd\"\n2,e,\n"; got != want {
			t.Errorf("%s: rows %q, want %q", format, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	f := newFixture(t, files(shop))
	text := list(1, 9000)
	for _, skip := range []bool{false, true} {
		var bytes, rows int64
		var calls atomic.Int32
		_, err := f.imports(transfer.ImportOptions{SkipBad: skip, Ignore: true, Size: int64(len(text)), Progress: func(done, total int64, n int) {
			if done < bytes || int64(n) < rows || total != int64(len(text)) {
				t.Errorf("progress went from %d bytes, %d rows to %d of %d, %d", bytes, rows, done, total, n)
			}
			bytes, rows = done, int64(n)
			calls.Add(1)
		}}, transfer.CSV, text)
		if err != nil {
			t.Fatal(show(err))
		}
		if bytes != int64(len(text)) || !skip && rows != 9000 || calls.Load() < 10 {
			t.Errorf("at the end %d of %d bytes, %d rows, after %d calls", bytes, len(text), rows, calls.Load())
		}
	}
}

// twice is a driver whose every write is undone once and run again, as happens
// when a neighbour's failure undoes a group.
type twice struct{ store.Driver }

func (d twice) Write(ctx context.Context, fn func(store.Tx) error) error {
	undo := errors.New("undo")
	return d.Driver.Write(ctx, func(tx store.Tx) error {
		err := tx.Savepoint(func() error { return errors.Join(fn(tx), undo) })
		if !errors.Is(err, undo) {
			return err
		}
		return fn(tx)
	})
}

// TestSecondRun holds imports to one outcome when their transaction is run
// again, and refuses those that are too long for that.
func TestSecondRun(t *testing.T) {
	f := newFixture(t, files(shop))
	again := f.on(twice{f.driver})
	report, err := again.imports(transfer.ImportOptions{SkipBad: true}, transfer.CSV, list(1, 1000)+"x,y\n"+strings.TrimPrefix(list(1001, 2000), "id,name\n"))
	if err != nil || report.Rows != 2000 || report.Skipped != 1 {
		t.Errorf("report %+v, %s", report, show(err))
	}
	if got := strings.Count(f.rows("id"), "\n") - 1; got != 2000 {
		t.Errorf("%d rows are stored", got)
	}
	_, err = again.imports(transfer.ImportOptions{}, transfer.CSV, list(2001, 12000))
	if !fault.Is(err, fault.Serialization) {
		t.Errorf("a long load: %s", show(err))
	}
	if got := strings.Count(f.rows("id"), "\n") - 1; got != 2000 {
		t.Errorf("%d rows are stored", got)
	}
}

func TestExport(t *testing.T) {
	f := newFixture(t, files(shop))
	f.must("makers", "code,name\nacme,Acme\n")
	f.must("products", "id,name,note,price,maker,secret\n2,b,\"\",2.5,acme,s\n1,\"a,\"\"\",,,,s\n")
	tests := []struct {
		name string
		opt  transfer.ExportOptions
		want string
	}{
		{"csv", transfer.ExportOptions{Format: transfer.CSV}, "id,name,note,price,stock,sku,maker\n1,\"a,\"\"\",,,7,,\n2,b,\"\",2.50,7,,acme\n"},
		{
			"json",
			transfer.ExportOptions{Format: transfer.JSON},
			`[{"id":1,"name":"a,\"","note":null,"price":null,"stock":7,"sku":null,"maker":null},{"id":2,"name":"b","note":"","price":2.50,"stock":7,"sku":null,"maker":"acme"}]` + "\n",
		},
		{"ndjson of some fields", transfer.ExportOptions{Format: transfer.NDJSON, Select: selected("name")}, "{\"name\":\"a,\\\"\"}\n{\"name\":\"b\"}\n"},
		{
			"some rows", transfer.ExportOptions{Format: transfer.CSV, Select: selected("id"), Where: &query.Compare{
				Left: &query.FieldRef{Path: query.Path{Field: "id"}}, Op: query.Gt, Right: &query.Literal{Text: "1"},
			}}, "id\n2\n",
		},
		{"another entity", transfer.ExportOptions{Format: transfer.CSV, Target: query.Target{Entity: "makers"}}, "code,name\nacme,Acme\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.opt.Target.Entity == "" {
				tt.opt.Target = products()
			}
			if diff := cmp.Diff(tt.want, f.export(tt.opt)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	w := closedPipe(t)
	if _, err := transfer.Export(t.Context(), f.engine, service(), transfer.ExportOptions{Target: products(), Format: transfer.CSV, Writer: w}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %s", show(err))
	}
	if _, err := transfer.Export(t.Context(), f.engine, service(), transfer.ExportOptions{Target: products(), Format: "xls", Writer: w}); err == nil {
		t.Error("an unknown format is no error")
	}
}
