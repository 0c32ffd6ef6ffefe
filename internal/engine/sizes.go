package engine

import (
	"context"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
)

// sizes remembers about how many rows entities have. Its zero value remembers
// nothing.
type sizes struct {
	mu sync.Mutex
	m  map[*model.Entity]size
}

type size struct {
	rows  int64
	known bool
	at    time.Time
}

const (
	sizeAge  = 10 * time.Minute // of what is not asked for again
	sizeWait = time.Second      // that the store may think
)

// Rows is about how many rows an entity has, as the store's statistics tell, or
// told some minutes ago. known is false where they tell nothing.
func (e *Engine) Rows(ctx context.Context, ent *model.Entity) (rows int64, known bool) {
	s := &e.sizes
	s.mu.Lock() // also while the store is asked: who comes meanwhile wants to know the same
	defer s.mu.Unlock()
	if got, ok := s.m[ent]; ok && e.now().Sub(got.at) < sizeAge {
		return got.rows, got.known
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sizeWait)
	defer cancel()
	got := size{at: e.now()}
	err := e.driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: e.driver.Dialect().Estimate(ent)}, nil, func(row store.Row) error {
			if got.known = !row.Null(0); got.known {
				got.rows = row.Int(0)
			}
			return nil
		})
	})
	got.known = got.known && err == nil // the store fails: whoever asks it for rows is told so
	if s.m == nil {
		s.m = map[*model.Entity]size{}
	}
	s.m[ent] = got
	return got.rows, got.known
}
