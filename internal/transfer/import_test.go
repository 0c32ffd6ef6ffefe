package transfer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/transfer"
)

// TestImport holds good files to the rows that they make.
func TestImport(t *testing.T) {
	tests := []struct {
		name   string
		format transfer.Format
		text   string
		opt    transfer.ImportOptions
		want   string // id, name, note, stock, maker as CSV
		kept   int
	}{
		{"plain", transfer.CSV, "id,name\n1,a\n2,b\n", transfer.ImportOptions{}, "1,a,,7,\n2,b,,7,\n", 0},
		{"byte order mark, CRLF, no line end", transfer.CSV, "\ufeffid,name\r\n1,a\r\n2,b", transfer.ImportOptions{}, "1,a,,7,\n2,b,,7,\n", 0},
		{"order of columns", transfer.CSV, "stock,name,id\n3,a,1\n", transfer.ImportOptions{}, "1,a,,3,\n", 0},
		{"quotes", transfer.CSV, "id,name,note\n1,\"a \"\"b\"\", c\",\"x\r\ny\n\"\n", transfer.ImportOptions{}, "1,\"a \"\"b\"\", c\",\"x\r\ny\n\",7,\n", 0},
		{"empty cells", transfer.CSV, "id,name,note,maker\n1,,,\n2,\"\",\"\",\n", transfer.ImportOptions{}, "1,\"\",,7,\n2,\"\",\"\",7,\n", 0},
		{"empty lines", transfer.CSV, "id,name\n\n1,a\n\r\n\n2,b\n\n", transfer.ImportOptions{}, "1,a,,7,\n2,b,,7,\n", 0},
		{"no rows", transfer.CSV, "id,name\n", transfer.ImportOptions{}, "", 0},
		{"map", transfer.CSV, "Nr,Title,Junk,id2\n1,a,x,y\n", transfer.ImportOptions{Map: map[string]string{"Nr": "id", "Title": "name", "Junk": "-", "id2": ""}}, "1,a,,7,\n", 0},
		{"from", transfer.CSV, "id,name\n1,a\n2,\"b\nc\"\n3,d\n", transfer.ImportOptions{From: 4}, "3,d,,7,\n", 0},
		{"reference", transfer.CSV, "id,name,maker\n1,a,acme\n", transfer.ImportOptions{}, "1,a,,7,acme\n", 0},
		{"normal form", transfer.CSV, "id,name\n1,e\u0301\n", transfer.ImportOptions{}, "1,\u00e9,,7,\n", 0},
		{"json", transfer.JSON, ` [ {"id":1,"name":"a","note":null} , {"name":"\u0062","id":"2","stock":5} ] `, transfer.ImportOptions{}, "1,a,,7,\n2,b,,5,\n", 0},
		{"json without rows", transfer.JSON, "[]", transfer.ImportOptions{}, "", 0},
		{"json map", transfer.JSON, `[{"Nr":1,"name":"a","x":{"y":[1,"]"]}}]`, transfer.ImportOptions{Map: map[string]string{"Nr": "id", "x": "-"}}, "1,a,,7,\n", 0},
		{"escaped key", transfer.JSON, `[{"i\u0064":1,"name":"a"}]`, transfer.ImportOptions{}, "1,a,,7,\n", 0},
		{"last duplicate", transfer.JSON, `[{"id":1,"name":"a","name":"b"}]`, transfer.ImportOptions{}, "1,b,,7,\n", 0},
		{"ndjson", transfer.NDJSON, "\ufeff{\"id\":1,\"name\":\"a\"}\r\n\n {\"id\":2,\"name\":\"b\",\"note\":\"\"}", transfer.ImportOptions{}, "1,a,,7,\n2,b,\"\",7,\n", 0},
		{"ndjson without rows", transfer.NDJSON, "\n", transfer.ImportOptions{}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, files(shop))
			f.must("makers", "code,name\nacme,Acme\n")
			report, err := f.imports(tt.opt, tt.format, tt.text)
			if err != nil {
				t.Fatal(show(err))
			}
			got := strings.TrimPrefix(f.rows("id", "name", "note", "stock", "maker"), "id,name,note,stock,maker\n")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if report.Kept != tt.kept || report.Skipped != 0 {
				t.Errorf("report: %+v", report)
			}
		})
	}
}

