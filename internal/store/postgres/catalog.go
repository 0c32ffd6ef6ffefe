package postgres

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/store"
)

// catalog is what the database says about tables that Pando did not make.
type catalog struct {
	types   map[int64]*pgType
	columns []*column // by schema, table and place
}

// pgType is a row of pg_type.
type pgType struct {
	oid, elem, base int64
	schema, name    string
	kind            string // typtype: b base, d domain, e enum
	array           bool
	mod             int64    // what a domain says of its base
	labels          []string // of an enum
}

// sql is the type's quoted name.
func (t *pgType) sql() string { return quote(t.schema) + "." + quote(t.name) }

// column is a row of pg_attribute.
type column struct {
	schema, table, kind string // relkind
	name                string
	typ, mod            int64
	declared            string
	notNull             bool
	collation           collation
	identity, generated string
	fallback            string // the default's expression
	doc                 string
}

// collation is how a column compares texts.
type collation struct {
	own    bool // it is "C", as in Pando's own columns
	binary bool // it orders by bytes
	loose  bool // different texts may be equal to it
}

// The queries of the catalog.
//
//nolint:gochecknoglobals // constant texts
var (
	typesSQL = `SELECT t.oid::bigint, t.typelem::bigint, t.typbasetype::bigint, n.nspname::text, t.typname::text, t.typtype::text, ` +
		`t.typcategory='A' AND t.typelem<>0, t.typtypmod::bigint FROM pg_type AS t JOIN pg_namespace AS n ON n.oid=t.typnamespace ` +
		`WHERE t.typtype IN ('b','d','e')`
	labelsSQL  = `SELECT enumtypid::bigint, enumlabel::text FROM pg_enum ORDER BY enumtypid, enumsortorder`
	columnsSQL = `SELECT n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, a.atttypid::bigint, a.atttypmod::bigint, ` +
		`format_type(a.atttypid,a.atttypmod), a.attnotnull, a.attcollation=950, ` +
		`coalesce(CASE WHEN co.collprovider='d' THEN db.datlocprovider IN ('c','b') AND ` + bytewise("coalesce(db.datcollate,'C')") +
		` ELSE co.collprovider IN ('c','b') AND ` + bytewise("coalesce(co.collcollate,'C')") + ` END,false), coalesce(NOT co.collisdeterministic,false), ` +
		`a.attidentity::text, a.attgenerated::text, coalesce(pg_get_expr(d.adbin,d.adrelid),''), coalesce(col_description(c.oid,a.attnum),'') ` +
		`FROM pg_class AS c JOIN pg_namespace AS n ON n.oid=c.relnamespace JOIN pg_attribute AS a ON a.attrelid=c.oid ` +
		`LEFT JOIN pg_attrdef AS d ON d.adrelid=c.oid AND d.adnum=a.attnum LEFT JOIN pg_collation AS co ON co.oid=a.attcollation ` +
		`JOIN pg_database AS db ON db.datname=current_database() ` +
		`WHERE c.relkind IN ('r','p','v','m','f') AND a.attnum>0 AND NOT a.attisdropped AND ` + foreignSchemas + ` ORDER BY 1, 2, a.attnum`
)

// foreignSchemas leaves out what is PostgreSQL's own.
const foreignSchemas = `n.nspname NOT LIKE 'pg\_%' AND n.nspname<>'information_schema'`

func bytewise(x string) string { return x + ` IN ('C','POSIX','C.UTF-8','C.UTF8','C.utf8')` }

// readCatalog reads all types and columns. A catalog is small, and read at
// start, at a reload and when it has changed.
func readCatalog(r store.Reader) (*catalog, error) {
	c := &catalog{types: map[int64]*pgType{}}
	err := r.Query(&store.Statement{SQL: typesSQL}, nil, func(row store.Row) error {
		t := &pgType{oid: row.Int(0), elem: row.Int(1), base: row.Int(2), schema: text(row, 3), name: text(row, 4), kind: text(row, 5), array: row.Int(6) != 0, mod: row.Int(7)}
		c.types[t.oid] = t
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = r.Query(&store.Statement{SQL: labelsSQL}, nil, func(row store.Row) error {
		if t := c.types[row.Int(0)]; t != nil {
			t.labels = append(t.labels, text(row, 1))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, r.Query(&store.Statement{SQL: columnsSQL}, nil, func(row store.Row) error {
		c.columns = append(c.columns, &column{
			schema: text(row, 0), table: text(row, 1), kind: text(row, 2), name: text(row, 3), typ: row.Int(4), mod: row.Int(5), declared: text(row, 6),
			notNull: row.Int(7) != 0, collation: collation{own: row.Int(8) != 0, binary: row.Int(9) != 0, loose: row.Int(10) != 0},
			identity: text(row, 11), generated: text(row, 12), fallback: text(row, 13), doc: text(row, 14),
		})
		return nil
	})
}

func text(row store.Row, i int) string { return string(row.Append(nil, i)) }

// resolve leads from a domain to the type below it, and tells the domain.
func (c *catalog) resolve(oid, mod int64) (t *pgType, _ int64, domain string) {
	for t = c.types[oid]; t != nil && t.kind == "d"; t = c.types[t.base] {
		if domain == "" {
			domain = t.schema + "." + t.name
		}
		mod = t.mod
	}
	return t, mod, domain
}

// table returns the columns of a table; none: there is none.
func (c *catalog) table(schema, name string) []*column {
	var out []*column
	for _, col := range c.columns {
		if col.schema == schema && col.table == name {
			out = append(out, col)
		}
	}
	return out
}

// names are the tables of a schema, or the schemas where it is empty.
func (c *catalog) names(schema string) []string {
	var out []string
	for _, col := range c.columns {
		name := col.table
		if schema == "" {
			name = col.schema
		} else if col.schema != schema {
			continue
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// sequenced reports whether the column's default is a sequence's next value.
func (c *column) sequenced() bool { return strings.HasPrefix(c.fallback, "nextval(") }

// always reports whether the database takes no other value than its own.
func (c *column) always() bool { return c.generated != "" || c.identity == "a" }
