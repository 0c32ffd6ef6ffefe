package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/value"
)

// shared is one PostgreSQL database and the key that its nodes have.
type shared struct {
	t       *testing.T
	url     string
	wrapper *keys.Wrapper
}

// TestNodes is about the nodes that share a trail on PostgreSQL.
func TestNodes(t *testing.T) {
	server, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name string
		test func(*testing.T, *shared)
	}{
		{"share the trail", nodesShareTheTrail},
		{"erase", nodesErase},
		{"erase under writes", nodesEraseUnderWrites},
		{"anchor", nodesAnchor},
		{"count", nodesCount},
		{"one stands still", nodeStandsStill},
		{"texts that no store takes", textsNoStoreTakes},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, share(t, server)) })
	}
}

func share(t *testing.T, server *pgtest.Server) *shared {
	t.Helper()
	s := &shared{t: t}
	var err error
	if s.url, err = server.Database(); err != nil {
		t.Fatal(err)
	}
	if s.wrapper, err = keys.OpenWrapper(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return s
}

// peer is one node's log over the shared database.
type peer struct {
	*audit.Log
	driver *postgres.Driver
}

func (s *shared) join() *peer {
	s.t.Helper()
	d, err := postgres.Open(s.t.Context(), postgres.Options{URL: s.url, Readers: 20})
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := audit.Open(s.t.Context(), audit.Config{Driver: d, Wrapper: s.wrapper})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := errors.Join(l.Close(context.Background()), d.Close()); err != nil {
			s.t.Error(err)
		}
	})
	return &peer{l, d}
}

