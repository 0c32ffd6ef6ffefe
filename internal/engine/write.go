package engine

import (
	"context"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// maxRows bounds the rows of one write. A megabyte of CSV holds half a million
// short ones: they held the only writer for 25 s and took 900 MB.
const maxRows = 20_000

// write is Write without its denials.
func (e *Engine) write(ctx context.Context, in *Tx, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error) {
	ent, err := e.planner.Entity(w.Target)
	if err != nil {
		return nil, err
	}
	if len(w.Rows) > maxRows {
		return nil, fault.New(fault.LimitExceeded, "more than %d rows in one request", maxRows).
			WithDetails("there are %d", len(w.Rows)).WithHint("send them in parts, or use `pando import`")
	}
	ch := &change{e: e, w: w, id: id, guard: e.guards(&id), entity: ent}
	if err := ch.prepare(); err != nil {
		return nil, err
	}
	start := time.Now()
	switch {
	case in != nil:
		err = in.change(ctx, idem, ch)
	case idem == nil:
		err = e.driver.Write(ctx, ch.run)
	default:
		err = e.once(ctx, id, idem, ch)
	}
	e.meter.record(ctx, ent, w.Action, start, err)
	if ch.plan != nil {
		e.meter.scattered(ctx, w.Action, ch.plan.Scattered())
	}
	if err != nil {
		ch.res.Release()
		return nil, err
	}
	if in == nil { // else it is the transaction's
		ch.res.Position = e.wrote(ent)
	}
	return &ch.res, nil
}

// change is one write on its way: prepared outside the transaction, so that
// the writer is held as briefly as can be, then run inside it.
type change struct {
	e      *Engine
	w      *query.Write
	id     policy.Identity
	guard  policy.Guard
	entity *model.Entity

	plan     *store.WritePlan
	args     []query.Arg
	rows     [][]value.Value // create: a value for each field; update: one row of set values
	conflict []*model.Field
	loose    []int           // fields whose references the store does not check
	order    []int           // of insertion; nil: the rows' own
	written  []int           // create: the rows of the keys that were written
	set      []*model.Field  // merge: what it sets in a row that is there
	merged   []bool          // merge: the rows that were there,
	was      [][]value.Value // and what they were, where that is asked for
	judged   bool            // create: the rules let the rows through
	circle   bool            // the rows refer to each other in no order

	res Result
}

func (c *change) prepare() error {
	// First of all: who may not write at all learns nothing about the fields.
	rules := []policy.Rule{policy.RuleOf(c.w.Action), policy.RuleUpdate, policy.RuleRead}
	if c.w.Conflict.Resolution != query.Merge { // which creates and updates
		rules = rules[:1]
	}
	for _, r := range rules {
		if _, err := c.guard.Filter(policy.Use{Entity: c.entity, Rule: r}); err != nil {
			return err
		}
	}
	switch c.w.Action {
	case query.Create:
		return c.prepareCreate()
	case query.Update:
		return c.prepareUpdate()
	case query.Delete:
		if err := c.filtered(); err != nil {
			return err
		}
		plan, err := c.e.writePlan(c.w, c.guard, func() (*store.WritePlan, error) {
			return c.e.planner.CompileDelete(c.w, c.entity, c.guard)
		})
		return c.planned(plan, err)
	case query.ReadRows:
	}
	return fault.New(fault.Internal, "an internal error occurred").WithDetails("not a write")
}

// filtered refuses a change of every row that nobody asked for.
func (c *change) filtered() error {
	if c.w.Where != nil || c.w.All || c.w.Page.Limit != nil {
		return nil
	}
	verb := "UPDATE"
	if c.w.Action == query.Delete {
		verb = "DELETE"
	}
	return fault.New(fault.UnfilteredWrite, "%s requires a filter", verb).
		WithHint("add one, such as '%s=eq...'; to mean every row, say so: '%s=not.is.null'", c.entity.Primary, c.entity.Primary)
}

// planned takes the plan and completes the args of the write.
func (c *change) planned(plan *store.WritePlan, err error) error {
	if err != nil {
		return err
	}
	c.plan = plan
	_, args := c.w.Shape(nil, nil)
	c.args, err = plan.Args(args, c.guard)
	return err
}

func (c *change) prepareCreate() error {
	w := c.w
	if len(w.IfMatch) > 0 {
		return fault.New(fault.NotImplemented, "If-Match is about a row that exists: a create has none")
	}
	in, err := c.e.newInput(c.entity, c.id, c.guard, w.Columns, query.Create)
	if err != nil {
		return err
	}
	if err := c.resolveConflict(); err != nil {
		return err
	}
	if c.set, err = c.replaced(in); err != nil {
		return err
	}
	plan, err := c.e.writePlan(w, c.guard, func() (*store.WritePlan, error) {
		return c.e.planner.CompileInsert(c.entity, c.guard, c.e.rules, &store.Insert{
			Given: in.columns, Made: in.made(), Resolution: w.Conflict.Resolution, Conflict: c.conflict, Set: c.set,
		})
	})
	if err != nil {
		return err
	}
	c.plan = plan
	if c.args, err = plan.Args(nil, c.guard); err != nil {
		return err
	}
	c.findLoose()
	c.rows = make([][]value.Value, len(w.Rows))
	for i, cells := range w.Rows {
		if c.rows[i], err = in.row(cells); err != nil {
			return numbered(err, i, len(w.Rows))
		}
	}
	c.sequence()
	if err := c.distinctKeys(); err != nil {
		return err
	}
	return c.judge()
}

// judge asks, outside the transaction, what the rules say of the new rows, if
// they tell without the store.
func (c *change) judge() error {
	for i, row := range c.rows {
		known, err := c.plan.Judge(c.guard, row)
		if err != nil {
			return numbered(err, i, len(c.rows))
		}
		if !known {
			return nil
		}
	}
	c.judged = true
	return nil
}

// replaced are the fields that a merge sets in the row that is there: those
// that are given, but for the key, which is equal already. To give them is to
// update them.
func (c *change) replaced(in *input) ([]*model.Field, error) {
	if c.w.Conflict.Resolution != query.Merge {
		return nil, nil
	}
	var set []*model.Field
	for _, f := range in.columns {
		if slices.Contains(c.conflict, f) {
			continue
		}
		if !c.guard.Writable(f, query.Update) {
			return nil, store.ColumnDenied(f)
		}
		set = append(set, f)
	}
	for _, f := range c.entity.Fields {
		if f.OnUpdateNow && !slices.Contains(in.columns, f) {
			set = append(set, f)
		}
	}
	if len(set) == 0 { // the row is changed all the same, but for where it lies
		set = slices.DeleteFunc(slices.Clone(c.conflict), func(f *model.Field) bool { return f == c.entity.PartitionKey() })
	}
	if len(set) == 0 {
		return c.conflict, nil
	}
	return set, nil
}

// resolveConflict finds the unique key that an upsert names.
func (c *change) resolveConflict() error {
	w := c.w
	if w.Conflict.Resolution == query.Fail {
		return nil
	}
	if len(w.Conflict.Fields) == 0 {
		c.conflict = c.entity.Key()
		return nil
	}
	for _, name := range w.Conflict.Fields {
		f := c.entity.Field(name)
		if f == nil || !known(f, c.guard) {
			return unknownColumn(c.entity, name, c.guard, query.Create)
		}
		c.conflict = append(c.conflict, f)
	}
	if sameFields(c.conflict, c.entity.Key()) || len(c.conflict) == 1 && c.conflict[0] == c.entity.Primary {
		c.conflict = c.entity.Key()
		return nil
	}
	for _, k := range c.entity.Unique {
		if sameFields(k.Fields, c.conflict) {
			c.conflict = c.distinguishing(c.conflict)
			return nil
		}
	}
	return fault.New(fault.NoConflictTarget, "there is no unique or exclusion constraint matching the ON CONFLICT specification").
		WithHint("'%s' has no unique key of (%s)", c.entity, fault.List(c.conflict))
}

// distinguishing is a unique key as the store has it: with the partition key.
func (c *change) distinguishing(key []*model.Field) []*model.Field {
	if k := c.entity.PartitionKey(); k != nil && !slices.Contains(key, k) {
		return append(slices.Clip(key), k)
	}
	return key
}

func sameFields(a, b []*model.Field) bool {
	if len(a) != len(b) {
		return false
	}
	for _, f := range a {
		if !slices.Contains(b, f) {
			return false
		}
	}
	return true
}

// distinctKeys refuses a merge that would change one row twice.
func (c *change) distinctKeys() error {
	if c.w.Conflict.Resolution != query.Merge || len(c.rows) < 2 {
		return nil
	}
	seen := map[string]bool{}
	var key []byte
	for i, row := range c.rows {
		key = key[:0]
		null := false // a null equals nothing, so there is no conflict
		for _, k := range c.conflict {
			j := slices.Index(c.entity.Fields, k)
			if j < 0 {
				continue // the partition key of what the row lies with: the reference to it decides
			}
			key = append(k.Type.AppendText(key, row[j]), 0)
			null = null || row[j].IsNull()
		}
		if null {
			continue
		}
		if seen[string(key)] {
			return numbered(fault.New(fault.CardinalityClash, "ON CONFLICT DO UPDATE command cannot affect row a second time").
				WithHint("ensure that no two rows of one request have the same key"), i, len(c.rows))
		}
		seen[string(key)] = true
	}
	return nil
}

func (c *change) prepareUpdate() error {
	if err := c.filtered(); err != nil {
		return err
	}
	in, err := c.e.newInput(c.entity, c.id, c.guard, c.w.Columns, query.Update)
	if err != nil {
		return err
	}
	if len(c.w.Rows) != 1 {
		return fault.New(fault.InvalidBody, "an update takes one object")
	}
	var fields []*model.Field
	var vals []value.Value
	for j, f := range in.columns {
		cell := c.w.Rows[0][j]
		if cell.Kind == query.Absent {
			continue
		}
		v, err := in.cell(f, cell)
		if err == nil {
			err = in.required(f, v)
		}
		if err != nil {
			return err
		}
		fields, vals = append(fields, f), append(vals, v)
	}
	if len(fields) == 0 {
		return nil // nothing is set, so nothing is changed
	}
	given := slices.Clip(fields)
	for _, f := range c.entity.Fields {
		if f.OnUpdateNow && !slices.Contains(fields, f) {
			fields, vals = append(fields, f), append(vals, in.nowAs(f))
		}
	}
	plan, err := c.e.writePlan(c.w, c.guard, func() (*store.WritePlan, error) {
		return c.e.planner.CompileUpdate(c.w, c.entity, fields, given, c.guard, c.e.rules)
	})
	if err := c.planned(plan, err); err != nil {
		return err
	}
	c.findLoose()
	c.rows = [][]value.Value{vals}
	return nil
}

func (c *change) findLoose() {
	for i, f := range c.plan.Fields {
		if f.Ref != nil && f.Ref.Loose {
			c.loose = append(c.loose, i)
		}
	}
}

// run is the body of the transaction. It may run again when a neighbour's
// failure undid the whole group, so it starts from nothing each time.
func (c *change) run(tx store.Tx) error {
	c.res.Release()
	c.res = Result{Total: -1}
	out := &store.Outcome{Judged: c.judged, Later: true}
	var err error
	switch c.w.Action {
	case query.Create:
		err = c.create(tx, out)
	case query.Update, query.Delete:
		err = c.alter(tx, out)
	case query.ReadRows:
	}
	if err != nil {
		return err
	}
	c.res.Rows = len(out.Primary)
	if c.w.Count != query.CountNone {
		c.res.Total, c.res.TotalExact = int64(c.res.Rows), true
	}
	if len(out.Primary) == 1 && c.readsKeys() {
		c.res.Key = string(c.entity.Primary.Type.AppendText(nil, out.Primary[0]))
		c.res.Partition = c.partition(out)
	}
	if err := c.bounded(); err != nil {
		return err
	}
	if err := c.record(tx, out); err != nil {
		return err
	}
	if err := c.happen(tx, out); err != nil {
		return err
	}
	if c.w.Returning == nil || c.w.Action == query.Delete {
		return nil
	}
	return c.represent(tx, out)
}

// readsKeys reports whether the caller may read the key of every row that is
// within reach.
func (c *change) readsKeys() bool {
	pk := c.entity.Primary
	if !c.guard.Visible(pk) {
		return false
	}
	if pk.Read == nil {
		return true
	}
	mask, err := c.guard.Filter(policy.Use{Entity: c.entity, Rule: policy.RuleMask, Field: pk})
	return mask == nil && err == nil
}

// partition is the partition key of the one row that was written, where the
// caller may name it.
func (c *change) partition(out *store.Outcome) string {
	k := c.entity.PartitionKey()
	if len(out.Partition) != 1 || k == c.entity.Primary || c.entity.Field(k.Name) == nil || !c.guard.Visible(k) || k.Read != nil {
		return ""
	}
	return string(k.Type.AppendText(nil, out.Partition[0]))
}

// bounded enforces max-affected and the single object.
func (c *change) bounded() error {
	if most := c.w.MaxAffected; most != nil && int64(c.res.Rows) > *most {
		return fault.New(fault.MaxAffected, "Query result exceeds max-affected preference constraint").
			WithDetails("The query affects %d rows", c.res.Rows)
	}
	if c.w.Singular && c.res.Rows != 1 {
		return NotSingular(c.res.Rows)
	}
	return nil
}

// NotSingular is the fault of a request for one object that has none or many.
func NotSingular(rows int) *fault.Error {
	return fault.New(fault.NotSingular, "Cannot coerce the result to a single JSON object").
		WithDetails("The result contains %d rows", rows)
}

// references checks that the rows which loose references name are there.
func (c *change) references(tx store.Tx, vals []value.Value) error {
	for _, i := range c.loose {
		f := c.plan.Fields[i]
		if vals[i].IsNull() {
			continue
		}
		there, err := c.e.there(tx, f.Ref.Target, vals[i])
		if err != nil {
			return err
		}
		if !there {
			return missing(c.entity, f, vals[i])
		}
	}
	return nil
}

func (c *change) alter(tx store.Tx, out *store.Outcome) error {
	if len(c.w.IfMatch) > 0 {
		if err := c.matches(tx); err != nil {
			return err
		}
	}
	if c.plan == nil { // an update that sets nothing
		return nil
	}
	if c.w.Action == query.Delete && c.w.Returning != nil {
		if err := c.representFiltered(tx); err != nil {
			return err
		}
	}
	var vals []value.Value
	if c.w.Action == query.Update {
		vals = c.rows[0]
	}
	if err := c.plan.Run(tx, vals, c.args, out); err != nil {
		return c.explain(tx, err, vals)
	}
	if len(out.Primary) == 0 {
		return nil // whether the rows are there that nothing refers to is not told
	}
	return c.references(tx, vals)
}

// matches compares the one row that the filter names with If-Match.
func (c *change) matches(tx store.Tx) error {
	q := &query.Read{Target: c.w.Target, Node: query.Node{Select: c.w.Tagged, Where: c.w.Where, Order: c.w.Order, Page: c.w.Page}}
	page, err := c.e.readIn(tx, q, c.guard, store.ReadOptions{}, nil)
	if err != nil {
		return err
	}
	if page.Rows > 1 {
		return fault.New(fault.PreconditionFailed, "If-Match is about one row, and the filter names %d", page.Rows).
			WithHint("filter by the primary key '%s'", c.entity.Primary)
	}
	tag := query.Tag(page.Body)
	for _, want := range c.w.IfMatch {
		if page.Rows == 1 && (want == "*" || want == tag) {
			return nil
		}
	}
	return fault.New(fault.PreconditionFailed, "the row has changed since it was read, or is not there").
		WithHint("read it again and repeat the change with its new ETag")
}

// writePlan finds or makes the plan of a write's shape.
func (e *Engine) writePlan(w *query.Write, g policy.Guard, compile func() (*store.WritePlan, error)) (*store.WritePlan, error) {
	var space [512]byte
	key, _ := w.Shape(space[:0], nil)
	return e.writes.find(key, g, compile)
}
