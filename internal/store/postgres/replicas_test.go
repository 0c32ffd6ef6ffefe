package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/value"
)

// pair is a primary with standbys, a database with the row (1,0) on all of
// them, and a driver that reads from them.
type pair struct {
	t        *testing.T
	primary  *pgtest.Server
	standbys []*pgtest.Server
	database string
	d        *postgres.Driver
}

func newPair(t *testing.T, standbys int) *pair {
	t.Helper()
	primary, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	p := &pair{t: t, primary: primary}
	p.must(err)
	t.Cleanup(func() { p.must(primary.Stop()) })
	url, err := primary.Database()
	p.must(err)
	p.database, _, _ = strings.Cut(url[strings.Index(url, "@/")+2:], "?")
	psql(t, url)("CREATE TABLE n (id bigint PRIMARY KEY, v bigint NOT NULL); INSERT INTO n VALUES (1,0)")
	for i := range standbys {
		s, err := primary.Standby([]string{"one", "two"}[i])
		p.must(err)
		t.Cleanup(func() { p.must(s.Stop()) })
		p.must(s.CaughtUp(primary))
		p.standbys = append(p.standbys, s)
	}
	return p
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// open opens the driver and waits until every replica is read from.
func (p *pair) open(lag time.Duration) {
	p.t.Helper()
	opt := postgres.Options{URL: pgtest.URLs(p.database, append([]*pgtest.Server{p.primary}, p.standbys...)...), MaxLag: lag}
	for _, s := range p.standbys {
		opt.Replicas = append(opt.Replicas, s.URL(p.database))
	}
	d, err := postgres.Open(p.t.Context(), opt)
	p.must(err)
	p.d = d
	p.t.Cleanup(func() { p.must(d.Close()) })
	for i := range p.standbys {
		p.await(i, true)
	}
}

func (p *pair) await(replica int, healthy bool) {
	p.t.Helper()
	p.until("a replica's health", func() bool { return p.d.Replicas().List[replica].Healthy == healthy })
}

func (p *pair) until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s has not changed: %+v", what, p.d.Replicas())
		}
		time.Sleep(time.Millisecond)
	}
}

// read is the row's value as a wish's server has it, and who that was: -1 is the
// primary.
func (p *pair) read(w store.Wish) (v int64, from int) {
	p.t.Helper()
	before := p.d.Replicas()
	err := p.d.ReadFrom(p.t.Context(), false, w, func(r store.Reader) error {
		v = -1
		return r.Query(lookup, firstRow, func(row store.Row) error {
			v = row.Int(0)
			return nil
		})
	})
	p.must(err)
	after := p.d.Replicas()
	if after.Primary > before.Primary {
		return v, -1
	}
	for i, r := range after.List {
		if r.Reads > before.List[i].Reads {
			return v, i
		}
	}
	p.t.Fatal("nobody has answered")
	return 0, 0
}

func (p *pair) want(what string, w store.Wish, v int64, from int) {
	p.t.Helper()
	if gotV, gotFrom := p.read(w); gotV != v || gotFrom != from {
		p.t.Errorf("%s: %d from %d, want %d from %d", what, gotV, gotFrom, v, from)
	}
}

//nolint:gochecknoglobals // constant
var firstRow = []value.Value{value.OfInt(1)}

// TestReadYourWrites: with the replay of the only replica paused, who shows
// the position of a write sees it, and others see the row as it was.
func TestReadYourWrites(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	if at := p.d.Position(); at.Cluster == 0 || at.Timeline != 1 || at.LSN == 0 {
		t.Errorf("the first position: %+v", at)
	}
	start := p.d.Position()
	p.must(p.standbys[0].PauseReplay())
	p.must(change(p.d, 1))
	at := p.d.Position()
	if at.LSN <= start.LSN {
		t.Errorf("the position stands still: %+v, %+v", start, at)
	}
	p.want("with the position", store.Wish{After: at}, 1, -1)
	p.want("eventually, with the position", store.Wish{After: at, Consistency: query.Eventual}, 1, -1)
	p.want("strong", store.Wish{Consistency: query.Strong}, 1, -1)
	p.want("without", store.Wish{}, 0, 0)
	p.want("with an earlier position", store.Wish{After: start}, 0, 0)

	// What decides over the caller's rights is never old.
	p.want("judged by what did not change", store.Wish{Consistency: query.Eventual, Judges: []string{"a.b"}}, 1, -1)
	p.must(p.standbys[0].ResumeReplay())
	p.must(p.standbys[0].CaughtUp(p.primary))
	p.until("the way to the replica", func() bool { _, from := p.read(store.Wish{After: at}); return from == 0 })
	p.want("once it is there", store.Wish{After: at}, 1, 0)

	// A position of another history leads to the primary, however small it is.
	for _, foreign := range []store.Position{
		{Cluster: at.Cluster, Timeline: at.Timeline + 1, LSN: 1},
		{Cluster: at.Cluster + 1, Timeline: at.Timeline, LSN: 1},
		{Cluster: at.Cluster, LSN: 1},
	} {
		p.want("a foreign position", store.Wish{After: foreign, Consistency: query.Eventual}, 1, -1)
	}
}

