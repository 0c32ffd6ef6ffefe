package postgres

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/pandobase/pando/internal/store"
)

const (
	pace     = 50 * time.Millisecond // between two looks at a server
	haste    = 3 * time.Millisecond  // between two looks while a read waits
	overdue  = time.Second           // a look without an answer is given up
	memories = 512                   // of the primary's positions, for a replica that is behind
)

// What the watches ask. A standby that follows the primary to a new timeline
// says so by its receiver, to who may know, and else by its control file, some
// time later.
const (
	askIdentity = "SELECT system_identifier FROM pg_control_system()"
	askPrimary  = "SELECT (pg_current_wal_flush_lsn()-'0/0'::pg_lsn)::bigint, ('x'||left(pg_walfile_name(pg_current_wal_flush_lsn()),8))::bit(32)::bigint"
	askReplica  = "SELECT (coalesce(pg_last_wal_replay_lsn(),'0/0')-'0/0'::pg_lsn)::bigint, " +
		"CASE WHEN pg_is_in_recovery() THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), " +
		"(SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT received_tli FROM pg_stat_wal_receiver))::bigint ELSE 0 END"
)

// watcher asks one server the same thing again and again, on a connection of
// its own.
type watcher struct {
	cfg     *pgconn.Config
	pg      *pgconn.PgConn
	cluster uint64
}

// watchConfig is cfg for a watch: a context's end closes the connection.
func watchConfig(cfg *pgconn.Config) *pgconn.Config {
	cfg = cfg.Copy()
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: pg.Conn()}
	}
	cfg.OnNotice = nil
	return cfg
}

// ask sends the question and reads a position and a timeline.
func (w *watcher) ask(ctx context.Context, sql string) (s sight, err error) {
	ctx, cancel := context.WithTimeout(ctx, overdue)
	defer cancel()
	if w.pg == nil {
		if w.pg, err = pgconn.ConnectConfig(ctx, w.cfg); err != nil {
			w.pg = nil
			return s, err
		}
		id, err := w.numbers(ctx, askIdentity)
		if err != nil {
			return s, err
		}
		w.cluster = id[0]
	}
	s.at, s.cluster = time.Now(), w.cluster
	got, err := w.numbers(ctx, sql)
	if err == nil && len(got) < 2 {
		err = errors.New("no position")
	}
	if err != nil {
		return s, err
	}
	s.lsn, s.timeline = got[0], uint32(got[1]) //nolint:gosec // a timeline has 32 bits
	return s, nil
}

func (w *watcher) numbers(ctx context.Context, sql string) ([]uint64, error) {
	results, err := w.pg.Exec(ctx, sql).ReadAll()
	if err == nil && (len(results) == 0 || len(results[0].Rows) == 0) {
		err = errors.New("no answer")
	}
	if err != nil {
		if w.pg.IsClosed() {
			w.pg = nil
		}
		return nil, err
	}
	out := make([]uint64, len(results[0].Rows[0]))
	for i, text := range results[0].Rows[0] {
		if out[i], err = strconv.ParseUint(string(text), 10, 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *watcher) close(ctx context.Context) {
	if w.pg != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), overdue)
		defer cancel()
		_ = w.pg.Close(ctx) // nothing is left to do there
		w.pg = nil
	}
}

// primaryWatch knows where the primary is.
type primaryWatch struct {
	cfg  *pgconn.Config
	pool *pool
	log  *slog.Logger
	seen atomic.Pointer[sight]
	lost bool
}

// watchPrimary asks until ctx ends. Each answer makes the replicas' watches ask
// too, so that they are measured by it.
func (rs *replicas) watchPrimary(ctx context.Context) {
	p := rs.primary
	w := &watcher{cfg: p.cfg}
	defer w.close(ctx)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		s, err := w.ask(ctx, askPrimary)
		if ctx.Err() != nil {
			return
		}
		p.saw(&s, err)
		for _, r := range rs.list {
			r.look()
		}
		rs.news.tell()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *primaryWatch) saw(s *sight, err error) {
	old := p.seen.Load()
	switch {
	case err != nil && !p.lost:
		p.lost = true
		p.pool.reset()
		p.log.Warn("the primary is lost", "error", err)
	case err == nil && p.lost:
		p.lost = false
		p.log.Info("the primary is back", "timeline", s.timeline)
	case err == nil && old != nil && (old.cluster != s.cluster || old.timeline != s.timeline):
		p.pool.reset()
		p.log.Warn("another server is the primary", "timeline", s.timeline)
	}
	if err != nil {
		return
	}
	s.began = s.lsn
	if old != nil && old.cluster == s.cluster && old.timeline == s.timeline {
		s.began = old.began
	}
	p.seen.Store(s)
}

