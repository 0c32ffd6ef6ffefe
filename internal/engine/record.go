package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Read answers a query. The fault codes are those of package fault's groups
// PGRST1xx, PGRST2xx and the SQLSTATEs. A read of an entity with audit: reads
// is on record before its first byte is answered.
func (e *Engine) Read(ctx context.Context, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error) {
	return e.readAs(ctx, nil, id, q, opt)
}

func (e *Engine) readAs(ctx context.Context, in *Tx, id policy.Identity, q *query.Read, opt ReadOptions) (*Result, error) {
	res, err := e.read(ctx, in, id, q, opt)
	if err != nil {
		return nil, e.refused(ctx, in, id, query.ReadRows, q.Target, err)
	}
	return res, nil
}

// Write changes rows, all or none; when it returns without an error, the
// change is on disk, and so is its audit record. idem may be nil.
func (e *Engine) Write(ctx context.Context, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error) {
	return e.writeAs(ctx, nil, id, w, idem)
}

func (e *Engine) writeAs(ctx context.Context, in *Tx, id policy.Identity, w *query.Write, idem *Idempotency) (*Result, error) {
	res, err := e.write(ctx, in, id, w, idem)
	if err != nil {
		return nil, e.refused(ctx, in, id, w.Action, w.Target, err)
	}
	return res, nil
}

// Load stores the rows of a source and returns how many were stored. Rows are
// read and validated beside the store's work. While it runs, other writes
// wait; a source that may take long is better split by its caller.
func (e *Engine) Load(ctx context.Context, id policy.Identity, l *Load) (int, error) {
	n, err := e.loadRows(ctx, id, l)
	if err != nil {
		return n, e.refused(ctx, nil, id, query.Create, l.Target, err)
	}
	return n, nil
}

func actionName(a query.Action) string {
	switch a {
	case query.Create:
		return "create"
	case query.Update:
		return "update"
	case query.Delete:
		return "delete"
	case query.ReadRows:
	}
	return "read"
}

// about begins a record of an action on an entity.
func about(id *policy.Identity, action query.Action, ent *model.Entity) audit.Record {
	r := audit.FromIdentity(id)
	r.Action, r.Entity = actionName(action), ent.QualifiedName()
	if r.Operation == "" {
		r.Operation = r.Action
	}
	if !r.Service {
		r.Rule = r.Entity + "." + r.Action
	}
	return r
}

// refused puts a denial on record and returns it as the caller is told: the
// anonymous hear 401, since signing in may help. Of callers who are not known, it is counted
// only: they must not be able to fill the disk, and nor must those who are known,
// see [audit.Log.Refuse]. In a transaction the record waits for its end, and is
// there whatever that is.
func (e *Engine) refused(ctx context.Context, in *Tx, id policy.Identity, action query.Action, target query.Target, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	if e.drift != nil && errors.Is(err, store.ErrSchema) {
		return e.drift(ctx, err)
	}
	known := id.Role == policy.Authenticated || id.Role == policy.Service
	if f.Code == fault.Forbidden && !known {
		err = f.ToStranger()
	}
	if e.audit == nil {
		return err
	}
	switch f.Code {
	case fault.MissingCredential, fault.InvalidCredential:
		e.audit.Count(id.Key, string(f.Code))
		return err
	case fault.Forbidden:
	default:
		return err
	}
	ent, unknown := e.planner.Entity(target)
	if unknown != nil {
		return err
	}
	if !known {
		e.audit.Count(id.Key, ent.QualifiedName()+"."+actionName(action))
		return err
	}
	r := about(&id, action, ent)
	r.Rule, r.Detail = r.Entity+"."+r.Action, map[string]string{"reason": f.Message}
	if in != nil {
		in.Deny(r)
	} else {
		e.recordDenial(ctx, &r)
	}
	return err
}

func (e *Engine) recordDenial(ctx context.Context, r *audit.Record) {
	if err := e.audit.Refuse(ctx, r); err != nil {
		e.log.Error("a denial could not be put on record", "entity", r.Entity, "action", r.Action, "error", err)
	}
}

// record puts what the change did on record, in its transaction. A change that
// touched no row did nothing.
func (c *change) record(tx store.Tx, out *store.Outcome) error {
	if c.e.audit == nil || len(out.Primary) == 0 {
		return nil
	}
	if c.w.Action == query.Create {
		return c.recordStored(tx, out.Primary, func(i int) ([]value.Value, bool) {
			n := c.written[i]
			return c.rows[n], c.merged != nil && c.merged[n]
		})
	}
	r := about(&c.id, c.w.Action, c.entity)
	if c.w.Action == query.Update {
		r.Fields = fieldNames(c.plan.Fields)
		if b := out.Before; len(b) == 1 && len(out.Primary) == 1 && b[0] != out.Primary[0] { // two rows cannot get one key
			r.Detail = map[string]string{"was": c.e.keyTexts(c.entity, b)[0]}
		}
	}
	return c.append(tx, &r, out.Primary, func(_ int, keys []value.Value) ([]audit.Values, error) {
		if c.w.Action == query.Delete {
			return nil, nil
		}
		return c.sameValues(tx, keys)
	})
}

