package work

import (
	"testing"
	"time"
)

// TestRunsAgain kills a node while it runs a job: the job runs again within
// runsAgain, on the node that is started instead or on another one.
func TestRunsAgain(t *testing.T) {
	together(t)
	for _, k := range []kind{onSQLite, onPostgres} {
		t.Run(k.name, func(t *testing.T) {
			together(t)
			w := create(t, k)
			first := w.nodes[0]
			w.startNode(t, 0)
			c := hire(t, w.nodes, 1)
			starts := func(n int64) func() bool {
				return func() bool {
					got, err := c.writers[0].count(t.Context(), "starts")
					return err == nil && got == n
				}
			}
			must(t, c.writers[0].send(t.Context(), "POST", "rpc/begin", "", struct{}{}))
			until(t, backAgain, "the job runs", starts(1))
			for i := 1; i < len(w.nodes); i++ { // it cannot be theirs: it runs
				w.startNode(t, i)
			}
			first.down()
			first.kill(t)
			killed := time.Now()
			if !k.postgres {
				first.start(t)
			}
			until(t, runsAgain, "the job runs again", starts(2))
			t.Logf("%s: a killed node's job ran again after %.1f s", k.name, time.Since(killed).Seconds())
			until(t, backAgain, "the job ends", func() bool {
				pending, _ := w.pending(t)
				return pending == 0
			})
		})
	}
}
