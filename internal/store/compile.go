package store

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// compiler writes the statements of one plan.
type compiler struct {
	pl     *Planner
	d      Dialect
	guard  policy.Guard
	slots  query.Slots
	args   int // literals counted so far: the query's, then the guard's
	params []param
	values map[int]string    // placeholders of a write's values
	masks  map[masked]string // what [level.mask] wrote
	uses   []policy.Use      // whose literals each run needs
	deps   []policy.Use      // what the plan depends on
	rules  map[policy.Use]query.Expr
	looked []string // the entities that rules look into, see [Wish.Judges]
	alias  int

	scattered []*model.Entity // looked for in every partition
}

func (pl *Planner) compiler(g policy.Guard, slots query.Slots) *compiler {
	return &compiler{pl: pl, d: pl.Dialect, guard: g, slots: slots, args: len(slots), rules: map[policy.Use]query.Expr{}}
}

// statement starts a further statement of the same plan.
func (c *compiler) statement() { c.params, c.values, c.masks, c.alias = nil, nil, nil, 0 }

// dry compiles what does not become part of the statement, for its faults.
func (c *compiler) dry(fn func() error) error {
	params, masks := len(c.params), maps.Clone(c.masks)
	err := fn()
	c.params, c.masks = c.params[:params], masks
	return err
}

func (c *compiler) newAlias() string {
	a := "t" + strconv.Itoa(c.alias)
	c.alias++
	return a
}

// rule asks the guard for the condition of a rule, once per plan.
func (c *compiler) rule(u policy.Use) (query.Expr, error) {
	if r, ok := c.rules[u]; ok {
		return r, nil
	}
	r, err := c.guard.Filter(u)
	if err != nil {
		return nil, err
	}
	c.depends(u)
	query.ExprSlots(r, c.slots, c.args)
	c.args += len(query.Literals(r, nil))
	c.rules[u] = r
	c.uses = append(c.uses, u)
	return r, nil
}

// depends notes what the guard was asked about: the plan holds for the guards
// that answer the same.
func (c *compiler) depends(u policy.Use) {
	if !slices.Contains(c.deps, u) {
		c.deps = append(c.deps, u)
	}
}

func (c *compiler) param(p param) string {
	c.params = append(c.params, p)
	return c.d.Param(len(c.params))
}

// typedParam is param where nothing around it tells the type.
func (c *compiler) typedParam(p param, t value.Type) string {
	c.params = append(c.params, p)
	return c.d.TypedParam(len(c.params), t)
}

// newValue is the placeholder of the i-th value of a write, a field's.
func (c *compiler) newValue(i int, f *model.Field) string {
	sql, ok := c.values[i]
	if !ok {
		sql = c.typedParam(param{slot: -1, value: i + 1}, f.Type)
		if c.values == nil {
			c.values = map[int]string{}
		}
		c.values[i] = sql
	}
	return sql
}

// level is one entity of a read with what is joined to it.
type level struct {
	c     *compiler
	e     *model.Entity
	alias string
	depth int

	joins  []string
	conds  []string
	out    []column
	embeds map[string]*embedded

	inner      bool // every row of the statement has this level's row
	exists     bool // only the conditions are wanted, as in EXISTS and count
	aggregated bool
	nots       int // negations around what is being compiled

	tied  bool // read in one partition for each row of a level around it
	keyed bool // a condition of its own names the partition key

	trusted bool                 // a rule of the application is compiled: it may name any field
	outer   *level               // around an Exists of a rule
	given   map[*model.Field]int // places of the new values that stand for columns
}

// embedded is a relation that the select list of a level names.
type embedded struct {
	item *query.Embed
	rel  *model.Relation
	lvl  *level // the joined row's level; nil for arrays

	keyed bool // a row that has a partner lies where a condition on the partner says
}

// column is one member of a row: a scalar, JSON text made by the database, or
// the object of a joined row.
type column struct {
	name    string
	sql     string
	typ     value.Type
	notNull bool
	json    bool // sql is JSON text, never null
	obj     []column
	present string // obj: null when the joined row is not there; empty: it is always there
	agg     bool
	fixed   []byte // JSON that the plan knows; there is no sql
	quoted  bool   // a number, which is answered as a text
	cursor  bool   // sql is the row's cursor, see [level.point]
}

