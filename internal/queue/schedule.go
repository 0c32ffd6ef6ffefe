package queue

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/netresearch/go-cron"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Schedule enqueues a job at the ticks of a cron expression.
//
// The expression has five fields, or a descriptor such as @daily. Where the clocks
// of the zone go forward over a time of day, its tick comes as much later as they
// go; where they go back, and a time comes twice, an expression that names hours
// has its tick the first time alone.
type Schedule struct {
	Name string // by which its ticks are told from those of others
	Cron string // minute, hour, day of the month, month, day of the week
	Zone string // IANA time zone; default: UTC
	Job  Job    // RunAt is ignored
}

// schedules are those that are set.
type schedules struct {
	mu      sync.Mutex
	list    []timetable
	changed chan struct{}
}

// timetable is a schedule that has been read.
type timetable struct {
	Schedule
	spec   string
	ticks  cron.ScheduleWithPrev
	hourly bool // the expression names no hours
	zone   *time.Location
	seen   int64 // until when the clock has been looked at, in µs: later ticks are to run
}

// SetSchedules replaces all schedules. New ones, and those whose expression or
// zone has changed, begin now. The others go on: of the ticks that they have
// missed while no node ran, they run the last one. All errors are told at once.
func (q *Queue) SetSchedules(ctx context.Context, list []Schedule) error {
	tables := make([]timetable, 0, len(list))
	var problems []string
	names := map[string]bool{}
	for _, s := range list {
		t, err := q.readSchedule(s)
		switch {
		case err != nil:
			problems = append(problems, fault.From(err).Error())
		case names[s.Name]:
			problems = append(problems, "there are two schedules "+s.Name)
		}
		names[s.Name] = true
		tables = append(tables, t)
	}
	if len(problems) > 0 {
		return fault.New(fault.ConfigInvalid, "the schedules cannot be read").WithDetails("%s", strings.Join(problems, "; ")).
			WithHint(`write five fields, such as "0 3 * * *" for three o'clock, and a zone such as "Europe/Berlin"`)
	}
	err := q.write(ctx, func(tx store.Tx) error { return q.storeSchedules(tx, tables, names) })
	if err != nil {
		return err
	}
	q.schedules.mu.Lock()
	q.schedules.list = tables
	if q.schedules.changed == nil {
		q.schedules.changed = make(chan struct{}, 1)
	}
	changed := q.schedules.changed
	q.schedules.mu.Unlock()
	select {
	case changed <- struct{}{}:
	default:
	}
	return nil
}

func (q *Queue) readSchedule(s Schedule) (t timetable, err error) {
	t = timetable{Schedule: s, zone: time.UTC}
	if err := checkName("schedule", s.Name); err != nil {
		return t, err
	}
	if err := t.Job.check(&q.cfg); err != nil {
		return t, err
	}
	if s.Zone != "" {
		if t.zone, err = time.LoadLocation(s.Zone); err != nil {
			return t, fault.Wrap(err, fault.ConfigInvalid, "the zone of the schedule %s is %q", s.Name, s.Zone)
		}
	}
	parser := cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	if strings.Contains(s.Cron, "TZ=") {
		return t, fault.New(fault.ConfigInvalid, "the schedule %s names a zone in its expression", s.Name)
	}
	parsed, err := parser.Parse("CRON_TZ=" + t.zone.String() + " " + s.Cron)
	if err != nil {
		return t, fault.Wrap(err, fault.ConfigInvalid, "the schedule %s is %q: %s", s.Name, s.Cron, err)
	}
	ticks, ok := parsed.(*cron.SpecSchedule)
	if !ok || ticks.Next(q.cfg.Now()).IsZero() {
		return t, fault.New(fault.ConfigInvalid, "the schedule %s is %q: it has no ticks, or none by the clock", s.Name, s.Cron)
	}
	const star = 1 << 63 // how the parser marks a field that names nothing
	t.hourly = ticks.Hour&star != 0
	t.ticks, t.spec = ticks, s.Cron+"\n"+t.zone.String()
	return t, nil
}