// TestJudges: what this node has changed counts at once, before any look at the
// primary.
func TestJudges(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	judged := store.Wish{Judges: []string{"shop.members"}}
	anything := store.Wish{Judges: []string{store.Anything}}
	p.until("the way to the replica", func() bool { _, from := p.read(judged); return from == 0 })
	p.must(p.standbys[0].PauseReplay())
	for i := range int64(20) {
		p.must(change(p.d, 1))
		p.d.Changed([]string{"shop.members"})
		p.want("judged by what changed", judged, i+1, -1)
		p.want("judged by anything", anything, i+1, -1)
		p.want("not judged", store.Wish{}, 0, 0)
	}
	// A schema change is not there for a replica before it has replayed it.
	p.must(p.d.Alter(t.Context(), func(store.Tx) error { return nil }))
	p.want("after a change of the schema", store.Wish{Consistency: query.Eventual}, 20, -1)
	p.must(p.standbys[0].ResumeReplay())
	p.until("the way to the replica", func() bool { v, from := p.read(judged); return from == 0 && v == 20 })
}

// TestWaitsForReplay: a replica that is a moment behind is waited for.
func TestWaitsForReplay(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	replica := 0
	for i := range int64(50) {
		p.must(change(p.d, 1))
		v, from := p.read(store.Wish{After: p.d.Position()})
		if v != i+1 {
			t.Fatalf("%d from %d, want %d", v, from, i+1)
		}
		if from == 0 {
			replica++
		}
	}
	if replica == 0 {
		t.Error("no read has waited for the replica")
	}
	t.Logf("%d of 50 reads right after a write were the replica's", replica)
}

// TestLaggingReplica: one whose data is too old is skipped, except by who
// does not mind, and comes back.
func TestLaggingReplica(t *testing.T) {
	p := newPair(t, 2)
	p.open(500 * time.Millisecond)
	p.must(p.standbys[0].PauseReplay())
	p.must(change(p.d, 1))
	p.must(p.standbys[1].CaughtUp(p.primary))
	p.await(0, false)
	for range 10 {
		if _, from := p.read(store.Wish{}); from == 0 {
			t.Error("the lagging replica has answered")
		}
	}
	p.until("eventual reads", func() bool { v, from := p.read(store.Wish{Consistency: query.Eventual}); return from == 0 && v == 0 })
	if r := p.d.Replicas().List[0]; r.Ejections == 0 || r.Lag < 500*time.Millisecond {
		t.Errorf("what is told of it: %+v", r)
	}
	p.must(p.standbys[0].ResumeReplay())
	p.await(0, true)
	p.until("bounded reads", func() bool { v, from := p.read(store.Wish{}); return from == 0 && v == 1 })
}

// TestReplicaDies: a read that runs on a replica which is killed is answered by
// another server, and the replica is used again when it is back.
func TestReplicaDies(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	sleep := &store.Statement{SQL: "SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(60) END, pg_is_in_recovery()"}
	entered, runs := make(chan struct{}, 2), 0
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- p.d.ReadFrom(context.Background(), false, store.Wish{}, func(r store.Reader) error {
			runs++
			once.Do(func() { close(entered) })
			return r.Query(sleep, nil, func(store.Row) error { return nil })
		})
	}()
	<-entered
	p.must(p.standbys[0].Await("SELECT count(*)=1 FROM pg_stat_activity WHERE wait_event='PgSleep'"))
	p.must(p.standbys[0].Kill())
	if err := <-done; err != nil || runs != 2 {
		t.Errorf("%d runs: %v", runs, err)
	}
	p.await(0, false)
	p.want("without the replica", store.Wish{}, 0, -1)
	p.must(p.standbys[0].Restart())
	p.await(0, true)
	p.until("the way to the replica", func() bool { _, from := p.read(store.Wish{}); return from == 0 })
}

