package replicas

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	writers = 8
	// backAgain is how long it may take from the loss of the primary to the first
	// write that is acknowledged.
	backAgain = 10 * time.Second
)

// writer numbers what it writes. It sends each number once, or, if it is
// careful, again with the same key until it is acknowledged. After each
// acknowledged write it reads it back by the write's token.
type writer struct {
	n       *node
	first   int
	careful bool

	mu           sync.Mutex
	sent         []int
	acknowledged map[int]bool
	doubtful     int
	refused      int
	last         time.Time // of the last acknowledged write
	unseen       []int     // acknowledged, and not read back by the token
	strange      []string
}

func (w *writer) work(stop <-chan struct{}) {
	for i := w.first; ; i += writers {
		w.mu.Lock()
		w.sent = append(w.sent, i)
		w.mu.Unlock()
		for {
			select {
			case <-stop:
				return
			default:
			}
			token, ok := w.post(i)
			if ok {
				w.readBack(i, token)
			}
			if ok || !w.careful {
				break
			}
		}
	}
}

func (w *writer) post(number int) (token string, ok bool) {
	headers := []string{}
	if w.careful {
		headers = []string{"Idempotency-Key", fmt.Sprintf("entry-%d", number)}
	}
	a, err := w.n.do(secretKey, http.MethodPost, "entries", fmt.Sprintf(`{"number":%d}`, number), headers...)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.strange = append(w.strange, err.Error())
	case a.status == http.StatusCreated:
		w.acknowledged[number], w.last = true, time.Now()
		return a.header.Get(header), true
	case a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "whether the write is stored is not known"):
		w.doubtful++
	case a.status == http.StatusServiceUnavailable:
		w.refused++
	default:
		w.strange = append(w.strange, fmt.Sprintf("%d %s", a.status, a.body))
	}
	return "", false
}

// readBack reads an acknowledged write. While there is no primary it may not
// be readable; it must not seem to be missing.
func (w *writer) readBack(number int, token string) {
	a, err := w.n.do(secretKey, http.MethodGet, fmt.Sprintf("entries?number=eq.%d", number), "", header, token)
	if err == nil && a.status == http.StatusOK && a.rows() != 1 {
		w.mu.Lock()
		w.unseen = append(w.unseen, number)
		w.mu.Unlock()
	}
}

// TestFailover kills the primary under concurrent writers and promotes its
// synchronous standby, again and again, with the roles exchanged.
func TestFailover(t *testing.T) {
	runs := 2
	if s := os.Getenv("PANDO_FAILOVER_RUNS"); s != "" {
		v, err := strconv.Atoi(s)
		must(t, err)
		runs = v
	}
	p := newPair(t, "standby")
	must(t, p.servers[0].Synchronous("standby"))
	n := p.serve(t, 0, 1)
	stop := make(chan struct{})
	var work sync.WaitGroup
	var crew []*writer
	for i := range writers {
		w := &writer{n: n, first: i, careful: i%2 == 0, acknowledged: map[int]bool{}}
		crew = append(crew, w)
		work.Go(func() { w.work(stop) })
	}
	end := sync.OnceFunc(func() { close(stop); work.Wait() })
	defer end()
	primary, standby := p.servers[0], p.servers[1]
	var slowest time.Duration
	for run := range runs {
		progress(n, crew, time.Now())
		killed := time.Now()
		must(t, primary.Kill())
		must(t, standby.Promote())
		progress(n, crew, killed)
		took := time.Since(killed)
		slowest = max(slowest, took)
		t.Logf("run %d: writes again after %v", run+1, took.Round(time.Millisecond))
		if took > backAgain {
			t.Errorf("writes again after %v, and not within %v", took, backAgain)
		}
		must(t, primary.Rejoin(standby, "standby"))
		must(t, standby.Synchronous("standby"))
		primary, standby = standby, primary
	}
	end()
	report(t, crew, stored(t, primary.URL(p.database)), slowest)
}

// progress waits until every writer has written since.
func progress(n *node, crew []*writer, since time.Time) {
	n.t.Helper()
	n.until("a write by everybody", func() bool {
		for _, w := range crew {
			w.mu.Lock()
			old := !w.last.After(since)
			w.mu.Unlock()
			if old {
				return false
			}
		}
		return true
	})
}

// stored is how often each number is in the database, asked of it directly.
func stored(t *testing.T, url string) map[int]int {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), url)
	must(t, err)
	defer func() { must(t, c.Close(t.Context())) }()
	results, err := c.Exec(t.Context(), `SELECT json_object_agg(number, times) FROM (SELECT number, count(*) AS times FROM ledger.entries GROUP BY 1) AS n`).ReadAll()
	must(t, err)
	var out map[int]int
	must(t, json.Unmarshal(results[0].Rows[0][0], &out))
	return out
}

func report(t *testing.T, crew []*writer, stored map[int]int, slowest time.Duration) {
	t.Helper()
	acknowledged, doubtful, refused, kept := 0, 0, 0, 0
	for _, w := range crew {
		acknowledged, doubtful, refused = acknowledged+len(w.acknowledged), doubtful+w.doubtful, refused+w.refused
		for _, number := range w.sent {
			times := stored[number]
			switch {
			case times > 1:
				t.Errorf("%d is stored %d times", number, times)
			case w.acknowledged[number] && times == 0:
				t.Errorf("%d was acknowledged and is lost", number)
			case times == 1 && !w.acknowledged[number]:
				kept++
			}
		}
		if len(w.unseen) > 0 {
			t.Errorf("acknowledged, and not seen by their tokens: %v", w.unseen)
		}
		if len(w.strange) > 0 {
			t.Errorf("%d strange answers, the first: %s", len(w.strange), w.strange[0])
		}
	}
	t.Logf("%d writes acknowledged, %d refused, %d in doubt; %d are stored that nobody acknowledged; writes again within %v",
		acknowledged, refused, doubtful, kept, slowest.Round(time.Millisecond))
	if acknowledged == 0 {
		t.Error("nothing was tested")
	}
}