// recordStored puts the rows of a create on record: those that were new, and as
// an update those that were merged into a row that was there. row gives the
// values of the i-th key's row, and whether it was merged.
func (c *change) recordStored(tx store.Tx, keys []value.Value, row func(i int) (vals []value.Value, merged bool)) error {
	var mergedKeys []value.Value
	var mergedRows, newRows [][]value.Value
	newKeys := make([]value.Value, 0, len(keys))
	for i, k := range keys {
		if vals, merged := row(i); merged {
			mergedKeys, mergedRows = append(mergedKeys, k), append(mergedRows, vals)
		} else {
			newKeys, newRows = append(newKeys, k), append(newRows, vals)
		}
	}
	if len(newKeys) > 0 {
		r := about(&c.id, query.Create, c.entity)
		r.Fields = c.w.Columns
		err := c.append(tx, &r, newKeys, func(at int, keys []value.Value) ([]audit.Values, error) {
			rows, err := c.storedRows(tx, keys, newRows[at:])
			if err != nil {
				return nil, err
			}
			return c.newValues(keys, rows), nil
		})
		if err != nil {
			return err
		}
	}
	if len(mergedKeys) == 0 {
		return nil
	}
	r := about(&c.id, query.Update, c.entity)
	r.Fields = fieldNames(c.set)
	return c.append(tx, &r, mergedKeys, func(at int, keys []value.Value) ([]audit.Values, error) {
		return c.mergedValues(tx, keys, mergedRows[at:])
	})
}

func fieldNames(fields []*model.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// append writes as many records as the keys need. values gives those of the
// keys from the at-th on.
func (c *change) append(tx store.Tx, r *audit.Record, keys []value.Value, values func(at int, keys []value.Value) ([]audit.Values, error)) error {
	var err error
	for at := 0; at < len(keys); at += audit.MaxKeys {
		part := keys[at:min(len(keys), at+audit.MaxKeys)]
		r.Rows, r.Keys = len(part), c.e.keyTexts(c.entity, part)
		if c.entity.Audit.Values {
			if r.Values, err = values(at, part); err != nil {
				return err
			}
		}
		if err := c.e.audit.Append(tx, r); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) keyTexts(ent *model.Entity, keys []value.Value) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		if out[i] = k.Str; k.Tag != value.TagText {
			out[i] = string(ent.Primary.Type.AppendText(nil, k))
		}
	}
	return out
}

// ownerField is the field that tells whom a row is about; nil: nobody.
func ownerField(e *model.Entity) *model.Field {
	for _, f := range e.Fields {
		if f.Ref != nil && f.Ref.Target.Module.Builtin && f.Ref.Target.Name == "users" {
			return f
		}
	}
	return nil
}

// owner is the field that tells whom a row of the change is about; nil: nobody.
func (c *change) owner() *model.Field {
	if c.entity.Module.Builtin && c.entity.Name == "users" {
		return c.entity.Primary
	}
	return ownerField(c.entity)
}

// newValues are the values of rows that were new, under the keys of the users
// whom they are about.
func (c *change) newValues(keys []value.Value, rows [][]value.Value) []audit.Values {
	owner, texts := slices.Index(c.plan.Fields, c.owner()), c.e.keyTexts(c.entity, keys)
	out := make([]audit.Values, len(keys))
	for i := range keys {
		out[i] = audit.Values{Key: texts[i], Data: valuesJSON(c.plan.Fields, rows[i], nil)}
		if owner >= 0 {
			out[i].Subject = rows[i][owner].Str
		}
	}
	return out
}

