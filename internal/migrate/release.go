package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// digest names what a model asks of a store. Two releases whose tables are the
// same have the same.
func digest(targets []*store.Table) (string, error) {
	tables := slices.Clone(targets)
	slices.SortFunc(tables, func(a, b *store.Table) int { return strings.Compare(a.QualifiedName(), b.QualifiedName()) })
	for i, t := range tables {
		t = clone(t)
		for j := range t.Columns {
			t.Columns[j].Filled = false
		}
		tables[i] = t
	}
	text, err := json.Marshal(tables)
	if err != nil {
		return "", fault.From(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

// wasAt reports whether an earlier migration led to a target that the newest
// one has left.
func wasAt(r store.Reader, d store.Dialect, h head, target string) (bool, error) {
	if h.target == target || h.id == 0 {
		return false, nil
	}
	found := false
	st := &store.Statement{SQL: "SELECT 1 FROM pando_migrations WHERE id < " + d.Param(1) + " AND plan LIKE " + d.Param(2) + " LIMIT 1"}
	err := r.Query(st, []value.Value{value.OfInt(h.id), value.OfText(`%"target":"` + target + `"%`)}, func(store.Row) error {
		found = true
		return nil
	})
	return found, err
}

// Superseded reports whether the store has been brought to the schema of a
// newer release that leaves the one of this plan's model working: nothing it
// needs is missing, and what is there besides fills itself.
func (p *Plan) Superseded() bool {
	return p.newer && !slices.ContainsFunc(p.Steps, func(s *Step) bool { return s.vital || len(s.Blocked) > 0 && !s.Contract })
}

// HoldsBack reports whether the store holds back the contraction of its last
// migration: a release before it may still run.
func (p *Plan) HoldsBack() bool { return p.head.state == Expanded }
