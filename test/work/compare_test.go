package work

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
)

// job is a row of the queue.
type job struct {
	id     int64
	kind   string
	state  queue.State
	failed int64
	args   string
}

type effect struct{ item, number int }

// stored is what a store holds at the end.
type stored struct {
	jobs     []job             // by id
	effects  map[string]effect // by event
	orders   map[int]int       // how often each was paid
	payments map[int]int
	ticks    []int64 // of the schedule, in µs
	// What must be empty: events that are not published, parked or dead.
	unpublished, parked, dead int
}

func readStore(ctx context.Context, d store.Driver) (*stored, error) {
	s := &stored{effects: map[string]effect{}, orders: map[int]int{}, payments: map[int]int{}}
	table := func(name string) string { return d.Dialect().Table("works", name) }
	text := func(r store.Row, i int) string { return string(r.Append(nil, i)) }
	err := d.Read(ctx, true, func(r store.Reader) error {
		for _, q := range []struct {
			sql  string
			each func(store.Row)
		}{
			{`SELECT "id","kind","state","failed","args" FROM "pando_jobs" ORDER BY "id"`, func(r store.Row) {
				s.jobs = append(s.jobs, job{r.Int(0), text(r, 1), queue.State(r.Int(2)), r.Int(3), text(r, 4)}) //nolint:gosec // a state
			}},
			{`SELECT id, item, number FROM ` + table("effects"), func(r store.Row) { s.effects[text(r, 0)] = effect{int(r.Int(1)), int(r.Int(2))} }},
			{`SELECT id, paid FROM ` + table("orders"), func(r store.Row) { s.orders[int(r.Int(0))] = int(r.Int(1)) }},
			{`SELECT id FROM ` + table("payments"), func(r store.Row) { s.payments[int(r.Int(0))]++ }},
			{`SELECT "tick" FROM "pando_ticks"`, func(r store.Row) { s.ticks = append(s.ticks, r.Int(0)) }},
			{`SELECT count(*) FROM "pando_outbox" WHERE "published" IS NULL`, func(r store.Row) { s.unpublished = int(r.Int(0)) }},
			{`SELECT count(*) FROM "pando_event_retries"`, func(r store.Row) { s.parked = int(r.Int(0)) }},
			{`SELECT count(*) FROM "pando_dead_events"`, func(r store.Row) { s.dead = int(r.Int(0)) }},
		} {
			if err := r.Query(&store.Statement{SQL: q.sql}, nil, func(r store.Row) error { q.each(r); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return s, err
}

// event is the CloudEvent that a job was given.
type event struct {
	ID       string `json:"id"`
	Sequence string `json:"sequence"`
	Subject  string `json:"subject"`
	Data     struct {
		Row struct{ ID, Number int } `json:"row"`
		Old struct{ ID, Number int } `json:"old"`
	} `json:"data"`
}

// compare lists what the store holds against the writers' knowledge: each event
// of each write has one job and one effect, in the order of its row; each order
// one job and one payment; and there is nothing that nobody wrote.
func compare(writers []*writer, s *stored) []string {
	c := &comparison{stored: s, writes: map[int]*write{}, seen: map[int]map[int]int{}, events: map[string]bool{}, last: map[int]event{}, pays: map[int]int{}}
	for _, w := range writers {
		for _, wr := range w.writes {
			c.writes[wr.number] = wr
		}
	}
	for i := range s.jobs {
		c.job(&s.jobs[i])
	}
	c.ofWrites()
	c.rest()
	slices.Sort(c.problems) // maps give them in any order
	return c.problems
}

type comparison struct {
	*stored

	writes   map[int]*write
	seen     map[int]map[int]int // write -> item -> how many jobs of its events
	events   map[string]bool
	last     map[int]event // of an item
	pays     map[int]int   // order -> jobs
	ticked   int
	problems []string
}

func (c *comparison) add(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *comparison) job(j *job) {
	if j.state != queue.Completed {
		c.add("the job %d of %s is %s", j.id, j.kind, j.state)
	}
	switch j.kind {
	case "works.note":
		var e event
		if err := json.Unmarshal([]byte(j.args), &e); err != nil {
			c.add("the job %d was given %q", j.id, j.args)
			return
		}
		c.event(&e)
	case "works.pay":
		var in struct{ Order int }
		if err := json.Unmarshal([]byte(j.args), &in); err != nil {
			c.add("the job %d was given %q", j.id, j.args)
		}
		c.pays[in.Order]++
	case "works.tick":
		c.ticked++
	}
}

// event looks at an event as a job was given it; jobs come in their order.
func (c *comparison) event(e *event) {
	row := e.Data.Row
	if e.Subject != "works.items/"+strconv.Itoa(row.ID) {
		c.add("the event %s of item %d is about %s", e.ID, row.ID, e.Subject)
	}
	if c.events[e.ID] {
		c.add("the event %s, write %d of item %d, has more than one job", e.ID, row.Number, row.ID)
		return
	}
	c.events[e.ID] = true
	if c.seen[row.Number] == nil {
		c.seen[row.Number] = map[int]int{}
	}
	c.seen[row.Number][row.ID]++
	before, after := c.last[row.ID], *e
	c.last[row.ID] = after
	was, err1 := strconv.ParseInt("0"+before.Sequence, 10, 64)
	is, err2 := strconv.ParseInt(after.Sequence, 10, 64)
	if err1 != nil || err2 != nil || is <= was {
		c.add("item %d: the event %s has the sequence %q behind %q", row.ID, e.ID, after.Sequence, before.Sequence)
	}
	if e.Data.Old.Number != before.Data.Row.Number {
		c.add("item %d: write %d came behind %d, and was made behind %d", row.ID, row.Number, before.Data.Row.Number, e.Data.Old.Number)
	}
	switch got, ok := c.effects[e.ID]; {
	case !ok:
		c.add("the event %s, write %d of item %d, has no effect", e.ID, row.Number, row.ID)
	case got != effect{row.ID, row.Number}:
		c.add("the event %s, write %d of item %d, has the effect %v", e.ID, row.Number, row.ID, got)
	}
}

// ofWrites looks at what each write must have caused.
func (c *comparison) ofWrites() {
	for number, items := range c.seen {
		wr := c.writes[number]
		if wr == nil {
			c.add("%d events are of the write %d, which nobody sent", len(items), number)
			continue
		}
		for item := range items {
			if !slices.Contains(wr.items, item) {
				c.add("an event says that write %d was of item %d", number, item)
			}
		}
	}
	placed := 0
	for number, wr := range c.writes {
		missing := 0
		for _, item := range wr.items {
			switch n := c.seen[number][item]; {
			case n == 0:
				missing++
			case n > 1:
				c.add("write %d of item %d has %d events", number, item, n)
			}
		}
		for _, order := range wr.orders {
			paid, ok := c.orders[order]
			if !ok {
				missing++
				continue
			}
			placed++
			if paid != 1 || c.payments[order] != 1 || c.pays[order] != 1 {
				c.add("order %d has %d jobs and %d payments, and was paid %d times", order, c.pays[order], c.payments[order], paid)
			}
		}
		switch all := len(wr.items) + len(wr.orders); {
		case missing == 0:
		case wr.acknowledged:
			c.add("write %d was acknowledged, and %d of %d are lost", number, missing, all)
		case missing < all:
			c.add("write %d is torn: %d of %d are lost", number, missing, all)
		}
	}
	if n := len(c.orders) - placed; n > 0 {
		c.add("%d orders are stored that nobody placed", n)
	}
	if len(c.pays) != len(c.orders) || len(c.payments) != len(c.orders) {
		c.add("%d orders have %d jobs and %d payments", len(c.orders), len(c.pays), len(c.payments))
	}
}

func (c *comparison) rest() {
	if n := len(c.effects) - len(c.events); n > 0 {
		c.add("%d effects are of no event", n)
	}
	if c.unpublished != 0 || c.parked != 0 || c.dead != 0 {
		c.add("%d events are not published, %d are parked, %d are dead", c.unpublished, c.parked, c.dead)
	}
	if c.ticked != len(c.ticks) {
		c.add("%d ticks have %d jobs", len(c.ticks), c.ticked)
	}
	if n := missing(c.ticks); n != 0 {
		c.add("%d ticks are missing", n)
	}
}

// missing is how many minutes between ticks have none.
func missing(ticks []int64) (n int) {
	slices.Sort(ticks)
	for i := 1; i < len(ticks); i++ {
		n += int((ticks[i]-ticks[i-1])/time.Minute.Microseconds()) - 1
	}
	return n
}

// TestCompareFinds shows that a broken store would not pass.
func TestCompareFinds(t *testing.T) {
	note := func(id int64, event string, seq, item, number, old int) job {
		return job{id, "works.note", queue.Completed, 0, fmt.Sprintf(
			`{"id":%q,"sequence":"%d","subject":"works.items/%d","data":{"row":{"id":%d,"number":%d},"old":{"id":%d,"number":%d}}}`,
			event, seq, item, item, number, item, old)}
	}
	pay := func(id int64, order int) job {
		return job{id, "works.pay", queue.Completed, 0, fmt.Sprintf(`{"order":%d}`, order)}
	}
	tick := func(id int64) job { return job{id, "works.tick", queue.Completed, 0, "null"} }
	// Two writes to two items, one of an order, and one that was given up.
	writers := func() []*writer {
		return []*writer{{writes: []*write{
			{number: 1, items: []int{5, 6}, acknowledged: true},
			{number: 2, items: []int{5}, acknowledged: true},
			{number: 3, orders: []int{30, 31}, acknowledged: true},
			{number: 4, items: []int{5, 6}},
		}}}
	}
	right := func() *stored {
		return &stored{
			jobs: []job{note(1, "a", 1, 5, 1, 0), note(2, "b", 2, 6, 1, 0), note(3, "c", 4, 5, 2, 1), pay(4, 30), pay(5, 31), tick(6), tick(7)},
			effects: map[string]effect{
				"a": {5, 1}, "b": {6, 1}, "c": {5, 2},
			},
			orders: map[int]int{30: 1, 31: 1}, payments: map[int]int{30: 1, 31: 1}, ticks: []int64{60e6, 120e6},
		}
	}
	for _, tc := range []struct {
		name string
		do   func(*stored)
		want string // a part of one of the problems; empty: there is none
	}{
		{"right", func(*stored) {}, ""},
		{"given up and there", func(s *stored) {
			s.jobs = append(s.jobs, note(8, "d", 5, 5, 4, 2), note(9, "e", 6, 6, 4, 1))
			s.effects["d"], s.effects["e"] = effect{5, 4}, effect{6, 4}
		}, ""},
		{"given up and torn", func(s *stored) {
			s.jobs = append(s.jobs, note(8, "d", 5, 5, 4, 2))
			s.effects["d"] = effect{5, 4}
		}, "write 4 is torn"},
		{"job lost", func(s *stored) { s.jobs = slices.Delete(s.jobs, 1, 2) }, "write 1 was acknowledged, and 1 of 2 are lost"},
		{"job doubled", func(s *stored) { s.jobs = append(s.jobs, note(8, "b", 2, 6, 1, 0)) }, "has more than one job"},
		{"event doubled", func(s *stored) {
			s.jobs = append(s.jobs, note(8, "d", 5, 6, 1, 1))
			s.effects["d"] = effect{6, 1}
		}, "write 1 of item 6 has 2 events"},
		{"invented", func(s *stored) {
			s.jobs = append(s.jobs, note(8, "d", 5, 6, 9, 1))
			s.effects["d"] = effect{6, 9}
		}, "which nobody sent"},
		{"of another item", func(s *stored) {
			s.jobs = append(s.jobs, note(8, "d", 5, 6, 2, 1))
			s.effects["d"] = effect{6, 2}
		}, "says that write 2 was of item 6"},
		{"order turned round", func(s *stored) { s.jobs[0], s.jobs[2] = s.jobs[2], s.jobs[0] }, "has the sequence \"1\" behind \"4\""},
		{"numbers turned round", func(s *stored) { s.jobs[2] = note(3, "c", 4, 5, 2, 9) }, "was made behind 9"},
		{"unfinished", func(s *stored) { s.jobs[1].state = queue.Dead }, "is dead"},
		{"effect lost", func(s *stored) { delete(s.effects, "b") }, "has no effect"},
		{"effect wrong", func(s *stored) { s.effects["b"] = effect{6, 2} }, "has the effect {6 2}"},
		{"effect invented", func(s *stored) { s.effects["x"] = effect{6, 2} }, "1 effects are of no event"},
		{"order lost", func(s *stored) { delete(s.orders, 31) }, "write 3 was acknowledged, and 1 of 2 are lost"},
		{"order unpaid", func(s *stored) { s.orders[31] = 0 }, "was paid 0 times"},
		{"order paid twice", func(s *stored) { s.orders[31] = 2 }, "was paid 2 times"},
		{"order's job doubled", func(s *stored) { s.jobs = append(s.jobs, pay(8, 31)) }, "order 31 has 2 jobs"},
		{"order's job lost", func(s *stored) { s.jobs = slices.Delete(s.jobs, 4, 5) }, "order 31 has 0 jobs"},
		{"order invented", func(s *stored) { s.orders[99] = 1 }, "1 orders are stored that nobody placed"},
		{"unpublished", func(s *stored) { s.unpublished = 1 }, "1 events are not published"},
		{"parked", func(s *stored) { s.parked = 1 }, "1 are parked"},
		{"dead", func(s *stored) { s.dead = 1 }, "1 are dead"},
		{"tick run twice", func(s *stored) { s.jobs = append(s.jobs, tick(8)) }, "2 ticks have 3 jobs"},
		{"tick missed", func(s *stored) { s.ticks[1] += 60e6 }, "1 ticks are missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := right()
			if tc.do(s); tc.want != "" && reflect.DeepEqual(s, right()) {
				t.Fatal("it breaks nothing")
			}
			got := compare(writers(), s)
			if tc.want == "" && len(got) > 0 || tc.want != "" && !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tc.want) }) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