// maxItems bounds one select list: a field may be selected any number of times,
// so that a short query could ask for an answer of any size.
const maxItems = 1000

// fill compiles a node into the level.
func (l *level) fill(n *query.Node) error {
	if l.depth > l.c.pl.MaxDepth {
		return fault.New(fault.LimitExceeded, "relations are embedded deeper than %d levels", l.c.pl.MaxDepth).
			WithHint("limits.depth in pando.yaml sets this limit")
	}
	rule, err := l.c.rule(policy.Use{Entity: l.e, Rule: policy.RuleRead})
	if err != nil {
		return err
	}
	if err := l.rule(rule); err != nil {
		return err
	}
	items := n.Select
	if len(items) == 0 {
		items = []query.Item{query.Star{}}
	}
	if len(items) > maxItems {
		return fault.New(fault.LimitExceeded, "at most %d things are selected of one entity, not %d", maxItems, len(items))
	}
	l.embeds = map[string]*embedded{}
	if err := l.items(items); err != nil {
		return err
	}
	return l.where(n.Where)
}

// items compiles a select list.
func (l *level) items(items []query.Item) error {
	for _, it := range items {
		if em, ok := it.(*query.Embed); ok {
			if err := l.embed(em); err != nil {
				return err
			}
			continue
		}
		if l.exists {
			continue
		}
		if err := l.selectItem(it); err != nil {
			return err
		}
	}
	return l.distinctNames()
}

// nest compiles a select list whose members stand in an object of their own.
func (l *level) nest(o *query.Object) error {
	outer, embeds := l.out, l.embeds
	l.out, l.embeds = nil, map[string]*embedded{}
	err := l.items(o.Items)
	inner := l.out
	if inner == nil {
		inner = []column{}
	}
	l.embeds = embeds
	l.out = append(outer, column{name: o.Alias, obj: inner})
	return err
}

func (l *level) where(e query.Expr) error {
	if e == nil {
		return nil
	}
	sql, err := l.expr(e)
	if err == nil && sql != "" {
		l.conds = append(l.conds, sql)
	}
	l.keyed = l.keyed || l.binds(e)
	return err
}

// selectItem adds a star or a column.
func (l *level) selectItem(it query.Item) error {
	if _, ok := it.(query.Star); ok {
		for _, f := range l.e.Fields {
			if err := l.selectField(f, f.Name); err != nil {
				return err
			}
		}
		return nil
	}
	var item *query.Column
	switch it := it.(type) {
	case *query.Column:
		item = it
	case *query.Seen:
		for _, r := range it.Fields {
			if f := l.e.Field(r.Field); f != nil {
				if err := l.selectField(f, r.Name); err != nil {
					return err
				}
			}
		}
		return nil
	case *query.Object:
		return l.nest(it)
	case *query.Fixed:
		l.out = append(l.out, column{name: it.Alias, fixed: value.AppendQuoted(nil, it.Text)})
		return nil
	case *query.RowCursor:
		l.out = append(l.out, column{name: it.Alias, typ: value.Type{Kind: value.JSON}, notNull: true, json: true, cursor: true})
		return nil
	default:
		return nil
	}
	item = l.bareCount(item)
	col := column{name: item.Alias}
	switch {
	case item.Path.Field != "":
		p, err := l.path(item.Path)
		if err != nil {
			return err
		}
		col.sql, col.typ, col.notNull = p.sql, p.typ, !p.nullable
		if col.name == "" {
			col.name = pathName(item.Path)
		}
		if item.Aggregate == query.NoAggregate {
			err = l.castColumn(&col, item.Cast)
		} else {
			col.sql, col.typ, err = l.cast(col.sql, col.typ, item.Cast)
		}
		if err != nil {
			return err
		}
	case item.Aggregate != query.CountRows:
		return fault.New(fault.Parse, "an aggregate other than count() needs a field")
	}
	if item.Aggregate != query.NoAggregate {
		if err := l.aggregate(&col, item); err != nil {
			return err
		}
	}
	l.out = append(l.out, col)
	return nil
}