// storeSchedules stores since when each schedule counts, and forgets the others.
func (q *Queue) storeSchedules(tx store.Tx, tables []timetable, names map[string]bool) error {
	now := value.OfInt(q.now())
	for i := range tables {
		t := &tables[i]
		if _, err := tx.Exec(q.st.setSchedule, []value.Value{value.OfText(t.Name), value.OfText(t.spec), now}); err != nil {
			return err
		}
		err := tx.Query(q.st.schedule, []value.Value{value.OfText(t.Name)}, func(r store.Row) error { t.seen = r.Int(0); return nil })
		if err == nil {
			err = tx.Query(q.st.lastTick, []value.Value{value.OfText(t.Name), now}, func(r store.Row) error { t.seen = max(t.seen, r.Int(0)); return nil })
		}
		if err != nil {
			return err
		}
	}
	var gone []string
	err := tx.Query(q.st.scheduleNames, nil, func(r store.Row) error {
		if name := string(r.Append(nil, 0)); !names[name] {
			gone = append(gone, name)
		}
		return nil
	})
	for _, name := range gone {
		if err == nil {
			_, err = tx.Exec(q.st.dropSchedule, []value.Value{value.OfText(name)})
		}
	}
	return err
}

// runSchedules enqueues jobs at their ticks. The clock is looked at again every few
// seconds, since it may be set.
func (q *Queue) runSchedules(ctx context.Context) {
	const look = 5 * time.Second
	q.schedules.mu.Lock()
	if q.schedules.changed == nil {
		q.schedules.changed = make(chan struct{}, 1)
	}
	changed := q.schedules.changed
	q.schedules.mu.Unlock()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-t.C:
		}
		next, err := q.tick(ctx)
		wait := look
		if err != nil {
			if ctx.Err() == nil {
				q.cfg.Log.Error("the jobs of schedules could not be enqueued: it is tried again", "error", fault.From(err))
			}
		} else if !next.IsZero() {
			wait = min(wait, max(next.Sub(q.cfg.Now()), 0)+time.Millisecond)
		}
		t.Reset(wait)
	}
}

// tick enqueues the job of each schedule that has had a tick since the clock was
// looked at last, once however many there were, and returns when the next one is
// due; zero: there is none. Nothing is due where the clock has gone back; what
// comes again then has been run when its row is there.
func (q *Queue) tick(ctx context.Context) (next time.Time, err error) {
	q.schedules.mu.Lock()
	defer q.schedules.mu.Unlock()
	now := q.cfg.Now()
	for i := range q.schedules.list {
		t := &q.schedules.list[i]
		if last := t.last(now); last > t.seen {
			if err := q.runTick(ctx, t, last); err != nil {
				return next, err
			}
		}
		t.seen = now.UnixMicro()
		if n := t.ticks.Next(now.In(t.zone)); !n.IsZero() && (next.IsZero() || n.Before(next)) {
			next = n
		}
	}
	return next, nil
}

// last is the last tick up to now, in µs. Next decides what a tick is: walking back
// alone could find others where the clocks change.
func (t *timetable) last(now time.Time) int64 {
	from := t.ticks.Prev(now.In(t.zone).Add(time.Second))
	if from.IsZero() {
		return 0
	}
	last := int64(0)
	for n := t.ticks.Next(from.Add(-3 * time.Hour)); !n.IsZero() && !n.After(now); n = t.ticks.Next(n) {
		if t.hourly || !repeated(n) {
			last = n.UnixMicro()
		}
	}
	return last
}

// repeated reports whether a time of day has been before on its day: the clocks
// have gone back since.
func repeated(at time.Time) bool {
	_, offset := at.Zone()
	for _, d := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if _, before := at.Add(-d).Zone(); before-offset == int(d/time.Second) {
			return true
		}
	}
	return false
}

// runTick enqueues a schedule's job with the row of its tick, unless the row is there.
func (q *Queue) runTick(ctx context.Context, t *timetable, tick int64) error {
	return q.write(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(q.st.tick, []value.Value{value.OfText(t.Name), value.OfInt(tick)})
		if err != nil || n == 0 {
			return err
		}
		job := t.Job
		job.RunAt = time.Time{}
		_, err = q.Enqueue(tx, job)
		return err
	})
}
