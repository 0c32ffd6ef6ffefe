package migrate_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

const (
	before = `entities:
  t:
    fields:
      id: { type: int, primary: true }
      a: { type: text }
      n: { type: int }
      note: { type: text, optional: true }
      u_id: { type: int, optional: true }
      v_id: { ref: u, optional: true, on_delete: cascade }
      gone: { type: text, optional: true }
    index: [[n]]
  u:
    fields:
      id: { type: int, primary: true }
`
	after = `entities:
  t:
    fields:
      id: { type: int, primary: true }
      a: { type: text }
      n: { type: text }
      note: { type: text, default: none }
      u_id: { ref: u, optional: true }
      v_id: { ref: u, optional: true, on_delete: set_null }
      tag: { type: uuid, default: uuid() }
      more: { type: text, optional: true }
    unique: [[a]]
    index: [[n], [note]]
    search: [a, more]
  u:
    fields:
      id: { type: int, primary: true }
`
	// blocked is the longest that a reader or a writer may wait for a lock.
	blocked = 200 * time.Millisecond
	workers = 4
)

// rowsUnderLoad is the size of the table; PANDO_MIGRATION_ROWS says another.
func rowsUnderLoad(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("PANDO_MIGRATION_ROWS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("PANDO_MIGRATION_ROWS:", err)
		}
		return n
	}
	return 3000
}

