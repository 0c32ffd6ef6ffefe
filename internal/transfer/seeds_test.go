package transfer_test

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/transfer"
)

func seedFS(seeds map[string]string) fstest.MapFS {
	out := maps.Clone(files(shop))
	for name, text := range seeds {
		out["seeds/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func (f *fixture) seed(fsys fstest.MapFS, fresh bool) ([]transfer.Seed, error) {
	f.t.Helper()
	return transfer.Seeds(f.t.Context(), f.engine, service(), transfer.SeedOptions{
		Driver: f.driver, FS: fsys, Fresh: fresh, Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	})
}

// records is what pando_seeds holds.
func (f *fixture) records() string {
	f.t.Helper()
	var b strings.Builder
	st := &store.Statement{SQL: "SELECT file || ' ' || at || ' ' || rows FROM pando_seeds ORDER BY file"}
	err := f.driver.Read(f.t.Context(), false, func(r store.Reader) error {
		return r.Query(st, nil, func(row store.Row) error {
			b.Write(append(row.Append(nil, 0), '\n'))
			return nil
		})
	})
	if err != nil {
		f.t.Fatal(show(err))
	}
	return b.String()
}

func TestSeeds(t *testing.T) {
	f := newFixture(t, files(shop))
	fsys := seedFS(map[string]string{
		"01_products.csv": "id,name,maker\n1,a,acme\n", "m.products.ndjson": "{\"id\":2,\"name\":\"b\",\"maker\":\"acme\"}\n",
		"99-makers.json": `[{"code":"acme","name":"Acme"}]`, "README.md": "about", ".hidden": "x",
	})
	got, err := f.seed(fsys, true)
	if err != nil {
		t.Fatal(show(err))
	}
	want := []transfer.Seed{
		{File: "seeds/99-makers.json", Entity: "m.makers", Rows: 1},
		{File: "seeds/01_products.csv", Entity: "m.products", Rows: 1},
		{File: "seeds/m.products.ndjson", Entity: "m.products", Rows: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	const at = " 2026-01-02T03:04:05+00:00 "
	if diff := cmp.Diff(at+"3\nseeds/01_products.csv"+at+"1\nseeds/99-makers.json"+at+"1\nseeds/m.products.ndjson"+at+"1\n", f.records()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for _, fresh := range []bool{true, false} {
		if again, err := f.seed(seedFS(map[string]string{"products.csv": "id,name\n3,c\n"}), fresh); err != nil || len(again) > 0 {
			t.Errorf("a second time: %v, %s", again, show(err))
		}
	}
	if got := f.rows("id"); got != "id\n1\n2\n" {
		t.Errorf("rows %q", got)
	}
}

// TestSeedsOfAnOldStore leaves a store alone that was not made just now.
func TestSeedsOfAnOldStore(t *testing.T) {
	f := newFixture(t, files(shop))
	got, err := f.seed(seedFS(map[string]string{"products.csv": "id,name\n1,a\n"}), false)
	if err != nil || len(got) > 0 || f.records() != "" {
		t.Errorf("loaded %v, %s, records %q", got, show(err), f.records())
	}
	if got, err := f.seed(files(shop), true); err != nil || len(got) > 0 {
		t.Errorf("without seeds: %v, %s", got, show(err))
	}
}

// TestSeedsWithoutTheBadFile: a bad file that was the last one and is taken out
// leaves nothing but the end.
func TestSeedsWithoutTheBadFile(t *testing.T) {
	f := newFixture(t, files(shop))
	seeds := map[string]string{"makers.csv": "code,name\nacme,Acme\n", "products.csv": "id,name,maker\n1,a,nobody\n"}
	if got, err := f.seed(seedFS(seeds), true); err == nil || len(got) != 1 {
		t.Fatalf("loaded %v, %s", got, show(err))
	}
	delete(seeds, "products.csv")
	if got, err := f.seed(seedFS(seeds), false); err != nil || len(got) != 0 {
		t.Errorf("without the bad file: %v, %s", got, show(err))
	}
	const at = " 2026-01-02T03:04:05+00:00 "
	if diff := cmp.Diff(at+"1\nseeds/makers.csv"+at+"1\n", f.records()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	seeds["products.csv"] = "id,name,maker\n1,a,acme\n"
	if got, err := f.seed(seedFS(seeds), false); err != nil || len(got) != 0 {
		t.Errorf("a file that came after the end: %v, %s", got, show(err))
	}
}

// TestSeedsGoOn breaks the loading off at a bad file and goes on once it is
// corrected, with what was loaded before left alone.
func TestSeedsGoOn(t *testing.T) {
	f := newFixture(t, files(shop))
	seeds := map[string]string{"makers.csv": "code,name\nacme,Acme\n", "products.csv": "id,name,maker\n1,a,acme\n1,b,acme\n"}
	got, err := f.seed(seedFS(seeds), true)
	for _, part := range []string{"23505", "seeds/products.csv", "line 3", "correct the file"} {
		if !strings.Contains(show(err), part) {
			t.Errorf("the error lacks %q: %s", part, show(err))
		}
	}
	if len(got) != 1 || f.rows("id") != "id\n" {
		t.Errorf("loaded %v, rows %q", got, f.rows("id"))
	}
	seeds["products.csv"] = "id,name,maker\n1,a,acme\n2,b,acme\n"
	if got, err = f.seed(seedFS(seeds), false); err != nil || len(got) != 1 || got[0].Rows != 2 {
		t.Errorf("after the correction: %v, %s", got, show(err))
	}
	if got, err = f.seed(seedFS(seeds), false); err != nil || len(got) != 0 {
		t.Errorf("a third time: %v, %s", got, show(err))
	}
}

// TestSeedsOnce has no seed's rows twice where its transaction is run again.
func TestSeedsOnce(t *testing.T) {
	f := newFixture(t, files(shop))
	d := twice{f.driver}
	_, err := transfer.Seeds(t.Context(), f.on(d).engine, service(), transfer.SeedOptions{Driver: d, FS: seedFS(map[string]string{"makers.csv": "code,name\na,A\n"}), Fresh: true})
	if err != nil {
		t.Fatal(show(err))
	}
	if got := strings.Count(f.records(), "\n"); got != 2 {
		t.Errorf("records %q", f.records())
	}
	if got := f.export(transfer.ExportOptions{Target: query.Target{Entity: "makers"}, Format: transfer.CSV}); got != "code,name\na,A\n" {
		t.Errorf("rows %q", got)
	}
}

func TestSeedsRefuse(t *testing.T) {
	for name, want := range map[string]string{
		"prodcts.csv": "seeds/prodcts.csv: Could not find the entity 'prodcts'", "x.products.csv": "seeds/x.products.csv", "products.txt": "seeds/products.txt is no seed file",
	} {
		f := newFixture(t, files(shop))
		_, err := f.seed(seedFS(map[string]string{name: "id,name\n1,a\n"}), true)
		if !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(show(err), want) {
			t.Errorf("%s: %s", name, show(err))
		}
		if got := f.rows("id"); got != "id\n" || f.records() != "" {
			t.Errorf("%s: rows %q, records %q", name, got, f.records())
		}
	}
	f := newFixture(t, files(shop))
	_, err := f.seed(seedFS(map[string]string{"products.csv": "id,nam\n1,a\n"}), true)
	if !fault.Is(err, fault.UnknownInput) || !strings.Contains(show(err), `seeds/products.csv: m.products has no field "nam"`) {
		t.Errorf("an unknown column: %s", show(err))
	}
}
