package attack

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// keeperRow is a row whose number tells that it was acknowledged.
func keeperRow(i int, text string) string {
	return fmt.Sprintf(`{"id":%d,"name":"%d %s"}`, i, i, text)
}

func TestTermUnderLoad(t *testing.T) {
	n := fresh(t)
	var sent, refused atomic.Int64
	var acked sync.Map
	var wg sync.WaitGroup
	stopping := make(chan struct{})
	for w := range 8 {
		wg.Go(func() {
			for i := w * 1_000_000; ; i++ {
				method, path, body := "POST", "/rest/v1/keepers", keeperRow(i, "x")
				if i%2 == 1 {
					method, path, body = "GET", products+"?select=*,category(*)&order=price", ""
				}
				a, err := n.request(method, path, body)
				switch {
				case err == nil && a.status < 300:
					if method == "POST" {
						acked.Store(i, true)
					}
					sent.Add(1)
				case err == nil:
					t.Errorf("%s: %d %s", method, a.status, a.body)
					return
				default:
					// Only a connection that was not accepted any more, or was
					// idle when it was closed, may fail.
					refused.Add(1)
					select {
					case <-stopping:
						if !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "idle") {
							t.Errorf("%s: %v", method, err)
						}
					default:
						t.Errorf("before the stop: %v", err)
					}
					return
				}
			}
		})
	}
	slow, err := net.Dial("tcp", n.address()) //nolint:noctx // a plain connection whose request is in flight
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	body := keeperRow(99_000_000, "slow")
	fmt.Fprintf(slow, "POST /rest/v1/keepers HTTP/1.1\r\nHost: x\r\nApikey: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n.key, len(body), body[:10])
	time.Sleep(300 * time.Millisecond) // the load runs
	close(stopping)
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the rest of a request that was begun before
	fmt.Fprint(slow, body[10:])
	_ = slow.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1000)
	k, _ := slow.Read(buf)
	if !strings.HasPrefix(string(buf[:k]), "HTTP/1.1 201") {
		t.Errorf("the request in flight got %q", buf[:k])
	}
	select {
	case err := <-n.exited:
		n.exited <- nil
		if err != nil {
			t.Errorf("exit: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("the node does not end")
	}
	wg.Wait()
	t.Logf("%d requests answered, %d connections ended with the node", sent.Load(), refused.Load())
	again := start(t, n.dir)
	again.has(t, &acked)
	again.want(t, 200, "GET", "/rest/v1/keepers?id=eq.99000000", "", "Accept: application/vnd.pgrst.object+json")
}

// has checks that every acknowledged keeper is there, once.
func (n *node) has(t *testing.T, acked *sync.Map) {
	t.Helper()
	a := n.want(t, 200, "GET", "/rest/v1/keepers?select=id", "", "Accept: application/x-ndjson")
	count := map[string]int{}
	for line := range strings.Lines(a.body) {
		count[strings.TrimSpace(line)]++
	}
	acked.Range(func(i, _ any) bool {
		if c := count[fmt.Sprintf(`{"id":%d}`, i)]; c != 1 {
			t.Errorf("the acknowledged row %v is there %d times", i, c)
		}
		return true
	})
}

func TestKillAndRestart(t *testing.T) {
	n := fresh(t)
	var acked sync.Map
	for cycle := range 4 {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := (cycle*10 + w) * 100_000; ; i++ {
					a, err := n.request("POST", "/rest/v1/keepers", keeperRow(i, "x"), "Idempotency-Key: "+fmt.Sprint(i))
					if err != nil {
						return
					}
					if a.status != 201 {
						t.Errorf("%d %s", a.status, a.body)
						return
					}
					acked.Store(i, true)
				}
			})
		}
		time.Sleep(150 * time.Millisecond)
		if err := n.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-n.exited //nolint:errcheck // it was killed
		n.exited <- nil
		wg.Wait()
		begin := time.Now()
		n = start(t, n.dir) // over the lock, the socket and the WAL of the killed one
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("back after %v", took)
		}
		n.has(t, &acked)
	}
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk takes root")
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	application(t, dir)
	n := start(t, dir, "PANDO_DATA="+disk)
	var acked sync.Map
	full := 0
	write := func(i int) answer {
		a := n.do(t, "POST", "/rest/v1/keepers", keeperRow(i, strings.Repeat("x", 100_000)))
		switch a.status {
		case 201:
			acked.Store(i, true)
		case 507, 503:
			full++
			if err := checkProblem(a, "POST"); err != nil {
				t.Error(err)
			}
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a
	}
	i := 0
	for ; full == 0 && i < 500; i++ {
		write(i)
	}
	if full == 0 {
		t.Fatal("the disk did not fill")
	}
	// It stays full for one and for many at once; reads go on.
	var wg sync.WaitGroup
	var refused atomic.Int64
	for k := range 32 {
		wg.Go(func() {
			a, err := n.request("POST", "/rest/v1/keepers", keeperRow(10_000+k, strings.Repeat("x", 1_000*(1+k%2*900))))
			switch {
			case err != nil:
				t.Error(err)
			case a.status == 201:
				acked.Store(10_000+k, true)
			case a.status == 507 || a.status == 503:
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if refused.Load() == 0 {
		t.Error("the full disk took everything")
	}
	n.alive(t)
	n.want(t, 200, "GET", "/rest/v1/keepers?select=id,name&order=name.desc&limit=3", "")
	n.has(t, &acked)
	// Room is made: it heals by itself.
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	healed := false
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !healed; i++ {
		if healed = write(i).status == 201; !healed {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if !healed {
		t.Error("the node does not heal")
	}
	n.has(t, &acked)
	n.stop(t)
	again := start(t, dir, "PANDO_DATA="+disk)
	again.has(t, &acked)
	t.Logf("%d rows before the disk was full, then %d of 32 refused", i, refused.Load())
}

func TestSlowloris(t *testing.T) {
	n := fresh(t)
	before := n.rss(t)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	head := "POST /rest/v1/keepers HTTP/1.1\r\nHost: x\r\nApikey: " + n.key + "\r\n"
	for i := range 200 {
		c, err := net.Dial("tcp", n.address()) //nolint:noctx // a plain connection
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if i%2 == 0 { // headers without an end, and bodies that say to be large
			fmt.Fprint(c, head+"X: ")
		} else {
			fmt.Fprint(c, head+"Content-Type: application/json\r\nContent-Length: 1048576\r\n\r\n[")
		}
	}
	var slowest time.Duration
	for range 100 {
		begin := time.Now()
		n.want(t, 200, "GET", products+"?limit=1", "")
		slowest = max(slowest, time.Since(begin))
		for i, c := range conns {
			if i%2 == 0 {
				fmt.Fprint(c, "x")
			}
		}
	}
	grown := n.rss(t) - before
	t.Logf("the slowest read took %v, memory grew by %d MB", slowest, grown>>20)
	if slowest > time.Second {
		t.Errorf("a read took %v", slowest)
	}
	if grown > 48<<20 { // a hundred bodies of a megabyte that never came
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	n.want(t, 201, "POST", "/rest/v1/keepers", keeperRow(1, "x"))
}

func TestIdleConnections(t *testing.T) {
	// Half of what a connection takes after a request is what the garbage
	// collector has not come to yet.
	for name, most := range map[string]int64{"silent": 20 << 10, "after a request": 40 << 10} {
		t.Run(name, func(t *testing.T) { testIdleConnections(t, most, name != "silent") })
	}
}

func testIdleConnections(t *testing.T, most int64, ask bool) {
	const count = 2000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < count+200 {
		t.Skipf("only %d files may be open", limit.Cur)
	}
	n := fresh(t)
	n.alive(t)
	before := n.rss(t)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	buf := make([]byte, 32<<10)
	for range count {
		c, err := net.Dial("tcp", n.address()) //nolint:noctx // a plain connection
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if !ask {
			continue
		}
		fmt.Fprint(c, "GET /rest/v1/products?select=id&limit=1 HTTP/1.1\r\nHost: x\r\nApikey: "+n.key+"\r\n\r\n")
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	n.alive(t) // all before it are accepted
	each := (n.rss(t) - before) / count
	for i := 0; each > most && i < 50; i++ { // what the requests left goes with time
		time.Sleep(200 * time.Millisecond)
		n.alive(t)
		each = (n.rss(t) - before) / count
	}
	t.Logf("%d bytes for each idle connection", each)
	if each > most {
		t.Errorf("each idle connection takes %d bytes, at most %d are right", each, most)
	}
}