func connect(t *testing.T, url string) *pgtest.Session {
	t.Helper()
	c, err := pgtest.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// traffic is readers and writers of the old release on a database.
type traffic struct {
	t    *testing.T
	stop chan struct{}
	wg   sync.WaitGroup
	done atomic.Int64
	last []map[int]int // per worker: row -> what n was set to

	mu      sync.Mutex
	longest time.Duration
	where   string
	noise   time.Duration // the longest that a sample took, which waits for no lock
}

// startLoad begins the work. Each worker writes rows of its own.
func startLoad(t *testing.T, url string, rows int) *traffic {
	t.Helper()
	l := &traffic{t: t, stop: make(chan struct{}), last: make([]map[int]int, workers)}
	for w := range workers {
		l.last[w] = map[int]int{}
		c := connect(t, url)
		l.wg.Go(func() { l.work(c, w, rows) })
	}
	watcher := connect(t, url)
	l.wg.Go(func() { l.watch(watcher) })
	return l
}

func (l *traffic) running() bool {
	select {
	case <-l.stop:
		return false
	default:
		return !l.t.Failed()
	}
}

func (l *traffic) work(c *pgtest.Session, w, rows int) {
	run := func(format string, args ...any) {
		sql := fmt.Sprintf(format, args...)
		if _, err := c.Run(context.Background(), "/* load */ "+sql); err != nil {
			l.t.Errorf("%s: %v", sql, err)
		}
		l.done.Add(1)
	}
	r := rand.New(rand.NewPCG(uint64(w), 1))     //nolint:gosec // a repeatable load
	pace := time.NewTicker(3 * time.Millisecond) // the machine is to have time for the migration
	defer pace.Stop()
	for i := 0; l.running(); i++ {
		<-pace.C
		id := r.IntN(rows/workers)*workers + w
		switch i % 4 {
		case 0:
			run("UPDATE m.t SET n = '%d' WHERE id = %d", i, id)
			l.last[w][id] = i
		case 1:
			run("INSERT INTO m.t (id, a, n) VALUES (%[1]d, 'new %[1]d', '%[2]d')", rows+i*workers+w, i)
			l.last[w][rows+i*workers+w] = i
		case 2:
			run("UPDATE m.t SET a = 'changed ' || id || ' %d' WHERE id = %d", i, id)
		case 3:
			run("SELECT count(*) FROM m.t WHERE id BETWEEN %d AND %d", id, id+100)
		}
	}
}

// watch samples who waits for locks. A sample that itself came late counts by
// what was seen on both sides of it.
func (l *traffic) watch(c *pgtest.Session) {
	first := map[string]time.Time{}
	for l.running() {
		began := time.Now()
		res, err := c.Run(context.Background(), `SELECT string_agg(pid||' '||query_start||'|'||wait_event||': '||query, E'\n') FROM pg_stat_activity
			WHERE datname=current_database() AND wait_event_type='Lock' AND query LIKE '/* load%'`)
		if err != nil {
			l.t.Error(err)
			return
		}
		now, waiting := time.Now(), map[string]time.Time{}
		for line := range strings.SplitSeq(res, "\n") {
			key, query, ok := strings.Cut(line, "|")
			if !ok {
				continue
			}
			since, ok := first[key]
			if !ok {
				since = now
			}
			waiting[key] = since
			if d := now.Sub(since); d > l.longest {
				l.mu.Lock()
				l.longest, l.where = d, query
				l.mu.Unlock()
			}
		}
		first = waiting
		l.noise = max(l.noise, now.Sub(began))
	}
}

// end stops the work and holds it against what was promised.
func (l *traffic) end(d store.Driver) {
	l.t.Helper()
	close(l.stop)
	l.wg.Wait()
	l.t.Logf("%d requests, the longest wait for a lock took %v (%s), the machine's noise is %v", l.done.Load(), l.longest.Round(time.Millisecond), l.where, l.noise.Round(time.Millisecond))
	if l.longest > blocked+l.noise {
		l.t.Errorf("a request waited %v for a lock: %s", l.longest, l.where)
	}
	var rows []string
	texts(l.t, d, "SELECT id||' '||n FROM m.t", &rows)
	got := make(map[string]bool, len(rows))
	for _, row := range rows {
		got[row] = true
	}
	for w := range l.last {
		for id, n := range l.last[w] {
			if want := fmt.Sprintf("%d %d", id, n); !got[want] {
				l.t.Errorf("a write is lost: %s", want)
			}
		}
	}
}

// filled makes the old release's table with rows.
func filled(t *testing.T, url string, rows int) *postgres.Driver {
	t.Helper()
	d := openPostgres(t, url)
	must(t, migrate.Apply(t.Context(), d, prepare(t, d, load(t, before)), migrate.Options{}))
	c := connect(t, url)
	for _, sql := range []string{
		"INSERT INTO m.u SELECT i FROM generate_series(0, 99) AS i",
		fmt.Sprintf("INSERT INTO m.t (id, a, n, note, u_id, v_id) SELECT i, 'text of '||i, i%%1000, CASE WHEN i%%3=0 THEN 'note' END, i%%100, i%%100 FROM generate_series(0, %d) AS i", rows-1),
		"VACUUM ANALYZE m.t",
	} {
		if _, err := c.Run(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// migrated holds the outcome against the model.
func migrated(t *testing.T, d store.Driver) {
	t.Helper()
	settled(t, d, load(t, after))
	for what, sql := range map[string]string{
		"rows without a tag":    `SELECT count(*)::text FROM m.t WHERE tag IS NULL`,
		"rows that share a tag": `SELECT (count(*)-count(DISTINCT tag))::text FROM m.t`,
		"rows without a note":   `SELECT count(*)::text FROM m.t WHERE note IS NULL`,
		// What the traffic wrote when nobody looked for stale words any more is not counted.
		"rows that a search would miss": `SELECT count(*)::text FROM m.t WHERE a LIKE 'text of%' AND ("a.search" IS NULL OR NOT "a.search" @@ to_tsquery('simple', (regexp_match(a, '[0-9]+$'))[1]))`,
		"what stages left":              `SELECT ((SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid=attrelid WHERE relkind='r' AND attname LIKE 'pando.%' AND NOT attisdropped)+(SELECT count(*) FROM pg_class WHERE relname LIKE 'pando.%')+(SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pando.%'))::text`,
	} {
		var got []string
		texts(t, d, sql, &got)
		if got[0] != "0" {
			t.Errorf("%s: %s", what, got[0])
		}
	}
}

// TestOnline migrates a large table while an old release reads and writes: no
// request fails, none waits for a lock for long, and nothing is lost.
func TestOnline(t *testing.T) {
	rows := rowsUnderLoad(t)
	url := database(t)
	d := filled(t, url, rows)
	l := startLoad(t, url, rows)
	p := plan(t, d, migrate.Planning{Direct: -1}, load(t, after))
	began := time.Now()
	err := migrate.Apply(t.Context(), d, p, migrate.Options{Allow: p.Destructive()})
	t.Logf("%d rows in %v", rows, time.Since(began).Round(time.Millisecond))
	l.end(d)
	must(t, err)
	migrated(t, d)
}

// TestKilled kills the process that migrates again and again, under load, and
// lets each start go on.
func TestKilled(t *testing.T) {
	if url := os.Getenv("PANDO_TEST_MIGRATE"); url != "" {
		d := openPostgres(t, url)
		p := plan(t, d, migrate.Planning{Direct: -1}, load(t, after))
		must(t, migrate.Apply(t.Context(), d, p, migrate.Options{Allow: p.Destructive()}))
		return
	}
	rows := rowsUnderLoad(t)
	url := database(t)
	d := filled(t, url, rows)
	l := startLoad(t, url, rows)

	kills := 0
	for lives := time.Second; ; lives += lives / 2 { // in the end it lives long enough
		cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "PANDO_TEST_MIGRATE="+url)
		timer := time.AfterFunc(lives/2+rand.N(lives), func() { _ = cmd.Process.Kill() })

		out, err := cmd.CombinedOutput()
		timer.Stop()
		if err == nil {
			break
		}
		if cmd.ProcessState.ExitCode() >= 0 {
			t.Errorf("the migration failed: %s", out)
			break
		}
		kills++
	}
	t.Logf("killed %d times", kills)
	l.end(d)
	migrated(t, d)
}

// TestTwoNodes: of two that migrate at once one does it, and the other finds
// it done.
func TestTwoNodes(t *testing.T) {
	url := database(t)
	first, second := filled(t, url, 100), openPostgres(t, url)
	how := migrate.Planning{Direct: -1}
	app := load(t, after)
	plans := []*migrate.Plan{plan(t, first, how, app), plan(t, second, how, app)}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, d := range []store.Driver{first, second} {
		wg.Go(func() {
			errs[i] = migrate.Apply(t.Context(), d, plans[i], migrate.Options{Allow: plans[i].Destructive()})
		})
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("one of them is to be told of the other: %v, %v", errs[0], errs[1])
	}
	for _, err := range errs {
		if err != nil && !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
	}
	migrated(t, second)
}

// TestLockedOut: a transaction that holds a lock makes the migration wait, and
// nobody else: it asks for a moment, and again.
func TestLockedOut(t *testing.T) {
	url := database(t)
	d := filled(t, url, 100)
	holder := connect(t, url)
	hold := func(sql string) {
		t.Helper()
		if _, err := holder.Run(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	hold("BEGIN; SELECT count(*) FROM m.t")
	tries := make(chan int, 1000)
	ended := make(chan error, 1)
	app := load(t, after)
	p := prepare(t, d, app) // at once: the table is small
	go func() {
		ended <- migrate.Apply(t.Context(), d, p, migrate.Options{Allow: p.Destructive(), Progress: func(pr migrate.Progress) {
			if pr.Stage != nil && pr.Stage.Tries > 0 {
				tries <- pr.Stage.Tries
			}
		}})
	}()
	l := startLoad(t, url, 100)
	for n := range tries {
		if n >= 3 {
			break
		}
	}
	hold("COMMIT")
	err := <-ended
	l.end(d)
	must(t, err)
	migrated(t, d)
}
