package kill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// steps are the moments at which somebody is killed, as the command names them.
// The later ones are met by a way back alone.
var (
	steps     = []string{"preparing", "copying", "tailing", "indexing", "verifying", "frozen", "moved"} //nolint:gochecknoglobals // a constant table
	backSteps = []string{"preparing", "frozen", "returned"}                                             //nolint:gochecknoglobals // a constant table
)

// victim is who is killed.
type victim int

const (
	theNode victim = iota
	theDatabase
	theCommand
	victims
)

func (v victim) String() string { return []string{"node", "PostgreSQL", "command"}[v] }

// game is one application that moves while it is written to.
type game struct {
	t      *testing.T
	node   *node
	server *pgtest.Server
	url    string
	crew   *crew
	random *rand.Rand
	frozen time.Duration // the longest that writers waited
}

// TestMove moves an application from SQLite to PostgreSQL under writers, with
// kills at each step of either side and of the command, and back again.
// PANDO_MOVE_KILLS says how many.
func TestMove(t *testing.T) {
	kills := 3
	if s := os.Getenv("PANDO_MOVE_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("PANDO_MOVE_KILLS:", err)
		}
		kills = n
	}
	server, err := pgtest.Start(true)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d kills, -seed %d", kills, *seed)
	random := rand.New(rand.NewPCG(*seed, 3))
	done, at, backAt := 0, 0, 0
	var frozen time.Duration
	for round := 0; done < kills && !t.Failed(); round++ {
		g := newGame(t, server, random, uint64(round))
		for range min(len(steps), kills-done) {
			g.moveAndKill(steps[at%len(steps)], victim((at/len(steps)+at)%int(victims)))
			at, done = at+1, done+1
		}
		g.finish("move", "--to", g.url)
		if done < kills {
			g.backAndKill(backSteps[backAt%len(backSteps)], victim((backAt/len(backSteps)+backAt)%int(victims)))
			backAt, done = backAt+1, done+1
			g.finish("move", "rollback")
		}
		g.end()
		frozen = max(frozen, g.frozen)
	}
	t.Logf("%d kills; writers waited %v at most", done, frozen)
}

const preload = 4_000

func newGame(t *testing.T, server *pgtest.Server, random *rand.Rand, round uint64) *game {
	t.Helper()
	url, err := server.Database()
	if err != nil {
		t.Fatal(err)
	}
	g := &game{t: t, node: newNode(t), server: server, url: url, random: random}
	g.node.mayLose = true
	g.node.start(t)
	g.node.awaitReady(t)
	g.fill()
	g.crew = hire(t.Context(), t, g.node, *seed+round)
	return g
}

// fill imports rows, so that the steps of a move take their time. They hang on
// an account that no writer has.
func (g *game) fill() {
	g.t.Helper()
	const account = "00000000-0000-4000-8000-ffffffffffff"
	entries := &strings.Builder{}
	entries.WriteString("number,part,account_id,note\n")
	for i := range preload {
		fmt.Fprintf(entries, "%d,0,%s,%s\n", -1-i, account, strings.Repeat("y", 100))
	}
	g.importText("accounts", "id\n"+account+"\n")
	g.importText("entries", entries.String())
}

func (g *game) importText(entity, text string) {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), entity+".csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if out, err := g.pando(g.t.Context(), "import", entity, path).CombinedOutput(); err != nil {
		g.t.Fatalf("%v\n%s", err, out)
	}
}

func (g *game) pando(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.node.binary, append([]string{"-C", g.node.dir}, args...)...)
	cmd.Env = append(os.Environ(), "PANDO_SECRET_KEY="+secretKey)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// moveAndKill runs the move until a step, and kills somebody there. A move that
// is through already is taken back first, so that there is one.
func (g *game) moveAndKill(step string, v victim) {
	g.t.Helper()
	if g.status().Role == "target" {
		g.finish("move", "rollback")
	}
	g.until(step, v, "move", "--to", g.url, "--freeze", "5s", "--json")
}

func (g *game) backAndKill(step string, v victim) {
	g.t.Helper()
	g.until(step, v, "move", "rollback", "--freeze", "5s", "--json")
}

