// Package kill holds the promise of the write path against crashes: a write
// that was acknowledged is on disk once, whenever the process is killed. The
// built binary serves an application, concurrent writers write, SIGKILL ends
// it at a random moment, it starts again, and so on.
//
//	go test ./test/kill -run TestKill -cycles 1000
package kill

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

//nolint:gochecknoglobals // flags of a test are declared before its main parses them
var (
	cycles = flag.Int("cycles", 5, "how often the node is killed; the environment variable PANDO_KILL_CYCLES does the same")
	binary = flag.String("pando", "", "the binary; built when not given")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments and the writes; the same seed gives the same choices, not the same timing")
)

const (
	writerCount = 8
	// backAgain is how long a node may take from its start to its first answer.
	backAgain = 10 * time.Second
)

func TestKill(t *testing.T) {
	n := *cycles
	if s := os.Getenv("PANDO_KILL_CYCLES"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal("PANDO_KILL_CYCLES:", err)
		}
		n = v
	}
	t.Logf("-cycles %d -seed %d", n, *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	node := newNode(t)
	node.start(t)
	node.awaitReady(t)
	crew := hire(ctx, t, node, *seed)
	for range n {
		time.Sleep(time.Duration(20+random.IntN(230)) * time.Millisecond)
		node.kill(t)
		for random.IntN(10) == 0 { // in the middle of its recovery, too
			node.start(t)
			time.Sleep(time.Duration(random.IntN(80)) * time.Millisecond)
			node.kill(t)
		}
		node.start(t)
		node.awaitReady(t)
		crew.checkLast(t)
		if t.Failed() {
			break
		}
	}
	crew.dismiss()
	t.Logf("%d requests acknowledged, %d of them at a second attempt, %d given up; killed %d times, back within %v", crew.acknowledged(), crew.retried(), crew.abandoned(), node.kills, node.slowest)
	if crew.acknowledged() < n {
		t.Errorf("only %d acknowledged requests in %d cycles: nothing was tested", crew.acknowledged(), n)
	}
	node.stop(t)
	checkStore(t, filepath.Join(node.dir, "data", "ledger.db"), crew)
}