// TestReplicaHangs: a replica that has stopped to answer holds nobody up.
func TestReplicaHangs(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	p.must(p.standbys[0].Freeze(true))
	thaw := sync.OnceFunc(func() { p.must(p.standbys[0].Freeze(false)) })
	defer thaw()
	begin := time.Now()
	p.want("while it hangs", store.Wish{}, 0, -1)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the read took %v", took)
	}
	thaw()
	p.await(0, true)
}

// TestFailover: when the primary is killed and its synchronous standby is
// promoted, the driver finds it. Nothing acknowledged is lost, and positions of
// before lead to the primary.
func TestFailover(t *testing.T) {
	p := newPair(t, 1)
	p.must(p.primary.Synchronous("one"))
	p.open(time.Hour)
	p.must(change(p.d, 1))
	before := p.d.Position()
	p.must(p.primary.Kill())
	if err := change(p.d, 1); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("a write without a primary: %v", err)
	}
	p.want("while there is no primary", store.Wish{}, 1, 0)
	p.must(p.standbys[0].Promote())
	p.until("the primary", func() bool { return change(p.d, 1) == nil })
	p.want("the new primary", store.Wish{}, 2, -1)
	after := p.d.Position()
	if after.Timeline <= before.Timeline || after.Cluster != before.Cluster {
		t.Errorf("positions: %+v, then %+v", before, after)
	}
	p.must(p.primary.Rejoin(p.standbys[0], "one"))
	p.must(p.primary.CaughtUp(p.standbys[0]))
	if err := p.d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(lookup, firstRow, func(store.Row) error { return nil })
	}); err != nil {
		t.Errorf("a read of the primary: %v", err)
	}
}

// TestTimelines: after a failover the other standby follows the new primary,
// and is read from again only then; a position of the old timeline leads to the
// primary for good.
func TestTimelines(t *testing.T) {
	p := newPair(t, 2)
	p.open(time.Hour)
	p.must(change(p.d, 1))
	before := p.d.Position()
	p.must(p.standbys[0].CaughtUp(p.primary))
	p.must(p.primary.Kill())
	p.must(p.standbys[0].Promote())
	p.until("the primary", func() bool { return change(p.d, 1) == nil })
	p.until("the watch", func() bool { return p.d.Position().Timeline == 2 && !p.d.Replicas().List[1].Healthy })
	p.want("the one left behind", store.Wish{Consistency: query.Eventual}, 2, -1)
	p.must(p.standbys[1].Halt())
	p.standbys[1].Follow(p.standbys[0], "two")
	p.must(p.standbys[1].Restart())
	p.await(1, true)
	p.until("the way to the replica", func() bool { v, from := p.read(store.Wish{After: p.d.Position()}); return v == 2 && from == 1 })
	p.want("a position of the old timeline", store.Wish{After: before}, 2, -1)
}

// TestReadOnlyPrimary: a primary that takes no writes any more is left for the
// one that does, and the write that met it is done there.
func TestReadOnlyPrimary(t *testing.T) {
	p := newPair(t, 1)
	p.open(time.Hour)
	p.must(change(p.d, 1))
	p.must(p.standbys[0].CaughtUp(p.primary))
	p.must(p.standbys[0].Promote())
	p.must(p.primary.Exec("postgres", "ALTER SYSTEM SET default_transaction_read_only=on"))
	p.must(p.primary.Exec("postgres", "SELECT pg_reload_conf()"))
	p.must(p.primary.Await("SELECT current_setting('transaction_read_only')='on'"))
	p.until("the primary", func() bool {
		p.must(change(p.d, 1))
		return p.d.Position().Timeline == 2
	})
	if n := valueOf(t, p.d, 1); n < 2 {
		t.Errorf("the row holds %d", n)
	}
}