// until runs a command until it tells of a step, waits a moment and kills. What
// is killed comes back.
func (g *game) until(step string, v victim, args ...string) {
	g.t.Helper()
	cmd := g.pando(g.t.Context(), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	lines, met := bufio.NewScanner(out), false
	for !met && lines.Scan() {
		met = strings.Contains(lines.Text(), `"step":"`+step+`"`)
	}
	if !met {
		_ = cmd.Wait() // what it says is told
		g.t.Logf("the command ended before %s: %s", step, errs.String())
		if step != "indexing" && step != "copying" { // what is done is not done again
			g.t.Errorf("nothing was killed at %s", step)
		}
		return
	}
	time.Sleep(time.Duration(g.random.IntN(40)) * time.Millisecond)
	g.t.Logf("killing the %s at %s", v, step)
	switch v {
	case theNode:
		g.node.kill(g.t)
	case theDatabase:
		if err := g.server.Kill(); err != nil {
			g.t.Fatal(err)
		}
	case theCommand, victims:
		_ = cmd.Process.Kill() // it may be through
	}
	for lines.Scan() { // to its end
	}
	_ = cmd.Wait() // it was killed, or lost its node
	if v == theDatabase {
		if err := g.server.Restart(); err != nil {
			g.t.Fatal(err)
		}
	}
	if v == theNode {
		g.node.start(g.t)
		g.node.awaitReady(g.t)
	}
	g.node.awaitStore(g.t)
	g.crew.checkLast(g.t)
}

// awaitStore waits until the node's store answers again.
func (n *node) awaitStore(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for !n.ready(ctx, client) {
		select {
		case <-ctx.Done():
			t.Fatal("the node's store did not come back")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

type moveStatus struct {
	Role string `json:"role"`
	Runs bool   `json:"runs"`
}

// status is how the move stands when nothing runs any more: a switch is brought
// to its end even when its command was killed.
func (g *game) status() (st moveStatus) {
	g.t.Helper()
	for {
		out, err := g.pando(g.t.Context(), "move", "status", "--json").Output()
		if err == nil {
			err = json.Unmarshal(out, &st)
		}
		if err != nil {
			g.t.Fatalf("move status: %v\n%s", err, out)
		}
		if !st.Runs {
			return st
		}
	}
}

// finish brings a command to its end, which it may have come to already.
func (g *game) finish(args ...string) {
	g.t.Helper()
	want := "target"
	if args[1] == "rollback" {
		want = ""
	}
	if g.status().Role == want {
		return
	}
	for try := 0; ; try++ {
		out, err := g.pando(g.t.Context(), append(args, "--freeze", "5s", "--json")...).CombinedOutput()
		if err == nil {
			i := bytes.Index(out, []byte("\n{\n"))
			var res struct {
				Frozen time.Duration `json:"frozen_ns"`
			}
			if i < 0 || json.Unmarshal(out[i:], &res) != nil {
				g.t.Fatalf("the command answered %s", out)
			}
			g.t.Logf("%s: writers waited %v", strings.Join(args[:2], " "), res.Frozen.Round(time.Millisecond))
			g.frozen = max(g.frozen, res.Frozen)
			break
		}
		if try == 3 {
			g.t.Fatalf("%v: %v\n%s", args, err, out)
		}
		g.t.Logf("once more, since: %s", out)
	}
	if got := g.status().Role; got != want {
		g.t.Fatalf("after %v the node is %q of a move", args, got)
	}
}

// end compares the store that was served from last with what the writers know.
func (g *game) end() {
	g.t.Helper()
	moved := g.status().Role == "target"
	before := g.crew.acknowledged()
	for g.crew.acknowledged() < before+20 && !g.t.Failed() {
		time.Sleep(time.Millisecond)
	}
	g.crew.dismiss()
	if out, err := g.pando(g.t.Context(), "audit", "verify").CombinedOutput(); err != nil {
		g.t.Errorf("the audit trail: %v\n%s", err, out)
	}
	g.node.stop(g.t)
	g.t.Logf("%d requests acknowledged, %d at a second attempt, %d given up", g.crew.acknowledged(), g.crew.retried(), g.crew.abandoned())
	g.crew.preloaded = preload
	if !moved {
		d, err := sqlite.Open(g.t.Context(), sqlite.Options{Path: filepath.Join(g.node.dir, "data", "ledger.db")})
		if err != nil {
			g.t.Fatal(err)
		}
		checkRows(g.t, d, g.crew)
		if err := d.Close(); err != nil {
			g.t.Error(err)
		}
		return
	}
	d, err := postgres.Open(g.t.Context(), postgres.Options{URL: g.url})
	if err != nil {
		g.t.Fatal(err)
	}
	checkRows(g.t, d, g.crew)
	if err := d.Close(); err != nil {
		g.t.Error(err)
	}
}
