package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// ours begins the names of what stages make: no name of the model holds a
// point. What follows is a digest of the definition, so that a name that is
// there is exactly what is wanted, and what no plan wants any more is found.
const ours = "pando."

func temporary(definition ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(definition, "\x00")))
	return ours + hex.EncodeToString(sum[:8])
}

// stage is work ahead of a schema change's transaction. It is one of: brief
// statements, statements outside of a transaction, an index, a backfill.
type stage struct {
	title string
	// done is a statement that answers a row where nothing is left to do.
	done  string
	brief []string // in one transaction that waits for no lock for long
	alone []string // each by itself, without a transaction
	index *build
	fill  *fill
	// undo is run when the rows that are there refuse the stage: what it has
	// made so far would refuse writes that are still wanted.
	undo []string
}

// build is an index that is made while others write.
type build struct{ schema, name, create string }

// fill is a batched write of the rows that need it, in the order of the key.
type fill struct {
	table *store.Table
	set   string // "column=expression, ..."
	where string // holds for the rows that need it
	// tokens are fields whose search tokens are cut in Go, in place of set.
	tokens []string
	rows   int64 // estimated
}

// Title implements store.Stage.
func (s *stage) Title() string { return s.title }

// Statements implements store.Stage.
func (s *stage) Statements() []string {
	out := append(append([]string{}, s.brief...), s.alone...)
	if s.index != nil {
		out = append(out, s.index.create)
	}
	if s.fill != nil {
		out = append(out, s.fill.update("")+" -- in batches")
	}
	return out
}

// update writes the rows of a range of keys.
func (f *fill) update(within string) string {
	set := f.set
	if len(f.tokens) > 0 {
		set = joinAll(f.tokens, func(name string) string { return tokensColumn(name) + "=words of " + quote(name) })
	}
	return "UPDATE " + tableName(f.table) + " SET " + set + " WHERE " + within + "(" + f.where + ")"
}

// keyColumns are the columns of a table's key, by which it is walked.
func keyColumns(t *store.Table) []store.Column {
	var out []store.Column
	for _, name := range t.PrimaryKey() {
		out = append(out, *t.Column(name))
	}
	return out
}

// tokensOf is what a searched field's column of tokens holds.
func tokensOf(text string) string { return value.TSVector(value.Tokens(text)) }

// Stages that several changes need.

func columnExists(t *store.Table, column string) string {
	return "SELECT 1 FROM pg_attribute WHERE attrelid=to_regclass(" + literal(tableName(t)) + ") AND attname=" + literal(column) + " AND NOT attisdropped"
}

func constraintExists(t *store.Table, name string, valid bool) string {
	sql := "SELECT 1 FROM pg_constraint WHERE conrelid=to_regclass(" + literal(tableName(t)) + ") AND conname=" + literal(name)
	if valid {
		sql += " AND convalidated"
	}
	return sql
}

// constrain adds a constraint and has it checked behind: adding takes a lock
// for a moment, checking none that readers or writers meet. fills run between
// the two.
func constrain(title string, t *store.Table, name, definition string, between ...*stage) []store.Stage {
	alter := "ALTER TABLE " + tableName(t)
	out := []store.Stage{&stage{
		title: title, done: constraintExists(t, name, false),
		brief: []string{alter + " ADD CONSTRAINT " + quote(name) + " " + definition + " NOT VALID"},
	}}
	for _, s := range between {
		out = append(out, s)
	}
	return append(out, &stage{
		title: title, done: constraintExists(t, name, true),
		alone: []string{alter + " VALIDATE CONSTRAINT " + quote(name)},
		undo:  []string{alter + " DROP CONSTRAINT IF EXISTS " + quote(name)},
	})
}

// Forbid implements store.OnlineDialect.
func (dialect) Forbid(t *store.Table, cond string) store.Stage {
	name := temporary("forbid", tableName(t), cond)
	add := constrain("", t, name, "CHECK (("+cond+") IS NOT TRUE)")
	return &pair{title: "look for values that would be lost in " + t.QualifiedName(), stages: add}
}

// pair is stages that are run as one.
type pair struct {
	title  string
	stages []store.Stage
}

// Title implements store.Stage.
func (p *pair) Title() string { return p.title }

// Statements implements store.Stage.
func (p *pair) Statements() []string {
	var out []string
	for _, s := range p.stages {
		out = append(out, s.Statements()...)
	}
	return out
}
