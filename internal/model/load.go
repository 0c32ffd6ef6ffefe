package model

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// The files of an application, relative to its folder.
const (
	ConfigFile = "pando.yaml"
	LockFile   = "pando.lock"
	ModulesDir = "modules"
)

// The parts of the language that a build can act on or not; [Features.Active]
// holds those that it does.
const (
	PartPolicy       = "policy"
	PartAuth         = "auth"
	PartOperations   = "operations"
	PartFunctions    = "functions"
	PartEvents       = "events"
	PartJobs         = "jobs"
	PartWebhooks     = "webhooks"
	PartIntegrations = "integrations"
	PartCache        = "cache"
	PartRealtime     = "realtime"
	PartPartitions   = "partitions"
	PartVersions     = "versions" // beyond v1
)

// Features says what the build enforces and acts on. The zero Features is a
// build that serves entities and nothing else.
type Features struct {
	// A key that protects is refused as long as it is not enforced.
	Encrypted     bool
	Retain        bool
	FieldPolicies bool

	// Active holds the parts (the Part constants) that the build acts on;
	// declared parts that are not among them are listed in [App.Inactive].
	Active map[string]bool
}

// Load reads and checks the application in fsys: pando.yaml, modules/*.yaml and
// pando.lock, but for *.test.yaml, which [LoadTests] reads. env is the environment in the form of os.Environ; its PANDO_*
// variables override pando.yaml. Load returns the application, or every
// problem that it has, sorted by place; never both.
//
// It is safe to call with files that nobody trusts: their size and depth are
// bounded, and YAML aliases are refused.
func Load(fsys fs.FS, env []string, features Features) (*App, []Problem) {
	l := &loader{fsys: fsys, features: features, report: &report{}, app: &App{
		modules:     map[string]*Module{},
		unqualified: map[string]*Entity{},
	}}
	g := newGrammar()
	l.loadConfig(g, env)
	l.loadModules(g)
	l.loadLock(g)
	l.resolve()
	if len(l.report.problems) > 0 {
		return nil, l.report.sorted()
	}
	l.app.nameUnqualified()
	l.app.newViews()
	if l.checkViews(); len(l.report.problems) > 0 {
		return nil, l.report.sorted()
	}
	l.app.fixed = sync.OnceValue(l.app.newLock)
	l.app.Inactive = l.inactive()
	l.app.Warnings = slices.Concat(l.scattered(), l.circles())
	return l.app, nil
}

// loader is the state of one Load.
type loader struct {
	fsys     fs.FS
	features Features
	report   *report
	app      *App
	files    []*moduleFile
	// unknown holds the modules of which a file could not be read: what refers
	// to them is not reported, for it may be there.
	unknown map[string]bool
	// authGiven: pando.yaml sets something about identity.
	authGiven bool
}

// moduleFile is a module with the file that it was written in.
type moduleFile struct {
	*document
	raw      rawModule
	module   *Module
	entities []*entityDraft
}

// entityDraft is an entity with what was written about it.
type entityDraft struct {
	*Entity
	file   *moduleFile
	raw    *rawEntity
	fields []*fieldDraft
}

// fieldDraft is a field with what was written about it.
type fieldDraft struct {
	*Field
	raw   *rawField
	state typing
	// broken: not every key of it was understood, so that nothing follows from
	// what is missing.
	broken bool
}

// typing is how far a field's type is known; it finds circles of references.
type typing uint8

const (
	untyped typing = iota
	inProgress
	typed
)

func (l *loader) loadConfig(g *grammar, env []string) {
	d, err := readDocument(l.fsys, ConfigFile, l.report)
	if errors.Is(err, fs.ErrNotExist) {
		l.report.add(Pos{File: ConfigFile}, "`pando init DIR` makes an application; -C DIR chooses its folder", "there is no %s here", ConfigFile)
	}
	if err != nil {
		d = &document{file: ConfigFile, report: l.report}
	}
	d.override(g.config.schema, env)
	var raw rawConfig
	if d.root != nil {
		raw, _ = g.config.decode(d, d.root)
	}
	l.config(d, &raw)
}

