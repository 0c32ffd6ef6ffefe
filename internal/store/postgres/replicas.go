package postgres

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

const (
	replayTime = 30 * time.Millisecond  // for a replica to replay what a read has to see
	silence    = 500 * time.Millisecond // since the last answer: a replica is slow, a known position old
	current    = 3 * pace               // since the primary's: what it has written is known
	firstRest  = 250 * time.Millisecond // of a replica whose read failed; doubled up to
	longRest   = 5 * time.Second
)

// replicas choose who answers a read. They know of each server what its watch
// has seen last, see watch.go.
type replicas struct {
	list    []*replica
	primary *primaryWatch
	oldest  time.Duration // of the data of a bounded read
	news    news
	turn    atomic.Uint32
	reads   atomic.Int64 // that the primary has answered
	stop    context.CancelFunc
	work    sync.WaitGroup

	notes   atomic.Pointer[notes]
	noting  sync.Mutex // held while notes is replaced
	written *positions
}

// notes are the places behind what this node has changed. They are immutable.
type notes struct {
	schema  store.Position            // a replica that has not replayed it has other tables
	changed map[string]store.Position // by entity: behind the last write
}

// replica is one standby: its connections and what was seen of it.
type replica struct {
	name  string
	pool  *pool
	log   *slog.Logger
	seen  atomic.Pointer[sight]
	wake  chan struct{}
	until atomic.Int64 // unix nanoseconds: it rests, after reads that failed

	outstanding, reads, ejections, failures atomic.Int64
	out                                     string // why it was ejected; the watch's alone
}

// sight is what a watch has seen of a replica.
type sight struct {
	at       time.Time // when the question was sent
	cluster  uint64
	timeline uint32
	lsn      uint64
	began    uint64    // primary: where its timeline was seen first
	fresh    time.Time // replica: it has all that the primary had then
}

// openReplicas starts to watch. Replicas that cannot be reached now are used
// once they can be.
func openReplicas(ctx context.Context, primary *pgconn.Config, d *Driver, opt *Options) (*replicas, error) {
	rs := &replicas{oldest: opt.MaxLag, written: &d.writer.positions}
	rs.notes.Store(&notes{schema: rs.written.get()})
	for _, url := range opt.Replicas {
		set, err := readURL(ctx, url)
		if err != nil {
			return nil, fault.New(fault.StoreUnavailable, "a replica's URL is wrong").
				WithHint("it has the form postgres://user@host:5432/database")
		}
		cfg := set.cfg
		cfg.ConnectTimeout = min(cfg.ConnectTimeout, overdue) // the primary is there too
		rs.list = append(rs.list, &replica{name: address(cfg), pool: newPool(set, opt.Readers), log: opt.Log, wake: make(chan struct{}, 1)})
	}
	rs.primary = &primaryWatch{cfg: watchConfig(primary), pool: d.pool, log: opt.Log}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	rs.stop = stop
	rs.work.Go(func() { rs.watchPrimary(ctx) })
	for _, r := range rs.list {
		rs.work.Go(func() { rs.watch(ctx, r) })
	}
	return rs, nil
}

func (rs *replicas) close() error {
	rs.stop()
	rs.work.Wait()
	var errs []error
	for _, r := range rs.list {
		errs = append(errs, r.pool.close())
	}
	return errors.Join(errs...)
}

// need is the position that a replica must have replayed. ok is false where
// only the primary will do.
func (rs *replicas) need(w *store.Wish, p *sight, now time.Time) (lsn uint64, ok bool) {
	if w.After != (store.Position{}) {
		if w.After.Cluster != p.cluster || w.After.Timeline != p.timeline {
			return 0, false
		}
		lsn = w.After.LSN
	}
	n := rs.notes.Load()
	if lsn, ok = p.after(lsn, n.schema); !ok || len(w.Judges) == 0 {
		return lsn, ok
	}
	if now.Sub(p.at) > current { // what other nodes have written is not known
		return 0, false
	}
	lsn = max(lsn, p.lsn)
	for _, e := range w.Judges {
		pos := n.changed[e]
		if e == store.Anything {
			pos = rs.written.get()
		}
		if lsn, ok = p.after(lsn, pos); !ok {
			return 0, false
		}
	}
	return lsn, true
}

// after is the larger of lsn and this node's own position. What was written on
// an earlier timeline and is not lost lies before the present one's beginning.
func (s *sight) after(lsn uint64, pos store.Position) (uint64, bool) {
	switch {
	case pos.Timeline == s.timeline:
		return max(lsn, pos.LSN), true
	case pos.Timeline < s.timeline:
		return max(lsn, s.began), true
	}
	return lsn, pos.Timeline == 0
}

// choose takes the replica with the fewest reads of those that fulfil the
// wish. behind tells that one would, once it has replayed a little more.
func (rs *replicas) choose(w *store.Wish, not *replica) (chosen *replica, behind bool) {
	p := rs.primary.seen.Load()
	if p == nil || w.Consistency == query.Strong {
		return nil, false
	}
	now := time.Now()
	need, ok := rs.need(w, p, now)
	if !ok {
		return nil, false
	}
	first := int(rs.turn.Add(1) % uint32(len(rs.list))) //nolint:gosec // a handful
	least := int64(0)
	for i := range rs.list {
		r := rs.list[(first+i)%len(rs.list)]
		s := r.seen.Load()
		switch {
		case r == not || !r.fit(s, p, now):
		case w.Consistency == query.Bounded && now.Sub(s.fresh) > rs.oldest:
		case s.lsn < need:
			behind = true
		default:
			if n := r.outstanding.Load(); chosen == nil || n < least {
				chosen, least = r, n
			}
		}
	}
	return chosen, behind
}

