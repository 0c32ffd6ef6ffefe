package work

import (
	"testing"
	"time"
)

// TestBrokerAway writes while the broker is away: nothing waits for it, the
// outbox says how much is in it, and gives an alarm once the oldest event has
// waited for a minute; behind that it drains in order. PANDO_WORK_AWAY is how
// many seconds the broker is away.
func TestBrokerAway(t *testing.T) {
	events := setting(t, "PANDO_WORK_EVENTS", 2000)
	away := time.Duration(setting(t, "PANDO_WORK_AWAY", 3)) * time.Second
	together(t)
	for _, k := range []kind{withNATS, onPostgres} {
		k.nodes = 1
		t.Run(k.name, func(t *testing.T) {
			together(t)
			w := create(t, k)
			w.start(t)
			n := w.nodes[0]
			c := hire(t, w.nodes, mostItems)
			w.nats.kill(t)
			began := time.Now()
			c.allowed.Store(int64(events))
			c.start(t.Context(), events)
			c.work.Wait()
			if t.Failed() {
				return
			}
			t.Logf("%s: %d events in %.1f s without a broker", k.name, c.events(), time.Since(began).Seconds())
			until(t, backAgain, "the outbox tells of its backlog", func() bool { return n.metric(t.Context(), "pando_outbox_backlog") >= float64(c.events()) })
			const alarmAge = time.Minute
			if away > alarmAge {
				until(t, away+alarmAge, "the alarm is given", func() bool { return n.metric(t.Context(), "pando_outbox_alarm") == 1 })
				t.Logf("%s: the alarm was given after %.0f s, at a backlog of %.0f", k.name, time.Since(began).Seconds(), n.metric(t.Context(), "pando_outbox_backlog"))
			}
			time.Sleep(time.Until(began.Add(away)))
			if n, err := c.writers[0].count(t.Context(), "effects"); err != nil || n != 0 {
				t.Errorf("there are %d effects without a broker; %v", n, err)
			}
			w.nats.start(t)
			back := time.Now()
			until(t, time.Minute+time.Duration(events)*time.Millisecond, "the outbox has drained", func() bool { return n.metric(t.Context(), "pando_outbox_backlog") == 0 })
			t.Logf("%s: the outbox had drained %.1f s after the broker was back", k.name, time.Since(back).Seconds())
			until(t, backAgain, "the alarm ends", func() bool { return n.metric(t.Context(), "pando_outbox_alarm") == 0 })
			w.drain(t, c, time.Minute+time.Duration(events)*5*time.Millisecond)
			w.check(t, c)
		})
	}
}