// sql runs what is beside the nodes, on a connection of its own.
func (s *shared) sql() func(sql string) string {
	s.t.Helper()
	c, err := pgtest.Connect(s.t.Context(), s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return func(sql string) string {
		s.t.Helper()
		out, err := c.Run(s.t.Context(), sql)
		if err != nil {
			s.t.Fatal(err)
		}
		return out
	}
}

// whole fails unless the chain is sound, every record lies under a key that is
// stored, and there are as many as rows.
func (s *shared) whole(p *peer, rows string) *audit.Report {
	s.t.Helper()
	rep, err := p.Verify(s.t.Context(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if !rep.OK || rep.Unsealed != 0 {
		s.t.Errorf("the chain: %+v", rep)
	}
	if rows != "" && strconv.FormatInt(rep.Records, 10) != rows {
		s.t.Errorf("%d records of %s writes", rep.Records, rows)
	}
	last, at := int64(0), time.Time{}
	err = p.Each(s.t.Context(), audit.Query{}, func(r *audit.Record) error {
		if r.Erased || r.Damaged || r.IP != "203.0.113.9" {
			s.t.Errorf("record %d cannot be read: %+v", r.ID, r)
		}
		if r.ID <= last || r.Time.Before(at) {
			s.t.Errorf("record %d of %v behind %d of %v", r.ID, r.Time, last, at)
		}
		last, at = r.ID, r.Time
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	return rep
}

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var (
	bumpRow = &store.Statement{SQL: `UPDATE n SET v=v+1 WHERE id=$1`}
	logRow  = &store.Statement{SQL: `INSERT INTO done (id) VALUES ($1)`}
)

var errUndo = errors.New("undo")

// hustle is one write among many: it locks two of few rows, in any order, so that
// writes wait for each other and deadlock; it undoes a savepoint with a record, or
// itself, at random. A done row tells that it was committed.
func (p *peer) hustle(ctx context.Context, id int64) error {
	first, second := rand.Int64N(6), rand.Int64N(6)
	fate := rand.IntN(10)
	return p.driver.Write(ctx, func(tx store.Tx) error {
		r := caller("u" + strconv.FormatInt(id%97, 10))
		r.Keys = []string{strconv.FormatInt(id, 10)}
		if _, err := tx.Exec(bumpRow, []value.Value{value.OfInt(first)}); err != nil {
			return err
		}
		if fate < 3 {
			err := tx.Savepoint(func() error {
				lost := caller("lost-" + strconv.FormatInt(id, 10))
				if err := p.Append(tx, &lost); err != nil {
					return err
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				return err
			}
		}
		if err := p.Append(tx, &r); err != nil {
			return err
		}
		if _, err := tx.Exec(bumpRow, []value.Value{value.OfInt(second)}); err != nil {
			return err
		}
		if fate == 9 {
			return errUndo
		}
		_, err := tx.Exec(logRow, []value.Value{value.OfInt(id)})
		return err
	})
}

// nodesShareTheTrail: several nodes with concurrent transactions that wait for
// locks, deadlock and fail, and whose connections are killed, keep one chain in
// which every committed write has its one record.
func nodesShareTheTrail(t *testing.T, s *shared) {
	nodes := []*peer{s.join(), s.join(), s.join()}
	other := s.sql()
	other(`CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n SELECT i, 0 FROM generate_series(0,5) AS i;
		CREATE TABLE done (id bigint PRIMARY KEY); ALTER DATABASE ` + other(`SELECT current_database()`) + ` SET deadlock_timeout='50ms'`)
	var acked sync.Map
	var failed, committed atomic.Int64
	var wg sync.WaitGroup
	writes := 40
	if testing.Short() {
		writes = 10
	}
	for worker := range 24 {
		p := nodes[worker%len(nodes)]
		wg.Go(func() {
			for i := range writes {
				id := int64(worker*1000 + i)
				err := p.hustle(t.Context(), id)
				switch {
				case err == nil:
					acked.Store(id, true)
					committed.Add(1)
				case errors.Is(err, errUndo):
				case fault.Is(err, fault.Serialization), fault.Is(err, fault.StoreUnavailable):
					failed.Add(1)
				default:
					t.Errorf("write %d: %v: %v", id, err, fault.From(err).Cause)
				}
			}
		})
	}
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		kill := s.sql()
		tick := time.NewTicker(70 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				kill(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='pando' AND datname=current_database() AND state='active' ` +
					`AND pid<>pg_backend_pid() ORDER BY random() LIMIT 1`)
			}
		}
	})
	wg.Wait()
	close(stop)
	killer.Wait()
	done := map[string]bool{}
	for _, row := range rows(t, nodes[0].driver, `SELECT id, id FROM done`) {
		done[row[0]] = true
	}
	acked.Range(func(id, _ any) bool {
		if !done[fmt.Sprint(id)] {
			t.Errorf("the acknowledged write %v is gone", id)
		}
		return true
	})
	rep := s.whole(nodes[1], strconv.Itoa(len(done)))
	t.Logf("%d writes acknowledged, %d refused; %d records under %d seals", committed.Load(), failed.Load(), rep.Records, rep.Seals)
	if got := other(`SELECT count(*) FROM pando_audit_subjects WHERE subject LIKE 'lost%'`); got != "0" {
		t.Errorf("%s keys of records that were undone", got)
	}
	if got := other(`SELECT count(*) FROM pando_audit AS a LEFT JOIN done AS d ON d.id::text=a.key WHERE d.id IS NULL`); got != "0" {
		t.Errorf("%s records of writes that were not committed", got)
	}
	if committed.Load() == 0 {
		t.Error("nothing was committed")
	}
}

// nodesErase: a key that one node erases is used by no other node again.
func nodesErase(t *testing.T, s *shared) {
	a, b := s.join(), s.join()
	write := func(p *peer) {
		t.Helper()
		r := caller("ann")
		if err := p.Write(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
	}
	write(a)
	write(b) // b knows the key now
	by := audit.FromIdentity(&policy.Identity{Role: policy.Service})
	if there, err := a.Erase(t.Context(), by, "ann"); err != nil || !there {
		t.Fatal(there, err)
	}
	write(b)
	write(a)
	for id, erased := range map[int64]bool{1: true, 2: true, 4: false, 5: false} {
		for _, p := range []*peer{a, b} {
			if r, err := p.Get(t.Context(), id); err != nil || r.Erased != erased {
				t.Errorf("record %d: %+v, %v", id, r, err)
			}
		}
	}
	if got := s.sql()(`SELECT count(*) FROM pando_audit_subjects WHERE subject='ann'`); got != "1" {
		t.Errorf("%s keys of ann", got)
	}
}

// nodesEraseUnderWrites: erasing and writing side by side deadlocks nobody and
// loses nothing that is written after the last erasure.
func nodesEraseUnderWrites(t *testing.T, s *shared) {
	a, b := s.join(), s.join()
	by := audit.FromIdentity(&policy.Identity{Role: policy.Service})
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			r := caller("ann")
			if err := b.Write(t.Context(), &r); err != nil {
				t.Error(err, fault.From(err).Cause)
			}
		})
		wg.Go(func() {
			p := []*peer{a, b}[i%2]
			if _, err := p.Erase(t.Context(), by, "ann"); err != nil {
				t.Error(err, fault.From(err).Cause)
			}
		})
	}
	wg.Wait()
	r := caller("ann")
	if err := b.Write(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Get(t.Context(), 61); err != nil || r.Erased || r.IP == "" {
		t.Errorf("the last record: %+v, %v", r, err)
	}
	if rep, err := a.Verify(t.Context(), nil); err != nil || !rep.OK || rep.Records != 61 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// nodesAnchor: nodes that make the first checkpoint at once sign with one key.
func nodesAnchor(t *testing.T, s *shared) {
	nodes := []*peer{s.join(), s.join(), s.join(), s.join()}
	r := caller("ann")
	if err := nodes[0].Write(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	anchors := make([]audit.Checkpoint, len(nodes))
	var wg sync.WaitGroup
	for i, p := range nodes {
		wg.Go(func() {
			c, err := p.Checkpoint(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			anchors[i] = *c
		})
	}
	wg.Wait()
	if rep, err := nodes[0].Verify(t.Context(), anchors); err != nil || !rep.OK || rep.Anchors != len(nodes) {
		t.Errorf("%+v, %v", rep, err)
	}
}

// nodesCount: refusals that nodes count and store at once add up.
func nodesCount(t *testing.T, s *shared) {
	nodes := []*peer{s.join(), s.join(), s.join()}
	var wg sync.WaitGroup
	for _, p := range nodes {
		for i := range 900 {
			p.Count("key-"+strconv.Itoa(i), "PGRST302")
		}
		for range 4 {
			wg.Go(func() {
				if err := p.Flush(t.Context()); err != nil {
					t.Error(err, fault.From(err).Cause)
				}
			})
		}
	}
	wg.Wait()
	if got := s.sql()(`SELECT sum("count")||' '||count(DISTINCT "key") FROM pando_audit_counts`); got != "2700 900" {
		t.Errorf("counted: %s", got)
	}
}

// nodeStandsStill: a node that stops in the middle of its commit keeps the
// others waiting until the server ends its session, and no longer.
func nodeStandsStill(t *testing.T, s *shared) {
	if testing.Short() {
		t.Skip("waits for the server's time limit")
	}
	p, still := s.join(), s.sql()
	still(`BEGIN; SET LOCAL idle_in_transaction_session_timeout=2000; SELECT pg_advisory_xact_lock(` + strconv.Itoa(0x70616e646f+1) + `)`)
	r := caller("ann")
	if err := p.Write(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	s.whole(p, "1")
}

// textsNoStoreTakes: what a caller sends as a key or a name never keeps a
// record, and those that share its commit, from being stored.
func textsNoStoreTakes(t *testing.T, s *shared) {
	p := s.join()
	long := strings.Repeat("x", 1023) + "\u20ac" + strings.Repeat("y", 100)
	for _, text := range []string{long, "a\x00b", "a\xffb", "\xe2\x82"} {
		r := caller(text)
		r.Keys, r.Entity, r.Subject = []string{text}, "shop."+text, text
		r.Detail = map[string]string{"email": text, "note": text}
		r.Values = []audit.Values{{Key: text, Subject: text + "2", Data: []byte(`{"a":1}`)}}
		if err := p.Write(t.Context(), &r); err != nil {
			t.Errorf("%.20q: %v: %v", text, err, fault.From(err).Cause)
		}
	}
	s.whole(p, "4")
}
