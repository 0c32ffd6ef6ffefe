package work

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// kind is where an application runs.
type kind struct {
	name     string
	postgres bool
	nodes    int
	nats     bool // else the broker is within the node
	// gap is the longest time between two kills. What a node that was killed has
	// held is free to the others after 10 to 20 seconds.
	gap time.Duration
}

//nolint:gochecknoglobals // constant tables
var (
	onSQLite   = kind{name: "sqlite", nodes: 1, gap: 1500 * time.Millisecond}
	withNATS   = kind{name: "sqlite-nats", nodes: 1, nats: true, gap: 1500 * time.Millisecond}
	onPostgres = kind{name: "postgres-nats", postgres: true, nodes: 2, nats: true, gap: 4 * time.Second}
)

// world is an application at work.
type world struct {
	kind

	nodes []*node
	nats  *nats // nil: it is within the node
	url   string
}

// create starts the broker; the nodes are the caller's to start.
func create(t *testing.T, k kind) *world {
	t.Helper()
	w := &world{kind: k}
	var env []string
	if k.nats {
		w.nats = newNATS(t)
		env = append(env, "PANDO_BROKER="+w.nats.url())
	}
	if k.postgres {
		s, err := pgtest.Start(false)
		if errors.Is(err, pgtest.ErrMissing) {
			t.Skip(err)
		}
		must(t, err)
		t.Cleanup(func() { must(t, s.Stop()) })
		w.url, err = s.Database()
		must(t, err)
		env = append(env, "PANDO_STORE="+w.url)
	}
	for i := range k.nodes {
		n := &node{process: process{name: k.name + " node " + strconv.Itoa(i+1)}, dir: writeApp(t), env: env}
		t.Cleanup(func() { n.clean(t) })
		w.nodes = append(w.nodes, n)
	}
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	for i := range w.nodes {
		w.startNode(t, i)
	}
}

// startNode starts a node for the first time. The others get the keys of the
// first one, which is there.
func (w *world) startNode(t *testing.T, i int) {
	t.Helper()
	n := w.nodes[i]
	if i > 0 {
		from, to := filepath.Join(w.nodes[0].dir, "data", "keys"), filepath.Join(n.dir, "data", "keys")
		must(t, os.MkdirAll(to, 0o700))
		list, err := os.ReadDir(from)
		must(t, err)
		for _, f := range list {
			key, err := os.ReadFile(filepath.Join(from, f.Name()))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(to, f.Name()), key, 0o600))
		}
	}
	n.start(t)
}

// strike kills a node or the broker, and starts it again.
func (w *world) strike(t *testing.T, random *rand.Rand) {
	t.Helper()
	victim := random.IntN(len(w.nodes) + 1)
	if victim == len(w.nodes) && w.nats != nil {
		w.nats.kill(t)
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		w.nats.start(t)
		return
	}
	n := w.nodes[victim%len(w.nodes)]
	n.down()
	n.kill(t)
	for random.IntN(10) == 0 { // in the middle of its start, too
		n.launch(t)
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		n.kill(t)
	}
	n.start(t)
}

func (w *world) kills() (n int) {
	for _, node := range w.nodes {
		n += node.kills
	}
	if w.nats != nil {
		n += w.nats.kills
	}
	return n
}

// pending is how many jobs are not finished.
func (w *world) pending(t *testing.T) (jobs, dead int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), "-C", w.nodes[0].dir, "jobs", "counts", "--json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("jobs counts: %v\n%s", err, stderr.String())
	}
	var counts []struct {
		State string `json:"state"`
		Jobs  int64  `json:"jobs"`
	}
	must(t, json.Unmarshal(out, &counts))
	for _, c := range counts {
		switch c.State {
		case "completed":
		case "dead", "canceled":
			dead += c.Jobs
		default:
			jobs += c.Jobs
		}
	}
	return jobs, dead
}

// drain waits until everything that was written has been done.
func (w *world) drain(t *testing.T, c *crew, limit time.Duration) {
	t.Helper()
	client := c.writers[0]
	end := time.Now().Add(limit)
	for {
		effects, err := client.count(t.Context(), "effects")
		must(t, err)
		pending, dead := w.pending(t)
		if effects >= c.events() && pending == 0 {
			return
		}
		if dead > 0 {
			t.Fatalf("%d jobs are dead", dead)
		}
		if time.Now().After(end) {
			t.Fatalf("after %v there are %d effects of %d events, and %d jobs have not ended", limit, effects, c.events(), pending)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// read stops the nodes and reads their store.
func (w *world) read(t *testing.T) *stored {
	t.Helper()
	for _, n := range w.nodes {
		n.down()
		n.stop(t)
	}
	var d store.Driver
	var err error
	if w.postgres {
		d, err = postgres.Open(t.Context(), postgres.Options{URL: w.url})
	} else {
		d, err = sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(w.nodes[0].dir, "data", "works.db")})
	}
	must(t, err)
	defer func() { must(t, d.Close()) }()
	s, err := readStore(t.Context(), d)
	must(t, err)
	return s
}

// check compares the store with what the writers know.
func (w *world) check(t *testing.T, c *crew) {
	t.Helper()
	s := w.read(t)
	problems := compare(c.writers, s)
	for _, p := range problems[:min(len(problems), 20)] {
		t.Error(p)
	}
	if n := len(problems) - 20; n > 0 {
		t.Errorf("and %d more", n)
	}
	again := 0
	for i := range s.jobs {
		if s.jobs[i].failed > 0 {
			again++
		}
	}
	retried, undone, givenUp := 0, 0, 0
	for _, w := range c.writers {
		retried, undone = retried+w.retried, undone+w.undone
		for _, wr := range w.writes {
			if !wr.acknowledged {
				givenUp++
			}
		}
	}
	t.Logf("%s: %d events and %d jobs in the store; %d jobs ran again, %d writes were repeated, %d given up, %d too slow; %d ticks", w.name,
		len(s.effects), len(s.jobs), again, retried, givenUp, undone, len(s.ticks))
}