// storedRows are the rows as they are stored: those that were given, unless
// the database may have made something else of them.
func (c *change) storedRows(tx store.Tx, keys []value.Value, given [][]value.Value) ([][]value.Value, error) {
	if c.entity.Managed {
		return given, nil
	}
	st := c.e.planner.ByKey(c.entity, c.plan.Fields...)
	out := make([][]value.Value, len(keys))
	for i, k := range keys {
		out[i] = make([]value.Value, len(c.plan.Fields))
		err := tx.Query(st, []value.Value{k}, func(r store.Row) error {
			for j := range out[i] {
				out[i][j] = r.Value(j)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mergedValues are the values that a merge has set in the rows of the keys.
func (c *change) mergedValues(tx store.Tx, keys []value.Value, rows [][]value.Value) ([]audit.Values, error) {
	subjects, err := c.subjects(tx, keys)
	if err != nil {
		return nil, err
	}
	texts := c.e.keyTexts(c.entity, keys)
	out := make([]audit.Values, len(keys))
	for i := range keys {
		out[i] = audit.Values{Key: texts[i], Subject: subjects[i], Data: valuesJSON(c.plan.Fields, rows[i], c.set)}
	}
	return out, nil
}

// sameValues are those of an update, which sets every row alike: once for each
// user whom the rows are about.
func (c *change) sameValues(tx store.Tx, keys []value.Value) ([]audit.Values, error) {
	data := valuesJSON(c.plan.Fields, c.rows[0], nil)
	if c.owner() == nil {
		return []audit.Values{{Data: data}}, nil
	}
	subjects, err := c.subjects(tx, keys)
	if err != nil {
		return nil, err
	}
	var out []audit.Values
	seen := map[string]bool{}
	for _, subject := range subjects {
		if !seen[subject] {
			seen[subject] = true
			out = append(out, audit.Values{Subject: subject, Data: data})
		}
	}
	return out, nil
}

// subjects are the users whom stored rows are about; empty: nobody.
func (c *change) subjects(tx store.Tx, keys []value.Value) ([]string, error) {
	out := make([]string, len(keys))
	owner := c.owner()
	if owner == nil {
		return out, nil
	}
	st := c.e.planner.ByKey(c.entity, owner)
	for i, k := range keys {
		err := tx.Query(st, []value.Value{k}, func(r store.Row) error {
			out[i] = string(r.Append(nil, 0))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// valuesJSON is an object of the fields that may be on record; only those of
// set, where it is not nil.
func valuesJSON(fields []*model.Field, vals []value.Value, set []*model.Field) []byte {
	out := []byte{'{'}
	for i, f := range fields {
		if f.Hidden || f.Encrypted || set != nil && !slices.Contains(set, f) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(value.AppendQuoted(out, f.Name), ':')
		out = f.Type.AppendJSON(out, vals[i])
	}
	return append(out, '}')
}

// recordChunk puts rows of a load on record.
func (r *loading) recordChunk(tx store.Tx) error {
	c := r.change
	if c.e.audit == nil || len(r.out.Primary) == 0 {
		return nil
	}
	return c.recordStored(tx, r.out.Primary, func(i int) ([]value.Value, bool) { return r.vals[i], r.merged[i] })
}

// recordReplay puts the rows on record that an answer tells once more.
func (c *change) recordReplay(tx store.Tx) error {
	if c.res.Body == nil || !c.e.keysOnRecord(c.w.Target) {
		return nil
	}
	r := about(&c.id, query.ReadRows, c.entity)
	r.Rows, r.Detail = c.res.Rows, map[string]string{"replayed": "true"}
	return c.e.audit.Append(tx, &r)
}

// audited reports whether a plan reads an entity whose reads are on record.
func (e *Engine) audited(p *store.ReadPlan) bool {
	if !e.onRead {
		return false
	}
	for _, u := range p.Uses() {
		if u.Rule == policy.RuleRead && u.Entity.Audit.Reads {
			return true
		}
	}
	return false
}

// readRecords are the records of one run of a plan: one for each entity whose
// reads are on record. keys are those of the plan's own entity.
func (e *Engine) readRecords(id *policy.Identity, p *store.ReadPlan, rows int, keys []value.Value) []audit.Record {
	var out []audit.Record
	seen := map[*model.Entity]bool{}
	for _, u := range p.Uses() {
		if u.Rule != policy.RuleRead || !u.Entity.Audit.Reads || seen[u.Entity] {
			continue
		}
		seen[u.Entity] = true
		r := about(id, query.ReadRows, u.Entity)
		if u.Entity != p.Entity {
			r.Detail = map[string]string{"within": p.Entity.QualifiedName()}
			out = append(out, r)
			continue
		}
		if r.Rows = rows; len(keys) == 0 {
			out = append(out, r)
			continue
		}
		for at := 0; at < len(keys); at += audit.MaxKeys {
			part := keys[at:min(len(keys), at+audit.MaxKeys)]
			r.Rows, r.Keys = len(part), e.keyTexts(u.Entity, part)
			out = append(out, r)
		}
	}
	return out
}

// recordRead puts a read on record, in a transaction of its own, or in the one
// that it was made in.
func (e *Engine) recordRead(ctx context.Context, in *Tx, id *policy.Identity, p *store.ReadPlan, rows int, keys []value.Value) error {
	records := e.readRecords(id, p, rows, keys)
	if in != nil {
		in.remember(records)
		return nil
	}
	return e.recordReads(ctx, records)
}

func (e *Engine) recordReads(ctx context.Context, records []audit.Record) error {
	if len(records) == 0 {
		return nil
	}
	return e.driver.Write(context.WithoutCancel(ctx), func(tx store.Tx) error { return e.appendAll(tx, records) })
}

func (e *Engine) appendAll(tx store.Tx, records []audit.Record) error {
	for i := range records {
		if err := e.audit.Append(tx, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

// keysOnRecord reports whether a read of the target names the rows on record.
func (e *Engine) keysOnRecord(t query.Target) bool {
	if !e.onRead {
		return false
	}
	ent, err := e.planner.Entity(t)
	return err == nil && ent.Audit.Reads
}

// recordReturned puts the rows on record that a write answers with what it
// embeds.
func (c *change) recordReturned(tx store.Tx, q *query.Read, opt store.ReadOptions, page *store.Page) error {
	if !c.e.onRead {
		return nil
	}
	shape, _ := q.Shape(nil, nil)
	plan, err := c.e.readPlan(q, c.guard, shape, opt)
	if err != nil || !c.e.audited(plan) {
		return err
	}
	return c.e.appendAll(tx, c.e.readRecords(&c.id, plan, page.Rows, nil))
}
