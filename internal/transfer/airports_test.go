package transfer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/transfer"
)

// The example application and, beside the project, the data that it is for.
const (
	airportsApp  = "../../examples/airports"
	airportsData = "../../../shared/data/ourairports"
)

// airport is one file of the data, as examples/airports/README.md imports it.
type airport struct {
	entity string
	rows   int
	rename map[string]string
}

func airports() []airport {
	return []airport{
		{"countries", 249, nil},
		{"regions", 3987, nil},
		{"navaids", 11008, map[string]string{"usageType": "usage_type"}},
		{"runways", 48184, map[string]string{"le_heading_degT": "le_heading_deg", "he_heading_degT": "he_heading_deg"}},
	}
}

func openAirports(t testing.TB, entity string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(airportsData, entity+".csv"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the data of OurAirports is not at %s; it is public at https://ourairports.com/data/", airportsData)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// TestAirports imports the real files whole, and holds the README to it.
func TestAirports(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(airportsApp, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, os.DirFS(airportsApp))
	for _, a := range airports() {
		if underRace && a.rows > 5000 {
			continue // SQLite is fifty times slower there
		}
		command := "pando import " + a.entity + " "
		if !strings.Contains(string(readme), command) {
			t.Errorf("README.md does not show %q", command)
		}
		for from, to := range a.rename {
			if !strings.Contains(string(readme), from+"="+to) {
				t.Errorf("README.md does not map %s=%s", from, to)
			}
		}
		report, err := transfer.Import(t.Context(), f.engine, service(), transfer.ImportOptions{
			Target: query.Target{Entity: a.entity}, Reader: openAirports(t, a.entity), Format: transfer.CSV, Map: a.rename,
		})
		if err != nil {
			t.Fatalf("%s: %s", a.entity, show(err))
		}
		if report.Rows != a.rows {
			t.Errorf("%s: %d rows, want %d", a.entity, report.Rows, a.rows)
		}
		back := f.export(transfer.ExportOptions{Target: query.Target{Entity: a.entity}, Format: transfer.NDJSON})
		if n := strings.Count(back, "\n"); n != a.rows {
			t.Errorf("%s: %d rows come back, want %d", a.entity, n, a.rows)
		}
	}
	if err := f.driver.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