// watch asks a replica until ctx ends.
func (rs *replicas) watch(ctx context.Context, r *replica) {
	w := &watcher{cfg: watchConfig(r.pool.set.cfg)}
	defer w.close(ctx)
	var m memory
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		m.add(rs.primary.seen.Load())
		s, err := w.ask(ctx, askReplica)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.fresh = m.reached(&s)
			r.seen.Store(&s)
		}
		r.judge(rs, &s, err)
		rs.news.tell()
		if !r.pause(ctx, wait, err != nil) {
			return
		}
	}
}

// pause waits for the next look: until somebody asks for one, or for longer
// than the primary's watch takes to.
func (r *replica) pause(ctx context.Context, wait *time.Timer, failed bool) bool {
	wait.Reset(haste)
	if failed {
		wait.Reset(4 * pace)
	}
	select {
	case <-wait.C:
	case <-ctx.Done():
		return false
	}
	wait.Reset(pace)
	select {
	case <-r.wake:
	case <-wait.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// judge notes that the replica is taken out or comes back.
func (r *replica) judge(rs *replicas, s *sight, err error) {
	p, now, why := rs.primary.seen.Load(), time.Now(), ""
	switch {
	case err != nil && answered(err):
		r.log.Debug("a replica refuses to tell its position", "replica", r.name, "error", err)
		return // until it is too long ago that it told
	case err != nil:
		why = "it does not answer"
		r.pool.sever()
	case p == nil:
		return
	case s.cluster != p.cluster:
		why = "it belongs to another cluster"
	case s.timeline == 0:
		why = "it is no standby"
	case s.timeline != p.timeline:
		why = "it is on another timeline"
	case now.UnixNano() < r.until.Load():
		why = "its reads fail"
	case now.Sub(s.at) > silence:
		why = "it is slow"
	case now.Sub(s.fresh) > rs.oldest:
		why = "it lags behind"
	}
	switch {
	case why != "" && r.out == "":
		r.ejections.Add(1)
		r.log.Warn("a replica is not read from", "replica", r.name, "reason", why, "error", err)
	case why == "" && r.out != "":
		r.log.Info("a replica is read from again", "replica", r.name)
	}
	r.out = why
}

// answered reports whether a server has answered a look, if only to refuse it.
func answered(err error) bool { return state(err) != "" && !gone(err) }

// memory is where the primary was, and when: the times that a replica may
// have reached.
type memory struct {
	past  []sight // in order; of one timeline
	fresh time.Time
}

// add remembers a sight of the primary.
func (m *memory) add(p *sight) {
	if p == nil {
		return
	}
	n := len(m.past)
	if n > 0 && (m.past[n-1].timeline != p.timeline || m.past[n-1].cluster != p.cluster) {
		m.past, n = m.past[:0], 0
	}
	switch {
	case n > 0 && m.past[n-1].lsn == p.lsn:
		m.past[n-1].at = p.at // nothing was written between the two
		return
	case n == memories: // every other one: the replica is taken to be older than it is
		for i := range n / 2 {
			m.past[i] = m.past[2*i]
		}
		m.past = m.past[:n/2]
	}
	m.past = append(m.past, *p)
}

// reached is the latest time at which the primary had nothing that the replica
// does not have.
func (m *memory) reached(s *sight) time.Time {
	n := 0
	for n < len(m.past) && m.past[n].timeline == s.timeline && m.past[n].cluster == s.cluster && m.past[n].lsn <= s.lsn {
		m.fresh = m.past[n].at
		n++
	}
	if n > 0 {
		n-- // the last one may move on in time
		m.past = append(m.past[:0], m.past[n:]...)
	}
	return m.fresh
}

var _ store.Replicated = (*Driver)(nil)
