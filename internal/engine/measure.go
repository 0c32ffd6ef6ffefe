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
	db  *telemetry.DB
	ops sync.Map // measured -> *telemetry.Operation
}

type measured struct {
	entity *model.Entity
	action query.Action
}

func (m *meter) record(ctx context.Context, e *model.Entity, a query.Action, start time.Time, err error) {
	if m.db == nil {
		return
	}
	key := measured{e, a}
	op, ok := m.ops.Load(key)
	if !ok {
		name := [...]string{query.ReadRows: "select", query.Create: "insert", query.Update: "update", query.Delete: "delete"}[a]
		op, _ = m.ops.LoadOrStore(key, m.db.Operation(name, e.QualifiedName()))
	}
	failed := ""
	if err != nil {
		failed = string(fault.From(err).Code)
	}
	op.(*telemetry.Operation).Record(ctx, time.Since(start), failed) //nolint:forcetypeassert // the map holds nothing else
}