// selectField adds a field that the caller may see.
func (l *level) selectField(f *model.Field, name string) error {
	if !l.visible(f) {
		return nil
	}
	sql, masked, err := l.read(f)
	if err != nil {
		return err
	}
	l.out = append(l.out, column{name: name, sql: sql, typ: f.Type, notNull: !f.Optional && !masked})
	return nil
}

// bareCount is item, or count() when it says count without brackets and the
// caller sees no such field: supabase-js counts what is embedded as
// "lines(count)".
func (l *level) bareCount(item *query.Column) *query.Column {
	if item.Path.Field != "count" || len(item.Path.Steps) > 0 || item.Aggregate != query.NoAggregate {
		return item
	}
	if f := l.e.Field("count"); f != nil && l.visible(f) {
		return item
	}
	return &query.Column{Alias: item.Alias, Aggregate: query.CountRows, AggCast: item.Cast}
}

func (l *level) aggregate(col *column, item *query.Column) error {
	name := [...]string{"", "count", "sum", "avg", "min", "max"}[item.Aggregate]
	sql, typ, ok := l.c.d.Aggregate(item.Aggregate, col.typ, col.sql)
	if !ok {
		return fault.New(fault.UndefinedFunction, "function %s(%s) does not exist", name, col.typ).
			WithHint("sum and avg take numbers; min and max take what has an order")
	}
	col.sql, col.typ, col.agg, col.notNull = sql, typ, true, item.Aggregate == query.CountRows
	l.aggregated = true
	if item.Alias == "" {
		col.name = name
	}
	return l.castColumn(col, item.AggCast)
}

// castColumn casts what is answered. A number as a text is the number between
// quotes: there is nothing to be computed, and groups keep the order of numbers.
func (l *level) castColumn(col *column, name string) error {
	if col.typ.Kind == value.Int || col.typ.Kind == value.Decimal {
		if to, ok := value.CastType(name); ok && to.Kind == value.Text && !to.List && !col.typ.List {
			col.quoted = true
			return nil
		}
	}
	var err error
	col.sql, col.typ, err = l.cast(col.sql, col.typ, name)
	return err
}

// pathName is what PostgREST calls a JSON path: its last key.
func pathName(p query.Path) string {
	for _, step := range slices.Backward(p.Steps) {
		if step.ByKey {
			return step.Key
		}
	}
	return p.Field
}

// distinctNames drops what is selected twice alike, and refuses one name for
// two different things: a JSON object cannot hold both.
func (l *level) distinctNames() error {
	kept := l.out[:0]
	seen := map[string]*column{}
	for i := range l.out {
		col := l.out[i]
		if other, ok := seen[col.name]; ok {
			if other.sql == col.sql && other.quoted == col.quoted && col.obj == nil && other.obj == nil && string(col.fixed) == string(other.fixed) {
				continue
			}
			return fault.New(fault.DuplicateField, "the name '%s' is selected twice", col.name).
				WithHint("give one of them an alias: 'other:%s'", col.name)
		}
		kept = append(kept, col)
		seen[col.name] = &col
	}
	l.out = kept
	return nil
}

// col is a field's column, or the new value in its place.
func (l *level) col(f *model.Field) string {
	if i, ok := l.given[f]; ok {
		return l.c.newValue(i, f)
	}
	return read(l.c.d, l.alias, f)
}

func (l *level) qualified(name string) string {
	if l.alias == "" {
		return l.c.d.Ident(name)
	}
	return l.alias + "." + l.c.d.Ident(name)
}

// place is a compiled path.
type place struct {
	sql      string
	typ      value.Type
	field    *model.Field
	nullable bool
	column   string // the bare column, where the place is one
	form     *Form  // of the column; nil: it is stored as its type
}

