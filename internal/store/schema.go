package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// Table is the stored form of an entity, free of what only the API knows. Its
// JSON is what the migration history keeps.
type Table struct {
	Module  string       `json:"module"`
	Entity  string       `json:"entity"`
	Columns []Column     `json:"columns"`
	Primary string       `json:"primary"`
	Unique  []KeyColumns `json:"unique,omitempty"`
	Index   []KeyColumns `json:"index,omitempty"`
	Refs    []ForeignKey `json:"refs,omitempty"`
	Search  []string     `json:"search,omitempty"` // fields of the full-text index

	// Partition says how the rows are divided; nil: they are not.
	Partition *TablePartition `json:"partition,omitempty"`
}

// TablePartition divides a table by the hash of a column. The column is a part
// of the primary key, of every unique key and of every reference to the table,
// so that each partition can be looked after by itself.
type TablePartition struct {
	Column string `json:"column"`
	Into   int    `json:"into"`
}

// Column is one stored field.
type Column struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // value.Kind's name
	List    bool     `json:"list,omitempty"`
	Scale   int      `json:"scale,omitempty"`
	NotNull bool     `json:"not_null,omitempty"`
	Enum    []string `json:"enum,omitempty"` // the words of an enum
	// Filled: the database gives a value to writers that leave the column out.
	Filled  bool         `json:"filled,omitempty"`
	Default *value.Value `json:"-"` // fills the rows that exist when the column is added
	Fill    Fill         `json:"-"` // as Default, with a value made for each row
}

// Fill makes the value of a new column for the rows that exist.
type Fill string

// The fills.
const (
	FillUUID Fill = "uuid" // a UUID of its own for each row
	FillNow  Fill = "now"  // the time of the migration
)

// Type is the column's type, without limits.
func (c Column) Type() value.Type {
	k, _ := value.ParseKind(c.Kind)
	return value.Type{Kind: k, List: c.List, Scale: c.Scale}
}

// KeyColumns is an index. Every plain index ends with the primary key, so that
// an order with its tie-break is read off the index. Names are unique within a
// module.
type KeyColumns struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// ForeignKey is a reference that the database enforces.
type ForeignKey struct {
	Column       string         `json:"column"`
	TargetModule string         `json:"target_module"`
	TargetEntity string         `json:"target_entity"`
	TargetColumn string         `json:"target_column"`
	OnDelete     model.OnDelete `json:"on_delete"`
	// Key and TargetKey are the columns of the partition key at both ends, where
	// the reference names it beside Column and TargetColumn; empty: it does not.
	Key       string `json:"key,omitempty"`
	TargetKey string `json:"target_key,omitempty"`
}

// Columns are the columns of the reference, and TargetColumns those that they
// name, in the same order.
func (fk ForeignKey) Columns() []string {
	if fk.Key == "" {
		return []string{fk.Column}
	}
	return []string{fk.Key, fk.Column}
}

// TargetColumns are the key of the table that is referred to.
func (fk ForeignKey) TargetColumns() []string {
	if fk.Key == "" {
		return []string{fk.TargetColumn}
	}
	return []string{fk.TargetKey, fk.TargetColumn}
}

// ChangeKind is a kind of schema change.
type ChangeKind uint8

// The changes. Each is one or a few statements of one transaction.
const (
	CreateTable  ChangeKind = iota // Table
	DropTable                      // Table
	RenameTable                    // Old -> Table
	AddColumn                      // Table, Column
	DropColumn                     // Table, Column
	RenameColumn                   // Table, From -> Column
	CreateIndex                    // Table, Key (Unique tells which)
	DropIndex                      // Table, Key
	RebuildTable                   // Old -> Table: types, nullability, foreign keys; columns are copied by name, or through Convert
	CreateSearch                   // Table: the full-text index over Table.Search, filled from the rows
	DropSearch                     // Table
)

// Change is one step of a migration.
type Change struct {
	Kind   ChangeKind
	Table  *Table
	Old    *Table
	Column Column
	From   string
	Key    KeyColumns
	Unique bool

	// Convert holds, by the new table's column, what RebuildTable copies in
	// place of the column itself: SQL made by [Dialect.Convert].
	Convert map[string]string
}

