package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/storetest"
)

// TestPooler runs the conformance suite by way of PgBouncer in transaction
// mode, where each transaction may meet another session.
func TestPooler(t *testing.T) {
	database(t) // or skip
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	b, err := pgtest.StartBouncer(s)
	if errors.Is(err, pgtest.ErrNoBouncer) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	// PgBouncer 1.18 looks every third of a second for cancel requests to send on.
	storetest.RunWithin(t, openerOf(func(t *testing.T) string { return b.URL(database(t)) }), time.Second)
}
