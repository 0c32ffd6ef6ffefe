package replicas

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

func measured(t *testing.T) {
	t.Helper()
	if os.Getenv("PANDO_REPLICAS_LOAD") == "" {
		t.Skip("it measures: `make replicas` runs it")
	}
}

// TestTokenCost compares reads with a token and without one, on a replica that
// has replayed it, in turns.
func TestTokenCost(t *testing.T) {
	measured(t)
	n := newPair(t, "one").serve(t, 1)
	token := n.ok(secretKey, http.MethodPost, "entries", `{"number":1}`).header.Get(header)
	const path, rounds, reads = "entries?number=eq.1", 60, 100
	n.onReplica(secretKey, path, header, token)
	round := func(headers ...string) float64 {
		begin := time.Now()
		for range reads {
			n.ok(secretKey, http.MethodGet, path, "", headers...)
		}
		return time.Since(begin).Seconds() / reads * 1e6
	}
	var with, without []float64
	before := n.byReplicas()
	for i := range rounds {
		if i%20 == 0 { // it would run out
			token = n.ok(secretKey, http.MethodPost, "entries", `{"number":2}`).header.Get(header)
			n.onReplica(secretKey, path, header, token)
		}
		with = append(with, round(header, token))
		without = append(without, round())
	}
	got := n.byReplicas() - before
	t.Logf("%v of %d reads were the replica's", got, 2*rounds*reads)
	if got < rounds*reads { // on a machine that is busy with other things a replica may seem slow for a moment
		t.Error("most reads were the primary's")
	}
	ratio := median(with) / median(without)
	t.Logf("a read with a token %.0f µs, without %.0f µs: %.3f", median(with), median(without), ratio)
	if ratio > 1.1 {
		t.Errorf("a token costs %.3f of a read without", ratio)
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// TestPrimaryLoad asks at the same rate with and without two replicas, and
// compares the primary's CPU time.
func TestPrimaryLoad(t *testing.T) {
	measured(t)
	const seconds, rate, part = 15, 300, 100 // one in a hundred requests writes
	spent := map[int]time.Duration{}
	for _, replicas := range []int{0, 2} {
		p := newPair(t, "one", "two")
		n := p.serve(t, []int{1, 2}[:replicas]...)
		if replicas > 0 {
			n.onReplica(secretKey, "entries?number=eq.1")
		}
		var rows []string
		for i := range 3000 {
			rows = append(rows, fmt.Sprintf(`{"number":%d}`, i%100))
		}
		n.ok(secretKey, http.MethodPost, "entries", "["+strings.Join(rows, ",")+"]")
		if replicas > 0 {
			for _, s := range p.servers[1:] {
				must(t, s.CaughtUp(p.servers[0]))
			}
		}
		begin := cpu(t, p.servers[0])
		tick := time.NewTicker(time.Second / rate)
		for i := range seconds * rate {
			if i%part == 0 {
				n.ok(secretKey, http.MethodPost, "entries", fmt.Sprintf(`{"number":%d}`, i%100))
			} else {
				n.ok(secretKey, http.MethodGet, fmt.Sprintf("entries?number=eq.%d&order=id.desc&limit=30", i%100), "")
			}
			<-tick.C
		}
		tick.Stop()
		spent[replicas] = cpu(t, p.servers[0]) - begin
		t.Logf("%d replicas: %v of the primary's CPU in %d requests", replicas, spent[replicas], seconds*rate)
	}
	if spent[2] > spent[0]/2 {
		t.Errorf("with two replicas the primary spends %v, and %v alone", spent[2], spent[0])
	}
}

// cpu is what a server's processes have spent, with those that have ended.
func cpu(t *testing.T, s *pgtest.Server) time.Duration {
	t.Helper()
	pids, err := s.Processes()
	must(t, err)
	ticks := 0
	for i, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has just ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the state on
		own := fields[11:13]                                            // utime, stime
		if i == 0 {
			own = fields[11:15] // and its children's
		}
		for _, f := range own {
			v, err := strconv.Atoi(string(f))
			must(t, err)
			ticks += v
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}