// TableOf returns the stored form of an entity. Each foreign key's column gets
// an index unless some index begins with it, since a delete of the target looks
// the referring rows up.
func TableOf(e *model.Entity) *Table {
	t := &Table{Module: e.Module.Name, Entity: e.Name, Primary: e.Primary.Name}
	for _, f := range e.Fields {
		c := Column{Name: f.Name, Kind: f.Type.Kind.String(), List: f.Type.List, Scale: f.Type.Scale, NotNull: !f.Optional, Enum: f.Type.Values}
		if f.Default != nil && f.Default.Kind == model.DefaultLiteral {
			v := f.Default.Value
			c.Default, c.Filled = &v, !v.IsNull()
		}
		t.Columns = append(t.Columns, c)
		if f.Ref != nil && !f.Ref.Loose {
			t.Refs = append(t.Refs, referenceOf(f))
		}
	}
	hidden := hiddenKey(e)
	if k := e.PartitionKey(); k != nil {
		t.Partition = &TablePartition{Column: k.Name, Into: e.Partitions()}
	}
	if hidden != nil {
		t.Columns = append(t.Columns, Column{Name: hidden.Name, Kind: hidden.Type.Kind.String(), Scale: hidden.Type.Scale, NotNull: true, Enum: hidden.Type.Values})
	}
	for _, k := range e.Unique {
		columns := fieldNames(k.Fields)
		if hidden != nil { // behind the reference that decides it: it keeps nothing more apart
			columns = append(columns, hidden.Name)
		}
		t.Unique = append(t.Unique, KeyColumns{Name: k.Name, Columns: columns})
	}
	for _, k := range e.Index {
		t.addIndex(k.Name, fieldNames(k.Fields))
	}
	for _, fk := range t.Refs {
		if !t.leads(fk.Column) {
			t.addIndex(keyName(t.Entity, fk.Column, "ref"), []string{fk.Column})
		}
	}
	if !t.leads(t.Primary) { // a row is found by its primary key alone
		t.addIndex(keyName(t.Entity, t.Primary, "row"), []string{t.Primary})
	}
	t.Search = fieldNames(e.Search)
	return t
}

func referenceOf(f *model.Field) ForeignKey {
	to := f.Ref.Target
	fk := ForeignKey{Column: f.Name, TargetModule: to.Module.Name, TargetEntity: to.Name, TargetColumn: to.Primary.Name, OnDelete: f.Ref.OnDelete}
	if f.Colocates() {
		if hidden := hiddenKey(f.Entity); hidden != nil {
			fk.Key, fk.TargetKey = hidden.Name, to.PartitionKey().Name
		}
	}
	return fk
}

// PrimaryKey are the columns of the primary key as the database has it.
func (t *Table) PrimaryKey() []string {
	if p := t.Partition; p != nil && p.Column != t.Primary {
		return []string{p.Column, t.Primary}
	}
	return []string{t.Primary}
}

// addIndex adds a plain index, completed by the primary key.
func (t *Table) addIndex(name string, columns []string) {
	if !slices.Contains(columns, t.Primary) {
		columns = append(columns, t.Primary)
	}
	t.Index = append(t.Index, KeyColumns{Name: name, Columns: columns})
}

// leads reports whether some index begins with the column.
func (t *Table) leads(column string) bool {
	first := func(k KeyColumns) bool { return k.Columns[0] == column }
	return t.PrimaryKey()[0] == column || slices.ContainsFunc(t.Unique, first) || slices.ContainsFunc(t.Index, first)
}

// Column returns the column of that name, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// QualifiedName is "module.entity".
func (t *Table) QualifiedName() string { return t.Module + "." + t.Entity }

func fieldNames(fields []*model.Field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Name)
	}
	return out
}

// keyName is entity_column_suffix; a name longer than PostgreSQL holds ends in
// a digest, so that it stays distinct.
func keyName(entity, column, suffix string) string {
	const longest = 63
	name := entity + "_" + column + "_" + suffix
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4]) + "_" + suffix
	return name[:longest-len(tail)] + tail
}
