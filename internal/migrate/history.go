package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// State is where a migration stands.
type State string

// The states.
const (
	Running State = "running" // under way, or interrupted
	Done    State = "done"
	Resumed State = "resumed" // was interrupted; a later migration went on with it
	// Expanded: done, but for what was held back while an older release runs.
	Expanded State = "expanded"
)

// Migration is one entry of the history.
type Migration struct {
	ID    int64     `json:"id"`
	At    time.Time `json:"at"` // when it began
	State State     `json:"state"`
	Step  int64     `json:"step"` // how many steps have been run
	Steps []string  `json:"steps"`
}

// head is the newest entry of the history: what a plan is based on.
type head struct {
	id, step int64
	state    State
	target   string // Plan.Target
}

// readHead returns the newest entry and the tables that it left.
func readHead(r store.Reader) (head, []*store.Table, error) {
	var h head
	var manifest, plan []byte
	st := &store.Statement{SQL: "SELECT id, step, state, manifest, plan FROM pando_migrations ORDER BY id DESC LIMIT 1"}
	err := r.Query(st, nil, func(row store.Row) error {
		h = head{id: row.Int(0), step: row.Int(1), state: State(row.Append(nil, 2))}
		manifest, plan = row.Append(nil, 3), row.Append(nil, 4)
		return nil
	})
	if err != nil || h.id == 0 {
		return h, nil, err
	}
	var tables []*store.Table
	if err := json.Unmarshal(manifest, &tables); err != nil {
		return h, nil, fault.Wrap(err, fault.StoreIO, "the migration history is damaged").
			WithDetails("the manifest of migration %d cannot be read", h.id).WithHint("restore the last backup")
	}
	var newest struct {
		Target string `json:"target"`
	}
	if err := json.Unmarshal(plan, &newest); err != nil {
		return h, nil, fault.Wrap(err, fault.StoreIO, "the migration history is damaged").WithDetails("the plan of migration %d cannot be read", h.id)
	}
	h.target = newest.Target
	return h, tables, nil
}

// check fails when another migration has run since the plan was made.
func (h head) check(r store.Reader) error {
	var now head
	st := &store.Statement{SQL: "SELECT id, step FROM pando_migrations ORDER BY id DESC LIMIT 1"}
	err := r.Query(st, nil, func(row store.Row) error {
		now = head{id: row.Int(0), step: row.Int(1)}
		return nil
	})
	if err != nil {
		return err
	}
	if now.id != h.id || now.step != h.step {
		return fault.New(fault.Conflict, "another migration has changed the schema since this one was planned").WithHint("plan again")
	}
	return nil
}

// manifest writes the description of all tables. What a table's is does not
// change (schema), so that it is kept from part to part.
type manifest map[*store.Table][]byte

func (m manifest) of(tables []*store.Table) (string, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, t := range tables {
		text := m[t]
		if text == nil {
			var err error
			if text, err = json.Marshal(t); err != nil {
				return "", fault.From(err)
			}
			m[t] = text
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(text)
	}
	b.WriteByte(']')
	return b.String(), nil
}

// record writes where the migration stands when its first done steps have been
// run, and returns the new head. Only the newest entry keeps its manifest: the
// others are history.
func (r *run) record(tx store.Tx, done int) (head, error) {
	h, p, d := r.head, r.p, r.d.Dialect()
	tables := p.tables
	if done > 0 {
		tables = p.Steps[done-1].after
	}
	text, err := r.manifest.of(tables)
	if err != nil {
		return h, err
	}
	next := head{id: h.id, step: int64(done), state: Running, target: p.Target}
	if done == len(p.Steps) && r.online == nil { // else finish says so
		next.state = p.end()
	}
	if r.next > 0 {
		st := &store.Statement{SQL: "UPDATE pando_migrations SET step = " + d.Param(1) + ", state = " + d.Param(2) + ", manifest = " + d.Param(3) + " WHERE id = " + d.Param(4)}
		_, err = tx.Exec(st, []value.Value{value.OfInt(next.step), value.OfText(string(next.state)), value.OfText(text), value.OfInt(h.id)})
		return next, err
	}
	for _, sql := range []string{
		"UPDATE pando_migrations SET state = '" + string(Resumed) + "' WHERE state = '" + string(Running) + "'",
		"UPDATE pando_migrations SET manifest = '' WHERE manifest <> ''",
	} {
		if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
			return h, err
		}
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return h, fault.From(err)
	}
	next.id = h.id + 1
	st := &store.Statement{SQL: "INSERT INTO pando_migrations (id, at, plan, state, step, manifest) VALUES (" +
		d.Param(1) + ", " + d.Param(2) + ", " + d.Param(3) + ", " + d.Param(4) + ", " + d.Param(5) + ", " + d.Param(6) + ")"}
	_, err = tx.Exec(st, []value.Value{
		value.OfInt(next.id), value.OfText(r.at.UTC().Format(time.RFC3339)), value.OfText(string(plan)),
		value.OfText(string(next.state)), value.OfInt(next.step), value.OfText(text),
	})
	return next, err
}

// readHistory returns every migration, the oldest first.
func readHistory(r store.Reader) ([]Migration, error) {
	var out []Migration
	st := &store.Statement{SQL: "SELECT id, at, state, step, plan FROM pando_migrations ORDER BY id"}
	err := r.Query(st, nil, func(row store.Row) error {
		m := Migration{ID: row.Int(0), State: State(row.Append(nil, 2)), Step: row.Int(3)}
		var plan Plan
		if err := json.Unmarshal(row.Append(nil, 4), &plan); err != nil {
			return fault.Wrap(err, fault.StoreIO, "the migration history is damaged").WithDetails("the plan of migration %d cannot be read", m.ID)
		}
		at, err := time.Parse(time.RFC3339, string(row.Append(nil, 1)))
		if err != nil {
			return fault.Wrap(err, fault.StoreIO, "the migration history is damaged").WithDetails("the time of migration %d cannot be read", m.ID)
		}
		m.At = at
		for _, s := range plan.Steps {
			m.Steps = append(m.Steps, s.Title)
		}
		out = append(out, m)
		return nil
	})
	return out, err
}

// Manifest returns the tables that the last migration left, what is referred to
// first as far as references allow.
func Manifest(ctx context.Context, d store.Driver) ([]*store.Table, error) {
	var tables []*store.Table
	err := d.Read(ctx, false, func(r store.Reader) (err error) {
		_, tables, err = readHead(r)
		return err
	})
	return tables, err
}