func (l *loader) loadModules(g *grammar) {
	l.unknown = map[string]bool{}
	entries, err := fs.ReadDir(l.fsys, ModulesDir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.report.add(Pos{File: ModulesDir}, "", "cannot be read: %s", reason(err))
		}
	}
	for _, e := range entries {
		name := path.Join(ModulesDir, e.Name())
		stem, isModule := strings.CutSuffix(e.Name(), ".yaml")
		switch {
		case strings.HasPrefix(e.Name(), "."), e.IsDir(), strings.HasSuffix(e.Name(), TestSuffix):
			continue
		case strings.HasSuffix(e.Name(), ".yml"):
			l.report.add(Pos{File: name}, "rename it to "+strings.TrimSuffix(name, ".yml")+".yaml", "module files end in .yaml")
			l.unknown[strings.TrimSuffix(e.Name(), ".yml")] = true
			continue
		case !isModule:
			continue
		}
		d, err := readDocument(l.fsys, name, l.report)
		if err != nil {
			l.unknown[stem] = true
			continue
		}
		if d.root == nil {
			l.report.add(Pos{File: name}, "start with module: "+stem, "the file is empty")
			continue
		}
		f := &moduleFile{document: d}
		f.raw, _ = g.module.decode(d, d.root)
		l.declare(f, stem)
	}
	l.addBuiltin()
	slices.SortFunc(l.app.Modules, func(a, b *Module) int { return strings.Compare(a.Name, b.Name) })
}

// declare makes the module's shells: names without what they mean.
func (l *loader) declare(f *moduleFile, stem string) {
	name := f.raw.module
	if !name.ok {
		l.unknown[stem] = true
		return
	}
	if slices.Contains(ReservedModules(), name.v) {
		f.problem(name.n, "choose another name", "a module cannot be called %s, which is Pando's own", name.v)
		return
	}
	if other := l.app.modules[name.v]; other != nil {
		f.problem(name.n, "one file per module", "the module %s is already in %s", name.v, other.Pos)
		return
	}
	f.module = &Module{Name: name.v, Pos: f.pos(name.n), Doc: f.raw.doc.v, entities: map[string]*Entity{}}
	l.app.modules[name.v] = f.module
	l.app.Modules = append(l.app.Modules, f.module)
	l.files = append(l.files, f)
	for i := range f.raw.entities.v {
		e := &f.raw.entities.v[i]
		l.declareEntity(f, e)
	}
}

// ReservedModules are names that mean something else where a module is named.
func ReservedModules() []string { return []string{authModule, "pando", "rest"} }

// ReservedEntities are words that a path has in an entity's place.
func ReservedEntities() []string { return []string{"rpc"} }

// ReservedFields are words of the query grammar: no field is called so.
func ReservedFields() []string {
	return []string{"select", "order", "limit", "offset", "columns", "on_conflict", "and", "or", "not", "cursor"}
}

func (l *loader) declareEntity(f *moduleFile, e *entry[rawEntity]) {
	if slices.Contains(ReservedEntities(), e.name) {
		f.problem(e.key, "choose another name", "an entity cannot be called %s: /rest/v1/%s leads to operations", e.name, e.name)
	}
	draft := &entityDraft{file: f, raw: &e.v, Entity: &Entity{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: e.v.doc.v,
		Realtime: e.v.realtime.v, Cache: e.v.cache.v.ttl.v,
		Managed: !e.v.managed.ok || e.v.managed.v,
		Table:   Table{Schema: f.module.Name, Name: e.name},
		fields:  make(map[string]*Field, len(e.v.fields.v)),
	}}
	for i := range e.v.fields.v {
		w := &e.v.fields.v[i]
		if slices.Contains(ReservedFields(), w.name) {
			f.problem(w.key, "rename it, for example "+e.name+"_"+w.name, "a field cannot be called %s, a word of the query grammar", w.name)
		}
		field := &Field{
			Entity: draft.Entity, Name: w.name, Column: w.name, Pos: f.pos(w.key), Doc: w.v.doc.v,
			Primary: w.v.primary.v, Optional: w.v.optional.v, Hidden: w.v.hidden.v, Encrypted: w.v.encrypted.v,
			OnUpdateNow: w.v.onUpdate.ok, Generated: w.v.generated.v, Read: w.v.read.v, Write: w.v.write.v,
		}
		draft.Fields = append(draft.Fields, field)
		draft.Entity.fields[w.name] = field
		draft.fields = append(draft.fields, &fieldDraft{Field: field, raw: &w.v, broken: !w.ok})
	}
	f.module.Entities = append(f.module.Entities, draft.Entity)
	f.module.entities[e.name] = draft.Entity
	f.entities = append(f.entities, draft)
}
