package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// connectTimeout is how long one server may take to let a connection in, unless
// the URL says otherwise.
const connectTimeout = 5 * time.Second

// settings are what all connections of a driver share.
type settings struct {
	base   context.Context //nolint:containedctx // never ends: for what must be done whatever a caller's says
	cfg    *pgconn.Config
	pooled bool             // behind a transaction pooler: nothing may outlive a transaction
	limit  *store.Statement // sets the time limit of writes, where no start-up option can; nil: none
	types  types
	age    atomic.Uint64 // the generation of connections
}

// reset has every idle connection replaced: what one of them met, its server's
// end, the others have met too.
func (s *settings) reset() { s.age.Add(1) }

// The parameters of a URL that are the driver's own.
const (
	paramPooler  = "pooler"
	paramTimeout = "statement_timeout"
)

// readURL reads a URL and sets what every connection needs. The parameters are
// those that a transaction pooler knows to keep apart.
func readURL(ctx context.Context, url string) (*settings, error) {
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fault.New(fault.ConfigInvalid, "the store's URL is wrong"). // the error holds the password
											WithHint("it has the form postgres://user@host:5432/database")
	}
	if len(cfg.Fallbacks) > 0 && cfg.ValidateConnect == nil { // of several servers one takes writes
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	s := &settings{cfg: cfg, base: context.WithoutCancel(ctx)}
	par := cfg.RuntimeParams
	switch mode := par[paramPooler]; mode {
	case "":
	case "transaction":
		s.pooled = true
		if limit := par[paramTimeout]; limit != "" {
			s.limit = &store.Statement{SQL: "SET LOCAL statement_timeout=" + literal(limit)}
			delete(par, paramTimeout)
		}
	default:
		return nil, fault.New(fault.ConfigInvalid, "the store's URL is wrong").
			WithDetails("there is no pooler=%s", mode).WithHint("pooler=transaction, or leave it away")
	}
	delete(par, paramPooler)
	par["timezone"] = "UTC"
	par["datestyle"] = "ISO"
	par["client_encoding"] = "UTF8"
	if par["application_name"] == "" {
		par["application_name"] = "pando"
	}
	return s, nil
}

// types are the statements whose types are known. Behind a pooler each
// connection of its clients may meet any server's, so that they are the
// driver's, not a connection's.
type types struct {
	mu sync.RWMutex
	of map[*store.Statement]*prepared
}

func (t *types) forget(st *store.Statement) {
	t.mu.Lock()
	delete(t.of, st)
	t.mu.Unlock()
}

func (t *types) clear() {
	t.mu.Lock()
	clear(t.of)
	t.mu.Unlock()
}

// typed finds the types of a statement's parameters, which the server is asked
// for once.
func (c *conn) typed(st *store.Statement) (*prepared, error) {
	t := &c.set.types
	t.mu.RLock()
	p := t.of[st]
	t.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	p = &prepared{}
	if err := c.ask(p, st.SQL); err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.of == nil || len(t.of) >= maxStatements {
		t.of = map[*store.Statement]*prepared{} // those in use are asked for again
	}
	t.of[st] = p
	t.mu.Unlock()
	return p, nil
}
