package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// SeedsDir is the folder of an application in which seeds lie.
const SeedsDir = "seeds"

// Seed is a file whose rows were loaded.
type Seed struct {
	File   string // seeds/01_shop.products.csv
	Entity string // shop.products
	Rows   int
}

// SeedOptions say where seeds lie and go. All but Fresh are required.
type SeedOptions struct {
	Driver store.Driver // the engine's
	FS     fs.FS        // of the application
	// Fresh says that the store was made just now. Only then are seeds loaded,
	// or where loading them was begun and did not come to its end.
	Fresh bool
	Now   func() time.Time // default time.Now
}

// Seeds loads the files of the folder seeds into a new store, once. A file is
// called module.entity.csv, .json or .ndjson, or entity.csv where that names
// one entity; a number may stand in front (01_entity.csv). Files are loaded in
// an order in which references find their rows, else by name; each in one
// transaction with the record that it was loaded (table pando_seeds), so that
// a start that was cut off goes on where it stood.
//
// It returns what this call loaded. An error names the file and its line.
func Seeds(ctx context.Context, e *engine.Engine, id policy.Identity, opt SeedOptions) ([]Seed, error) {
	files, err := findSeeds(e, opt.FS)
	if err != nil {
		return nil, err
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s := &seeding{e: e, id: id, opt: opt, loaded: map[string]int{}}
	if open, err := s.begin(ctx, len(files) > 0); err != nil || !open {
		return nil, err
	}
	left := slices.DeleteFunc(inOrder(files), func(f *seedFile) bool {
		_, ok := s.loaded[f.path]
		return ok
	})
	if len(left) == 0 {
		return nil, opt.Driver.Write(ctx, s.end)
	}
	var out []Seed
	for i, f := range left {
		rows, err := s.load(ctx, f, i == len(left)-1)
		if err != nil {
			return out, err
		}
		out = append(out, Seed{File: f.path, Entity: f.entity.QualifiedName(), Rows: rows})
	}
	return out, nil
}

type seedFile struct {
	path   string
	format Format
	entity *model.Entity
}

func findSeeds(e *engine.Engine, fsys fs.FS) ([]*seedFile, error) {
	entries, err := fs.ReadDir(fsys, SeedsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the folder %s could not be read", SeedsDir)
	}
	number := regexp.MustCompile(`^[0-9]+[_-]`)
	var files []*seedFile
	for _, entry := range entries { // by name
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || strings.EqualFold(path.Ext(name), ".md") {
			continue
		}
		f := &seedFile{path: path.Join(SeedsDir, name)}
		if f.format, err = FormatOf(name); err != nil {
			return nil, fault.New(fault.ConfigInvalid, "%s is no seed file", f.path).WithHint("seeds are .csv, .json or .ndjson")
		}
		module, entity, ok := strings.Cut(number.ReplaceAllString(strings.TrimSuffix(name, path.Ext(name)), ""), ".")
		if !ok {
			module, entity = "", module
		}
		if f.entity, err = e.Entity(query.Target{Module: module, Entity: entity}); err != nil {
			c := *fault.From(err)
			c.Code, c.Message = fault.ConfigInvalid, f.path+": "+c.Message
			return nil, &c
		}
		files = append(files, f)
	}
	return files, nil
}

// inOrder sorts files so that an entity's come behind those of the entities
// that it refers to. Where references form a circle the names decide.
func inOrder(files []*seedFile) []*seedFile {
	of := map[*model.Entity][]*seedFile{}
	for _, f := range files {
		of[f.entity] = append(of[f.entity], f)
	}
	var out []*seedFile
	seen := map[*model.Entity]bool{}
	var visit func(*model.Entity)
	visit = func(e *model.Entity) {
		if seen[e] {
			return
		}
		seen[e] = true
		for _, f := range e.Fields {
			if f.Ref != nil {
				visit(f.Ref.Target)
			}
		}
		out = append(out, of[e]...)
	}
	for _, f := range files {
		visit(f.entity)
	}
	return out
}

// seeding is one run over the seeds.
type seeding struct {
	e      *engine.Engine
	id     policy.Identity
	opt    SeedOptions
	loaded map[string]int // rows of each file that is recorded
}

// The record of the whole has no file. Its rows are unfinished until every
// file is loaded.
const (
	wholeRecord = ""
	unfinished  = -1
)

// begin reads the records. It returns whether there is something to do.
func (s *seeding) begin(ctx context.Context, files bool) (bool, error) {
	read := &store.Statement{SQL: "SELECT file, rows FROM pando_seeds"}
	err := s.opt.Driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(read, nil, func(row store.Row) error {
			s.loaded[string(row.Append(nil, 0))] = int(row.Int(1))
			return nil
		})
	})
	if err != nil {
		return false, err
	}
	rows, begun := s.loaded[wholeRecord]
	if begun || !s.opt.Fresh || !files {
		return begun && rows == unfinished, nil
	}
	return true, s.opt.Driver.Write(ctx, func(tx store.Tx) error { return s.record(tx, wholeRecord, unfinished) })
}

func (s *seeding) record(tx store.Tx, file string, rows int) error {
	d := s.opt.Driver.Dialect()
	st := &store.Statement{SQL: "INSERT INTO pando_seeds (file, at, rows) VALUES (" + d.Param(1) + ", " + d.Param(2) + ", " + d.Param(3) + ")"}
	_, err := tx.Exec(st, []value.Value{value.OfText(file), value.OfTimestamp(s.opt.Now().UTC()), value.OfInt(int64(rows))})
	return err
}

// end records that every file is loaded.
func (s *seeding) end(tx store.Tx) error {
	d := s.opt.Driver.Dialect()
	total := &store.Statement{SQL: "UPDATE pando_seeds SET rows = (SELECT coalesce(sum(rows), 0) FROM pando_seeds WHERE file <> " + d.Param(1) + ") WHERE file = " + d.Param(1)}
	_, err := tx.Exec(total, []value.Value{value.OfText(wholeRecord)})
	return err
}

// load loads a file; the last one's transaction is that of end, too.
func (s *seeding) load(ctx context.Context, f *seedFile, last bool) (int, error) {
	file, err := s.opt.FS.Open(f.path)
	if err != nil {
		return 0, fault.Wrap(err, fault.ConfigInvalid, "%s could not be read", f.path)
	}
	defer file.Close() //nolint:errcheck // it was only read
	im, err := newImporter(ctx, s.e, s.id, ImportOptions{
		Target: query.Target{Module: f.entity.Module.Name, Entity: f.entity.Name}, Reader: file, Format: f.format, Quiet: true,
	})
	if err == nil {
		err = im.whole(func(tx store.Tx, rows int) error {
			if err := s.record(tx, f.path, rows); err != nil || !last {
				return err
			}
			return s.end(tx)
		})
	}
	if err != nil {
		c := *fault.From(err)
		c.Message = f.path + ": " + c.Message
		switch c.Code {
		case fault.QueryCanceled, fault.DiskFull, fault.StoreIO, fault.StoreUnavailable, fault.Serialization, fault.Internal:
		default:
			c.Hint = "correct the file, or take it out of " + SeedsDir + ": the next start goes on with it"
		}
		return 0, &c
	}
	return im.report.Rows, nil
}
