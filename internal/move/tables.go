package move

import (
	"context"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// table is one table of a move with its statements on both sides.
type table struct {
	*store.StoredTable
	n        int // in the log of changes
	rows     int64
	src, dst side
}

// side is a table in one of the stores.
type side struct {
	d                 store.MoveDialect
	name              string
	first, rest       *store.Statement // a chunk in key order: from the beginning, behind a key
	all, count        *store.Statement
	byKeys, dropKeys  *store.Statement // of a list, where the key is one column
	byKey, dropKey    *store.Statement // of one key
	columns, ofTheKey string
}

func newSide(d store.MoveDialect, t *store.StoredTable) side {
	s := side{d: d, name: d.Stored(t)}
	quoted := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		quoted[i] = d.Ident(c.Name)
	}
	key, params, equal := make([]string, len(t.Key)), make([]string, len(t.Key)), make([]string, len(t.Key))
	for i, k := range t.Key {
		key[i], params[i] = quoted[k], d.TypedParam(i+1, t.Columns[k].Type)
		equal[i] = key[i] + "=" + params[i]
	}
	s.columns, s.ofTheKey = strings.Join(quoted, ","), strings.Join(key, ",")
	st := func(sql string) *store.Statement { return &store.Statement{SQL: sql} }
	from := " FROM " + s.name
	order := " ORDER BY " + s.ofTheKey + " LIMIT "
	s.first = st("SELECT " + s.columns + from + order + d.Param(1))
	s.rest = st("SELECT " + s.columns + from + " WHERE (" + s.ofTheKey + ")>(" + strings.Join(params, ",") + ")" + order + d.Param(len(key)+1))
	s.all = st("SELECT " + s.columns + from)
	s.count = st("SELECT count(*)" + from)
	one := " WHERE " + strings.Join(equal, " AND ")
	s.byKey, s.dropKey = st("SELECT "+s.columns+from+one), st("DELETE"+from+one)
	if len(key) == 1 {
		in := " WHERE " + d.InList(t.Columns[t.Key[0]].Type, key[0], d.Param(1))
		s.byKeys, s.dropKeys = st("SELECT "+s.columns+from+in), st("DELETE"+from+in)
	}
	return s
}

// readTables finds the tables of the source, in the order in which they can be
// referred to: those of the manifest, then Pando's own.
func (r *run) readTables(ctx context.Context) error {
	manifest, err := migrate.Manifest(ctx, r.from)
	if err != nil {
		return err
	}
	own, err := ownTables(ctx, r.from)
	if err != nil {
		return err
	}
	there, err := ownTables(ctx, r.to)
	if err != nil {
		return err
	}
	var list []*store.StoredTable
	for _, t := range manifest {
		list = append(list, store.StoredTableOf(t))
	}
	for _, t := range own {
		at := slices.IndexFunc(there, func(o *store.StoredTable) bool { return o.Name == t.Name })
		if at < 0 {
			continue // what a database keeps for its driver alone
		}
		if t, err = common(t, there[at]); err != nil {
			return err
		}
		list = append(list, t)
	}
	r.tables = nil
	for _, t := range list {
		if len(t.Key) == 0 {
			return fault.New(fault.Internal, "the table %s has no key to be moved by", t.Name)
		}
		r.tables = append(r.tables, &table{StoredTable: t, src: newSide(r.src, t), dst: newSide(r.dst, t)})
	}
	return nil
}

// common is a table of Pando's own with the columns that both stores have.
func common(a, b *store.StoredTable) (*store.StoredTable, error) {
	out := &store.StoredTable{Name: a.Name, AddOnly: a.AddOnly || b.AddOnly}
	for i, c := range a.Columns {
		at := slices.IndexFunc(b.Columns, func(o store.StoredColumn) bool { return o.Name == c.Name })
		if at < 0 {
			return nil, fault.New(fault.Conflict, "the two stores were made by different versions of Pando").
				WithDetails("%s.%s is not in the target", a.Name, c.Name)
		}
		if slices.Contains(a.Key, i) {
			out.Key = append(out.Key, len(out.Columns))
		}
		out.Columns = append(out.Columns, c)
	}
	return out, nil
}

// ownTables are those that Pando keeps for itself.
func ownTables(ctx context.Context, m store.Mover) ([]*store.StoredTable, error) {
	d, _ := m.Dialect().(store.MoveDialect)
	var out []*store.StoredTable
	err := m.Read(ctx, true, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: d.OwnTables()}, nil, func(row store.Row) error {
			name := string(row.Append(nil, 0))
			if len(out) == 0 || out[len(out)-1].Name != name {
				out = append(out, &store.StoredTable{Name: name, AddOnly: row.Int(4) != 0})
			}
			t := out[len(out)-1]
			kind, _ := value.ParseKind(string(row.Append(nil, 2)))
			if row.Int(3) > 0 {
				t.Key = append(t.Key, len(t.Columns))
			}
			t.Columns = append(t.Columns, store.StoredColumn{Name: string(row.Append(nil, 1)), Type: value.Type{Kind: kind}})
			return nil
		})
	})
	return out, err
}

// number gives the tables their numbers in the log of changes.
func (r *run) number() error {
	if len(r.state.Tables) != len(r.tables) {
		return otherTables()
	}
	for _, t := range r.tables {
		if t.n = slices.Index(r.state.Tables, t.Name) + 1; t.n == 0 {
			return otherTables()
		}
	}
	return nil
}

func otherTables() error {
	return fault.New(fault.Conflict, "the tables have changed since the move began").
		WithHint("`pando move abort` takes it back; then begin anew")
}

func (r *run) names() []string {
	out := make([]string, len(r.tables))
	for i, t := range r.tables {
		out[i] = t.Name
	}
	return out
}

// rowOf reads the current row of a statement over all columns.
func (t *table) rowOf(row store.Row) []value.Value {
	out := make([]value.Value, len(t.Columns))
	for i := range out {
		out[i] = row.Value(i)
	}
	return out
}

func (t *table) keyOf(row []value.Value) []value.Value {
	out := make([]value.Value, len(t.Key))
	for i, k := range t.Key {
		out[i] = row[k]
	}
	return out
}

// entityTables finds the entities' tables in a store whose history may not be
// there yet: what the catalog has, without its columns.
func entityTables(ctx context.Context, m store.Mover) ([]*store.Table, error) {
	var out []*store.Table
	err := m.Read(ctx, true, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: m.Dialect().Catalog()}, nil, func(row store.Row) error {
			module, entity, _ := strings.Cut(string(row.Append(nil, 0)), ".")
			if n := len(out); n == 0 || out[n-1].Module != module || out[n-1].Entity != entity {
				out = append(out, &store.Table{Module: module, Entity: entity})
			}
			return nil
		})
	})
	return out, err
}
