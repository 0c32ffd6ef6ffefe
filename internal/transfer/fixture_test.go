package transfer_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/transfer"
)

// fixture is an application on a database of its own.
type fixture struct {
	t      testing.TB
	engine *engine.Engine
	driver store.Driver
	path   string
	config engine.Config
}

// service is the caller that `pando import` acts as.
func service() policy.Identity { return policy.Identity{Role: policy.Service} }

func newFixture(t testing.TB, fsys fs.FS) *fixture {
	t.Helper()
	app, problems := model.Load(fsys, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	rules, ruleProblems := policy.Compile(app)
	if ruleProblems != nil {
		t.Fatal(ruleProblems)
	}
	dir := t.TempDir()
	db := teststore.New(t)
	d := db.Open(t)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	plan, err := migrate.Prepare(t.Context(), d, app)
	if err == nil {
		err = migrate.Apply(t.Context(), d, plan, migrate.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	config := engine.Config{App: app, Rules: rules, Driver: d, Signer: signer}
	return &fixture{t: t, engine: engine.New(config), driver: d, path: db.Path, config: config}
}

// with is the same fixture in another test.
func (f *fixture) with(t testing.TB) *fixture {
	c := *f
	c.t = t
	return &c
}

// on is the same application on what stands before its database.
func (f *fixture) on(d store.Driver) *fixture {
	c := f.config
	c.Driver = d
	return &fixture{t: f.t, engine: engine.New(c), driver: f.driver, path: f.path, config: c}
}

// shop has a product with a reference, a check, a unique key and a default.
const shop = `
entities:
  makers:
    fields:
      code: { type: text, primary: true }
      name: { type: text }
  products:
    fields:
      id:     { type: int, primary: true }
      name:   { type: text, max: 20 }
      note:   { type: text, optional: true }
      price:  { type: decimal, scale: 2, optional: true }
      stock:  { type: int, default: 7 }
      sku:    { type: text, optional: true }
      maker:  { ref: makers, as: made_by, optional: true }
      secret: { type: text, optional: true, hidden: true }
    unique: [[sku]]
    check:  ["row.stock >= 0"]
`

func files(module string) fstest.MapFS {
	return fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: test\n")},
		"modules/m.yaml": {Data: []byte("module: m\n" + module)},
	}
}

func products() query.Target { return query.Target{Module: "m", Entity: "products"} }

func (f *fixture) imports(opt transfer.ImportOptions, format transfer.Format, text string) (*transfer.Report, error) {
	f.t.Helper()
	if opt.Target.Entity == "" {
		opt.Target = products()
	}
	opt.Format, opt.Reader = format, strings.NewReader(text)
	return transfer.Import(f.t.Context(), f.engine, service(), opt)
}

// must imports CSV that has to go in.
func (f *fixture) must(entity, text string) {
	f.t.Helper()
	if _, err := f.imports(transfer.ImportOptions{Target: query.Target{Entity: entity}}, transfer.CSV, text); err != nil {
		f.t.Fatal(show(err))
	}
}

// rows exports some fields of the products.
func (f *fixture) rows(fields ...string) string {
	f.t.Helper()
	return f.export(transfer.ExportOptions{Target: products(), Format: transfer.CSV, Select: selected(fields...)})
}

func selected(fields ...string) []query.Item {
	var items []query.Item
	for _, name := range fields {
		items = append(items, &query.Column{Path: query.Path{Field: name}})
	}
	return items
}

func (f *fixture) export(opt transfer.ExportOptions) string {
	f.t.Helper()
	var out strings.Builder
	opt.Writer = &out
	n, err := transfer.Export(f.t.Context(), f.engine, service(), opt)
	if err != nil {
		f.t.Fatal(show(err))
	}
	if opt.Format == transfer.NDJSON && n != strings.Count(out.String(), "\n") {
		f.t.Errorf("%d rows were told, the text is\n%s", n, out.String())
	}
	return out.String()
}

// show writes a fault in full, for messages and comparisons.
func show(err error) string {
	f := fault.From(err)
	if f == nil {
		return ""
	}
	s := string(f.Code) + ": " + f.Error()
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	if f.Code == fault.Internal && f.Cause != nil {
		s += " [" + f.Cause.Error() + "]"
	}
	return s
}

// anonymous is a caller without a key.
func anonymous() policy.Identity { return policy.Identity{Role: policy.Anon} }