// TestImportRefuses holds bad files to what is said about them. Nothing of
// them may be stored.
func TestImportRefuses(t *testing.T) {
	tests := []struct {
		name   string
		format transfer.Format
		text   string
		opt    transfer.ImportOptions
		want   []string // parts of the fault in full
	}{
		{"empty", transfer.CSV, "", transfer.ImportOptions{}, []string{"PGRST102: the file has no header line"}},
		{"unknown columns", transfer.CSV, "id,Name,prise,zzz\n1,a,2,3\n", transfer.ImportOptions{}, []string{
			`PGRST204: m.products has no fields "Name", "prise", "zzz"`, "--map Name=name,prise=price,zzz=-",
		}},
		{"other separator", transfer.CSV, "id;name\n1;a\n", transfer.ImportOptions{}, []string{`separated by commas here, not by ";"`}},
		{"a field for a shell", transfer.CSV, "id,my name\n1,a\n", transfer.ImportOptions{}, []string{`--map "my name=-"`}},
		{"twice", transfer.CSV, "id,id\n1,2\n", transfer.ImportOptions{}, []string{`42701: the file has the column "id" twice`}},
		{"two for one", transfer.CSV, "id,nr\n1,2\n", transfer.ImportOptions{Map: map[string]string{"nr": "id"}}, []string{`42701: the columns "id" and "nr" both go to the field "id" (leave one out: --map nr=-)`}},
		{"map to nothing", transfer.CSV, "id,nr\n1,2\n", transfer.ImportOptions{Map: map[string]string{"nr": "nam"}}, []string{`no field "nam"`, "--map nr=name"}},
		{"map from nothing", transfer.CSV, "id,name\n1,2\n", transfer.ImportOptions{Map: map[string]string{"nam": "name"}}, []string{`the file has no column "nam"`, "--map name=name"}},
		{"no columns", transfer.CSV, "id,name\n1,2\n", transfer.ImportOptions{Map: map[string]string{"id": "-", "name": "-"}}, []string{"no column of the file goes to a field"}},
		{"UTF-16", transfer.CSV, "\xff\xfei\x00d\x00", transfer.ImportOptions{}, []string{"22021: the file is UTF-16"}},
		{"gzip", transfer.CSV, "\x1f\x8b\x08", transfer.ImportOptions{}, []string{"gzip"}},
		{"Latin-1 header", transfer.CSV, "id,n\xe9me\n", transfer.ImportOptions{}, []string{"22021: the header is not valid UTF-8"}},
		{"unknown entity", transfer.CSV, "", transfer.ImportOptions{Target: query.Target{Entity: "prodcts"}}, []string{"PGRST205", "products"}},
		{"unknown format", "xml", "", transfer.ImportOptions{}, []string{`there is no format "xml"`}},
		{"no key of that name", transfer.CSV, "id,name\n1,a\n", transfer.ImportOptions{OnConflict: []string{"name"}}, []string{"42P10"}},

		{"ragged", transfer.CSV, "id,name\n1,a\n2\n3,c,d\n", transfer.ImportOptions{}, []string{"PGRST102: 2 rows", "line 3: the row has 1 cells, the header has 2; line 4: the row has 3 cells"}},
		{"stray quote", transfer.CSV, "id,name\n1,a\"b\n2,\"c\"d\n", transfer.ImportOptions{}, []string{"line 2: malformed CSV: a quote stands inside", "line 3: malformed CSV: a character follows the closing quote"}},
		{"open quote", transfer.CSV, "id,name\n1,\"a\n2,b\n", transfer.ImportOptions{}, []string{"1 row ", "line 2: malformed CSV: a quoted cell is not closed"}},
		{"NUL", transfer.CSV, "id,name\n1,a\x00b\n", transfer.ImportOptions{}, []string{"22021", "line 2", "NUL", "'name'"}},
		{"not UTF-8", transfer.CSV, "id,name\n1,a\xff\n", transfer.ImportOptions{}, []string{"22021", "line 2", "UTF-8"}},
		{"wrong type", transfer.CSV, "id,name\nx,a\n", transfer.ImportOptions{}, []string{"22P02", "line 2", `"x"`, "'id'"}},
		{"past 64 bits", transfer.CSV, "id,name\n9223372036854775808,a\n", transfer.ImportOptions{}, []string{"22003", "line 2"}},
		{"too long", transfer.CSV, "id,name\n1,aaaaaaaaaaaaaaaaaaaaa\n", transfer.ImportOptions{}, []string{"22001", "at most 20"}},
		{"required", transfer.CSV, "id,stock\n1,2\n", transfer.ImportOptions{}, []string{"23502", "line 2", `"name"`}},
		{"check", transfer.CSV, "id,name,stock\n1,a,-1\n", transfer.ImportOptions{}, []string{"23514", "line 2"}},
		{"reference", transfer.CSV, "id,name,maker\n1,a,nobody\n", transfer.ImportOptions{}, []string{"23503", "line 2", "(maker)=(nobody)"}},
		{"key twice", transfer.CSV, "id,name\n1,a\n1,b\n", transfer.ImportOptions{}, []string{"23505", "line 3", "(id)=(1)"}},
		{"key stored", transfer.CSV, "id,name\n100,a\n", transfer.ImportOptions{}, []string{"23505", "line 2"}},

		{"no array", transfer.JSON, `{"id":1}`, transfer.ImportOptions{}, []string{"expected one array of objects", "--format ndjson"}},
		{"empty JSON", transfer.JSON, ` `, transfer.ImportOptions{}, []string{"the file is empty"}},
		{"cut off", transfer.JSON, "[{\"id\":1,\"name\":\"a\"},\n{\"id\":2,", transfer.ImportOptions{}, []string{"begins in line 2"}},
		{"cut off between", transfer.JSON, `[{"id":1,"name":"a"},`, transfer.ImportOptions{}, []string{"ends inside the array"}},
		{"comma at the end", transfer.JSON, `[{"id":1,"name":"a"},]`, transfer.ImportOptions{}, []string{"expected an object, not ']'"}},
		{"comma missing", transfer.JSON, `[{"id":1,"name":"a"}{"id":2,"name":"a"}]`, transfer.ImportOptions{}, []string{"expected a comma"}},
		{"something behind", transfer.JSON, `[{"id":1,"name":"a"}] []`, transfer.ImportOptions{}, []string{"something follows"}},
		{"no object", transfer.JSON, `[1,{"id":1,"name":"a"}]`, transfer.ImportOptions{}, []string{"line 1: a row is an object"}},
		{"malformed inside", transfer.JSON, "[{\"id\":1,\"name\":a},\n{\"id\":2,\"name\":7.}]", transfer.ImportOptions{}, []string{"2 rows", "line 1: malformed JSON; line 2: malformed JSON"}},
		{"unknown key at first", transfer.JSON, `[{"id":1,"nam":"a","x":1}]`, transfer.ImportOptions{}, []string{`no fields "nam", "x"`, "--map nam=name,x=-"}},
		{"unknown key later", transfer.JSON, `[{"id":1,"name":"a"},{"id":2,"name":"b","x":1}]`, transfer.ImportOptions{}, []string{"1 row ", `no field "x"`}},
		{"two keys for one", transfer.JSON, `[{"id":1,"name":"a","n":"b"}]`, transfer.ImportOptions{Map: map[string]string{"n": "name"}}, []string{`42701`, `"name" and "n"`}},
		{"malformed line", transfer.NDJSON, "{\"id\":1,\"name\":\"a\"}\n{\"id\":2\n", transfer.ImportOptions{}, []string{"line 2: malformed JSON"}},
		{"keys of no object", transfer.NDJSON, "[1]\n{\"id\":2,\"name\":\"b\"}\n", transfer.ImportOptions{OnConflict: []string{"id"}}, []string{"a row is an object", "line 1, whose keys"}},
		{"replacing nothing with a cut off array", transfer.JSON, "[", transfer.ImportOptions{OnConflict: []string{"id"}}, []string{"ends inside the array"}},
		{"other keys", transfer.NDJSON, "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\",\"stock\":1}\n{\"id\":3}\n", transfer.ImportOptions{OnConflict: []string{"id"}}, []string{
			`line 2: the row gives "stock", which the first row does not`, `line 3: the row does not give "name"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, files(shop))
			f.must("products", "id,name\n100,stored\n")
			report, err := f.imports(tt.opt, tt.format, tt.text)
			if err == nil {
				t.Fatalf("no error; report %+v", report)
			}
			for _, part := range tt.want {
				if !strings.Contains(show(err), part) {
					t.Errorf("the error lacks %q:\n%s", part, show(err))
				}
			}
			if report.Rows != 0 {
				t.Errorf("%d rows are said to be stored", report.Rows)
			}
			if got := f.rows("id"); got != "id\n100\n" {
				t.Errorf("there are rows: %q", got)
			}
		})
	}
}

func TestImportIsAuthorised(t *testing.T) {
	f := newFixture(t, files(shop))
	_, err := transfer.Import(t.Context(), f.engine, anonymous(), transfer.ImportOptions{
		Target: products(), Format: transfer.CSV, Reader: strings.NewReader("id,name\n1,a\n"),
	})
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("import by nobody: %s", show(err))
	}
	if _, err := transfer.Export(t.Context(), f.engine, anonymous(), transfer.ExportOptions{
		Target: products(), Format: transfer.CSV, Writer: &strings.Builder{},
	}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("export by nobody: %s", show(err))
	}
	if got := f.rows("id"); got != "id\n" {
		t.Errorf("there are rows: %q", got)
	}
}

func TestUpsert(t *testing.T) {
	const stored = "id,name,note,sku\n1,a,x,s1\n2,b,y,s2\n"
	tests := []struct {
		name   string
		format transfer.Format
		text   string
		opt    transfer.ImportOptions
		want   string
		rows   int
		kept   int
	}{
		{
			"replace", transfer.CSV, "id,name\n2,c\n3,d\n",
			transfer.ImportOptions{OnConflict: []string{"id"}},
			"1,a,x,s1\n2,c,y,s2\n3,d,,\n", 2, 0,
		},
		{
			"replace by another key", transfer.CSV, "sku,name,id\ns1,c,1\n",
			transfer.ImportOptions{OnConflict: []string{"sku"}},
			"1,c,x,s1\n2,b,y,s2\n", 1, 0,
		},
		{
			"the later row stays", transfer.CSV, "id,name\n3,c\n3,d\n",
			transfer.ImportOptions{OnConflict: []string{"id"}},
			"1,a,x,s1\n2,b,y,s2\n3,d,,\n", 2, 0,
		},
		{
			"ignore", transfer.CSV, "id,name\n2,c\n3,d\n",
			transfer.ImportOptions{Ignore: true},
			"1,a,x,s1\n2,b,y,s2\n3,d,,\n", 1, 1,
		},
		{
			"what an object leaves out stays", transfer.NDJSON, `{"name":"c","id":2}`,
			transfer.ImportOptions{OnConflict: []string{"id"}},
			"1,a,x,s1\n2,c,y,s2\n", 1, 0,
		},
		{
			"ignore with other keys", transfer.NDJSON, "{\"name\":\"c\",\"id\":2}\n{\"name\":\"d\",\"id\":3,\"note\":\"z\"}",
			transfer.ImportOptions{Ignore: true},
			"1,a,x,s1\n2,b,y,s2\n3,d,z,\n", 1, 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, files(shop))
			f.must("products", stored)
			report, err := f.imports(tt.opt, tt.format, tt.text)
			if err != nil {
				t.Fatal(show(err))
			}
			if got := strings.TrimPrefix(f.rows("id", "name", "note", "sku"), "id,name,note,sku\n"); got != tt.want {
				t.Errorf("rows\n%swant\n%s", got, tt.want)
			}
			if report.Rows != tt.rows || report.Kept != tt.kept {
				t.Errorf("report %+v, want %d rows and %d kept", report, tt.rows, tt.kept)
			}
		})
	}
}

func TestFormatOf(t *testing.T) {
	for file, want := range map[string]transfer.Format{"a.csv": transfer.CSV, "b/C.JSON": transfer.JSON, "x.ndjson": transfer.NDJSON, "x.jsonl": transfer.NDJSON} {
		if got, err := transfer.FormatOf(file); got != want || err != nil {
			t.Errorf("FormatOf(%q) = %q, %v", file, got, err)
		}
	}
	if _, err := transfer.FormatOf("data"); err == nil || !strings.Contains(show(err), "--format") {
		t.Errorf("a file without a suffix: %s", show(err))
	}
	if _, err := transfer.ParseFormat("cvs"); err == nil || !strings.Contains(show(err), `"csv"`) {
		t.Errorf("ParseFormat(cvs): %s", show(err))
	}
}
