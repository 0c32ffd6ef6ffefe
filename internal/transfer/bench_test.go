package transfer_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"testing"

	zs "zombiezen.com/go/sqlite"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/transfer"
	"github.com/pandobase/pando/internal/value"
)

// BenchmarkImport compares an import of the runways with a bare loop over one
// prepared statement in one transaction, which is given finished values.
func BenchmarkImport(b *testing.B) {
	a := airports()[3]
	file := openAirports(b, a.entity)
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			f := newFixture(b, os.DirFS(airportsApp))
			if _, err := file.Seek(0, 0); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			_, err := transfer.Import(b.Context(), f.engine, service(), transfer.ImportOptions{
				Target: query.Target{Entity: a.entity}, Reader: file, Size: info.Size(), Format: transfer.CSV, Map: a.rename,
			})
			if err != nil {
				b.Fatal(show(err))
			}
		}
		b.ReportMetric(float64(a.rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("bare", func(b *testing.B) {
		f := newFixture(b, os.DirFS(airportsApp))
		rows, statement := f.values(b, a)
		for b.Loop() {
			b.StopTimer()
			f := newFixture(b, os.DirFS(airportsApp))
			b.StartTimer()
			bareInsert(b, f.path, statement, rows)
		}
		b.ReportMetric(float64(a.rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

// values reads the file into what the store binds.
func (f *fixture) values(b *testing.B, a airport) ([][]value.Value, string) {
	b.Helper()
	e := f.engine.App().Entity("", a.entity)
	records, err := csv.NewReader(openAirports(b, a.entity)).ReadAll()
	if err != nil {
		b.Fatal(err)
	}
	rows := make([][]value.Value, 0, len(records)-1)
	for _, rec := range records[1:] {
		row := make([]value.Value, len(rec))
		for i, cell := range rec {
			name := records[0][i]
			if to, ok := a.rename[name]; ok {
				name = to
			}
			field := e.Field(name)
			if cell == "" && field.Optional {
				continue
			}
			if row[i], err = field.Type.FromText(cell); err != nil {
				b.Fatal(err)
			}
		}
		rows = append(rows, row)
	}
	names := make([]string, len(records[0]))
	for i, name := range records[0] {
		if to, ok := a.rename[name]; ok {
			name = to
		}
		names[i] = `"` + name + `"`
	}
	return rows, fmt.Sprintf(`INSERT INTO "%s" (%s) VALUES (?%s)`, store.TableOf(e).QualifiedName(), strings.Join(names, ","), strings.Repeat(",?", len(names)-1))
}

func bareInsert(b *testing.B, path, statement string, rows [][]value.Value) {
	b.Helper()
	c, err := zs.OpenConn(path, zs.OpenReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}()
	run := func(sql string) {
		s, _, err := c.PrepareTransient(sql)
		if err != nil {
			b.Fatal(err)
		}
		for more := true; more; {
			if more, err = s.Step(); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Finalize(); err != nil {
			b.Fatal(err)
		}
	}
	for _, sql := range []string{"PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON", "PRAGMA cache_size=-16384", "PRAGMA wal_autocheckpoint=16000", "BEGIN IMMEDIATE"} {
		run(sql)
	}
	s, err := c.Prepare(statement)
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range rows {
		for i := range row {
			switch v := &row[i]; v.Tag {
			case value.TagInt:
				s.BindInt64(i+1, v.Int)
			case value.TagFloat:
				s.BindFloat(i+1, v.Float)
			case value.TagText:
				s.BindText(i+1, v.Str)
			case value.TagBytes:
				s.BindBytes(i+1, []byte(v.Str))
			case value.TagNull:
				s.BindNull(i + 1)
			}
		}
		if _, err := s.Step(); err != nil {
			b.Fatal(err)
		}
		if err := s.Reset(); err != nil {
			b.Fatal(err)
		}
	}
	run("COMMIT")
}