// fit reports whether a replica follows the primary and answers.
func (r *replica) fit(s, p *sight, now time.Time) bool {
	return s != nil && s.cluster == p.cluster && s.timeline == p.timeline && now.Sub(s.at) <= silence && now.UnixNano() >= r.until.Load()
}

// await is choose with patience.
func (rs *replicas) await(ctx context.Context, w *store.Wish) *replica {
	r, behind := rs.choose(w, nil)
	if r != nil || !behind {
		return r
	}
	timer := time.NewTimer(replayTime)
	defer timer.Stop()
	for {
		told := rs.news.next()
		if r, behind = rs.choose(w, nil); r != nil || !behind {
			return r
		}
		for _, r := range rs.list {
			r.look()
		}
		select {
		case <-told:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// read runs fn on the replica.
func (r *replica) read(ctx context.Context, snapshot bool, fn func(store.Reader) error) error {
	r.outstanding.Add(1)
	defer r.outstanding.Add(-1)
	err := r.pool.read(ctx, snapshot, fn)
	if err == nil {
		r.reads.Add(1)
		if r.failures.Load() != 0 {
			r.failures.Store(0)
		}
	}
	return err
}

// blame reports whether a read failed because of the server that answered it,
// so that another one may do better. A server that is lost or full rests.
func (r *replica) blame(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch fault.From(err).Code {
	case fault.StoreUnavailable, fault.StoreIO, fault.TooManyConns:
		rest := firstRest << min(r.failures.Add(1)-1, 8)
		r.until.Store(time.Now().Add(min(rest, longRest)).UnixNano())
		r.look()
		return true
	case fault.Serialization: // replay had to remove rows that the read still needed
		return true
	case fault.Internal: // it may lack a table that the primary has
		return state(err) != ""
	default:
		return false
	}
}

// look has the watch ask the replica at once.
func (r *replica) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// news tells those who wait of the next sight of any server.
type news struct {
	mu sync.Mutex
	ch chan struct{}
}

func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// ReadFrom implements store.Replicated.
func (d *Driver) ReadFrom(ctx context.Context, snapshot bool, w store.Wish, fn func(store.Reader) error) error {
	rs := d.replicas
	if rs == nil {
		return d.readAgain(ctx, snapshot, fn)
	}
	if r := rs.await(ctx, &w); r != nil {
		err := r.read(ctx, snapshot, fn)
		if err == nil || !r.blame(ctx, err) {
			return err
		}
		if other, _ := rs.choose(&w, r); other != nil {
			if err := other.read(ctx, snapshot, fn); err == nil || !other.blame(ctx, err) {
				return err
			}
		}
	}
	rs.reads.Add(1)
	return d.readAgain(ctx, snapshot, fn)
}

// readAgain reads from the primary, a second time where it was lost: fn can be
// repeated.
func (d *Driver) readAgain(ctx context.Context, snapshot bool, fn func(store.Reader) error) error {
	err := d.Read(ctx, snapshot, fn)
	if gone(err) && ctx.Err() == nil {
		err = d.Read(ctx, snapshot, fn)
	}
	return err
}

// Position implements store.Replicated.
func (d *Driver) Position() store.Position {
	if d.replicas == nil {
		return store.Position{}
	}
	p := d.replicas.primary.seen.Load()
	at := d.writer.positions.get()
	if p == nil || at.Timeline == 0 {
		return store.Position{}
	}
	at.Cluster = p.cluster
	return at
}

// Changed implements store.Replicated.
func (d *Driver) Changed(entities []string) {
	rs := d.replicas
	if rs == nil {
		return
	}
	at := rs.written.get()
	rs.note(func(n *notes) {
		for _, e := range entities {
			n.changed[e] = at
		}
	})
}

// note changes the notes.
func (rs *replicas) note(change func(*notes)) {
	rs.noting.Lock()
	defer rs.noting.Unlock()
	old := rs.notes.Load()
	n := &notes{schema: old.schema, changed: make(map[string]store.Position, len(old.changed)+1)}
	maps.Copy(n.changed, old.changed)
	change(n)
	rs.notes.Store(n)
}

// altered notes that the schema has changed.
func (rs *replicas) altered() {
	at := rs.written.get()
	rs.note(func(n *notes) { n.schema = at })
	for _, r := range rs.list {
		r.pool.schema.Add(1)
	}
}

// Replicas implements store.Replicated.
func (d *Driver) Replicas() *store.Replicas {
	rs := d.replicas
	if rs == nil {
		return nil
	}
	out := &store.Replicas{Primary: rs.reads.Load()}
	p, now := rs.primary.seen.Load(), time.Now()
	for _, r := range rs.list {
		one := store.Replica{
			Name: r.name, Outstanding: r.outstanding.Load(), Reads: r.reads.Load(), Ejections: r.ejections.Load(),
		}
		if s := r.seen.Load(); s != nil && p != nil {
			one.Healthy = r.fit(s, p, now) && now.Sub(s.fresh) <= rs.oldest
			if !s.fresh.IsZero() {
				one.Lag = now.Sub(s.fresh)
			}
		}
		out.List = append(out.List, one)
	}
	return out
}
