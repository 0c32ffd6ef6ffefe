package engine

import (
	"context"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/telemetry"
)

// meter records how long the store takes, by entity and action. The zero meter
// records nothing.
type meter struct {
	db    *telemetry.DB
	ops   sync.Map // measured -> *telemetry.Operation
	wides sync.Map // measured -> *telemetry.Scatter
}

type measured struct {
	entity *model.Entity
	action query.Action
}

func operationName(a query.Action) string {
	return [...]string{query.ReadRows: "select", query.Create: "insert", query.Update: "update", query.Delete: "delete"}[a]
}

// scattered counts a run of a plan that looks for rows of these entities in
// every partition. Which they are was found when it was planned.
func (m *meter) scattered(ctx context.Context, a query.Action, entities []*model.Entity) {
	if m.db == nil {
		return
	}
	for _, e := range entities {
		key := measured{e, a}
		s, ok := m.wides.Load(key)
		if !ok {
			s, _ = m.wides.LoadOrStore(key, m.db.Scatter(operationName(a), e.QualifiedName()))
		}
		s.(*telemetry.Scatter).Count(ctx) //nolint:forcetypeassert // the map holds nothing else
	}
}

func (m *meter) record(ctx context.Context, e *model.Entity, a query.Action, start time.Time, err error) {
	if m.db == nil {
		return
	}
	key := measured{e, a}
	op, ok := m.ops.Load(key)
	if !ok {
		op, _ = m.ops.LoadOrStore(key, m.db.Operation(operationName(a), e.QualifiedName()))
	}
	failed := ""
	if err != nil {
		failed = string(fault.From(err).Code)
	}
	op.(*telemetry.Operation).Record(ctx, time.Since(start), failed) //nolint:forcetypeassert // the map holds nothing else
}
