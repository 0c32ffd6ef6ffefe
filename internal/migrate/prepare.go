package migrate

import (
	"context"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// Prepare compares the model with the manifest of the last migration and
// returns the steps between them, having counted in the store what they would
// lose. It changes nothing. A plan that cannot be run on the rows that are
// there has blocked steps; the error is for what keeps it from being made.
func Prepare(ctx context.Context, d store.Driver, app *model.App) (*Plan, error) {
	return Planning{}.Prepare(ctx, d, app)
}

// planner walks from the manifest to the model. It keeps the schema as it will
// be when the steps so far have been run, and knows where each table and column
// of it lies in the store now, in order to count there.
type planner struct {
	r   store.Reader
	d   store.Dialect
	opt Planning
	// online is d where the database can change tables in stages, else nil.
	online store.OnlineDialect
	s      *schema
	plan   *Plan
	part   int   // of the step that comes next
	err    error // the first that emit met

	contract bool // what the model before still uses is being taken away
	batching bool // missing indexes are left to batchIndexes

	targets  []*store.Table // the model, what is referred to first
	wanted   map[string]*store.Table
	entities map[string]*model.Entity
	foreign  map[string]bool // entities whose schema is not ours
	given    map[string]bool // given up: their difference cannot be bridged, which was reported
	divided  []*store.Table  // as the model wants them: empty tables that are made anew

	stored  map[string]*store.Table      // table -> as it is in the store now
	columns map[string]map[string]string // table -> column -> its name in the store now
	rows    map[string]int64
}

func newPlanner(r store.Reader, d store.Dialect, app *model.App, tables []*store.Table, opt Planning) *planner {
	p := &planner{
		r: r, d: d, opt: opt, s: newSchema(tables), plan: &Plan{Steps: []*Step{}},
		wanted: map[string]*store.Table{}, entities: map[string]*model.Entity{}, foreign: map[string]bool{}, given: map[string]bool{},
		stored: map[string]*store.Table{}, columns: map[string]map[string]string{}, rows: map[string]int64{},
	}
	p.online, _ = d.(store.OnlineDialect)
	for _, e := range managed(app) {
		t := store.TableOf(e)
		p.targets = append(p.targets, t)
		p.wanted[t.QualifiedName()], p.entities[t.QualifiedName()] = t, e
	}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if !e.Managed {
				p.foreign[e.QualifiedName()] = true
			}
		}
	}
	for _, t := range tables {
		p.stored[t.QualifiedName()] = t
		names := make(map[string]string, len(t.Columns))
		for _, c := range t.Columns {
			names[c.Name] = c.Name
		}
		p.columns[t.QualifiedName()] = names
	}
	return p
}

// run makes the steps. The first part, one transaction, leads from the old
// model to a schema that the new one works with, and the old one too as far as
// nothing was renamed or became another type. The parts after it only make
// queries faster, tighten and drop.
func (p *planner) run() error {
	for _, n := range p.targets {
		p.rename(n)
	}
	if err := p.dividing(); err != nil {
		return err
	}
	p.create()
	if err := p.each(p.changeKey, p.loosen); err != nil {
		return err
	}
	if err := p.divide(); err != nil {
		return err
	}
	if err := p.each(p.addColumns, p.dropUnique, p.addSearch); err != nil {
		return err
	}
	p.part = laterParts
	p.batching = p.missingIndexes() > fewIndexes
	if err := p.each(p.addIndexes); err != nil {
		return err
	}
	if !p.opt.Expand {
		if err := p.contraction(); err != nil {
			return err
		}
	}
	p.note()
	if err := p.batchIndexes(); err != nil {
		return err
	}
	if p.err != nil || p.plan.Empty() {
		return p.err
	}
	p.number()
	return p.overhead()
}

// laterParts is where the parts behind the first begin. The first is more than
// one where a stage reads what a step before it makes.
const laterParts = 1 << 20

// contraction takes away what the old model used and the new one does not.
func (p *planner) contraction() error {
	p.contract = true
	err := p.each(p.tighten, p.addUnique, p.dropIndexes, p.dropSearch, p.dropColumns)
	if err == nil {
		err = p.dropTables()
	}
	p.contract = false
	return err
}

// overhead estimates what each part costs beside its steps: references are
// checked as a whole before it commits, and the commit waits for the disk.
func (p *planner) overhead() error {
	p.plan.each = Wait(commitCost)
	if p.online != nil {
		return nil // checked ahead, or behind
	}
	for name, t := range p.stored {
		e := p.entities[name]
		if len(t.Refs) == 0 || e == nil || t.QualifiedName() != name {
			continue
		}
		rows, err := p.ask(p.d.Estimate(e))
		if err != nil {
			return err
		}
		p.plan.each += Wait(rows * int64(len(t.Refs)) * int64(checkCost))
	}
	return nil
}

// each runs one phase after the other, each on all tables that the store has
// and the model keeps: w as it stands at this point of the plan, n as the model
// wants it.
func (p *planner) each(phases ...func(w, n *store.Table) error) error {
	for _, phase := range phases {
		for _, n := range p.targets {
			name := n.QualifiedName()
			if p.stored[name] == nil || p.given[name] || slices.Contains(p.divided, n) {
				continue
			}
			if err := phase(p.s.get(name), n); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit completes a step whose changes the working schema already shows. After
// the first part each step is a part of its own.
func (p *planner) emit(s *Step) {
	s.SQL = []string{}
	for _, c := range s.changes {
		s.Wait += Wait(p.cost(c))
		if p.online == nil {
			s.SQL = append(s.SQL, p.d.DDL(c)...)
		}
	}
	if p.online != nil {
		p.stage(s)
	}
	if s.Risk.Level == "" {
		s.Risk.Level = None
	}
	s.Part, s.Contract = p.part, p.contract
	if p.part >= laterParts {
		p.part++
	}
	s.after = p.s.snapshot()
	p.plan.Steps = append(p.plan.Steps, s)
}

// number counts the parts from 1, without those that came out empty.
func (p *planner) number() {
	last, n := -1, 0
	for _, s := range p.plan.Steps {
		if s.Part != last {
			last = s.Part
			n++
		}
		s.Part = n
	}
}