// path compiles a field or a place inside a JSON field.
func (l *level) path(p query.Path) (place, error) {
	f := l.e.Field(p.Field)
	if f == nil || !l.visible(f) {
		return place{}, undefinedField(l.e, p.Field, l.visible)
	}
	sql, masked, err := l.read(f)
	if err != nil {
		return place{}, err
	}
	at := place{sql: sql, typ: f.Type, field: f, nullable: f.Optional || masked}
	if len(p.Steps) == 0 {
		if !masked {
			at.column, at.form = l.qualified(f.Column), l.form(f)
		}
		return at, nil
	}
	if f.Type.Kind != value.JSON && !f.Type.List {
		return place{}, fault.New(fault.UndefinedFunction, "operator does not exist: %s -> text", f.Type).
			WithHint("'%s' is no JSON field", f)
	}
	for _, s := range p.Steps {
		if s.ByKey && strings.ContainsAny(s.Key, "\"\x00") {
			return place{}, fault.New(fault.NotImplemented, "a JSON key with a quotation mark cannot be part of a path")
		}
	}
	at.sql, at.typ, at.nullable = l.c.d.JSONPath(f.Type, sql, p.Steps), value.Type{Kind: value.JSON}, true
	if p.Steps[len(p.Steps)-1].Text {
		at.typ.Kind = value.Text
	}
	return at, nil
}

func (l *level) cast(sql string, from value.Type, name string) (string, value.Type, error) {
	if name == "" {
		return sql, from, nil
	}
	to, ok := value.CastType(name)
	if !ok {
		return "", from, fault.New(fault.UndefinedFunction, "type \"%s\" does not exist", name).
			WithHint("there are: text, int, bigint, float, numeric, bool, uuid, date, time, timestamptz, json, jsonb")
	}
	if to.Kind == value.Decimal && from.Kind == value.Decimal {
		to.Scale = from.Scale
	}
	out, ok := l.c.d.Cast(sql, from, to)
	if !ok {
		return "", from, fault.New(fault.UndefinedFunction, "cannot cast type %s to %s", from, to)
	}
	return out, to, nil
}

// object renders columns as one JSON object's text, for rows inside arrays.
func (c *compiler) object(cols []column) string {
	keys := make([]string, len(cols))
	for i, col := range cols {
		keys[i] = col.name
	}
	return c.d.JSONObject(keys, c.texts(cols))
}

// texts renders each column as JSON text.
func (c *compiler) texts(cols []column) []string {
	texts := make([]string, len(cols))
	for i, col := range cols {
		switch {
		case col.fixed != nil:
			texts[i] = c.typedParam(param{slot: -1, fixed: value.OfText(string(col.fixed))}, value.Type{Kind: value.Text})
		case col.obj != nil && col.present == "":
			texts[i] = c.object(col.obj)
		case col.obj != nil:
			texts[i] = "CASE WHEN " + col.present + " IS NULL THEN 'null' ELSE " + c.object(col.obj) + " END"
		case col.json:
			texts[i] = col.sql
		case col.quoted:
			texts[i] = `'"'||` + c.d.JSONText(col.typ, true, col.sql) + `||'"'`
			if !col.notNull {
				texts[i] = "CASE WHEN " + col.sql + " IS NULL THEN 'null' ELSE " + texts[i] + " END"
			}
		default:
			texts[i] = c.d.JSONText(col.typ, col.notNull, col.sql)
		}
	}
	return texts
}

// groups lists what an aggregated level groups by: all that is no aggregate.
func (c *compiler) groups(cols []column, into []string) []string {
	for _, col := range cols {
		switch {
		case col.fixed != nil:
		case col.obj != nil && col.present == "":
			into = c.groups(col.obj, into)
		case col.obj != nil:
			into = c.groups(col.obj, append(into, col.present))
		case !col.agg:
			into = append(into, c.d.Comparable(col.typ, col.sql))
		}
	}
	return into
}

func (l *level) from() string {
	return table(l.c.d, l.e) + " AS " + l.alias
}

// tail is what follows FROM's first table.
func (l *level) tail(extra ...string) string {
	var b strings.Builder
	for _, j := range l.joins {
		b.WriteByte(' ')
		b.WriteString(j)
	}
	word := " WHERE "
	for _, cond := range append(extra, l.conds...) {
		if cond == "" { // nothing ties the level to a row around it
			continue
		}
		b.WriteString(word + cond)
		word = " AND "
	}
	if l.aggregated {
		if g := l.c.groups(l.out, nil); len(g) > 0 {
			b.WriteString(" GROUP BY " + strings.Join(g, ","))
		}
	}
	return b.String()
}
