// Package timing measures whether the identity door's answers tell, by the time
// they take, which addresses have an account.
package timing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/server"
)

const (
	// shortTries of each endpoint are made by `make test`, which looks at the
	// answers; their times are printed alone, for they are too few to judge.
	shortTries = 150
	// judgedTries are enough to judge the times: the AUC of as many equal ones
	// has a standard error below 0.006.
	judgedTries = 10_000
	// tolerance is how far from 0.50 the AUC may be.
	tolerance = 0.02
	// accounts is how many addresses of each kind are asked for. A stranger with
	// a list of addresses sees each of them rarely; here they come again and
	// again, which favours the stranger.
	accounts = 10
	// pace is between two requests for a reset, which cost next to nothing: what
	// is done behind the answers keeps up, and does not blur each of them.
	pace = 10 * time.Millisecond
)

const application = `app: timing
proxies: [127.0.0.0/8]
auth: { rates: { mail: 999999/m, sign_in: 999999/m, account: 999999/m } }
log: { access: false, level: error }
`

const module = `module: notes
entities:
  notes: { fields: { title: text } }
`

const (
	secretKey      = "pando_sec_timingtimingtimingtimingtimingtimingtiming"
	publishableKey = "pando_pub_timingtimingtimingtimingtimingtimingtiming"
)

// TestTiming makes sign-ins with a wrong password and asks for resets, for
// addresses with and without an account in a random order. Every try comes from
// a network of its own, as those of an attacker who has many: no rate and no
// delay is met. PANDO_TIMING_TRIES tries of each are made; from 10,000 on the
// times are judged.
func TestTiming(t *testing.T) {
	tries := shortTries
	if text := os.Getenv("PANDO_TIMING_TRIES"); text != "" {
		var err error
		if tries, err = strconv.Atoi(text); err != nil || tries < 2 {
			t.Fatalf("PANDO_TIMING_TRIES=%q is no number of tries", text)
		}
	}
	d := serve(t)
	known, unknown := make([]string, accounts), make([]string, accounts)
	for i := range accounts {
		known[i], unknown[i] = fmt.Sprintf("known%02d@example.com", i), fmt.Sprintf("other%02d@example.com", i) // of one length
		d.account(t, known[i])
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		pace             time.Duration
	}{
		{"sign-in", "/auth/v1/token?grant_type=password", `{"email":"ADDRESS","password":"not the password at all"}`, http.StatusBadRequest, 0},
		{"reset", "/auth/v1/recover", `{"email":"ADDRESS"}`, http.StatusOK, pace},
	} {
		t.Run(c.name, func(t *testing.T) {
			var times [2][]float64
			var first *answer
			tick := time.NewTicker(max(c.pace, time.Nanosecond))
			defer tick.Stop()
			for i := range tries {
				group := rand.IntN(2) //nolint:gosec // an order, not a secret
				address := [][]string{unknown, known}[group][i%accounts]
				if c.pace > 0 {
					<-tick.C
				}
				a := d.try(t, c.path, strings.ReplaceAll(c.body, "ADDRESS", address))
				if a.status != c.status {
					t.Fatalf("%s of %s: %d %s", c.name, address, a.status, a.text)
				}
				if first == nil {
					first = a
				} else if a.text != first.text {
					t.Fatalf("the answer for %s is\n%s\nand not, as others,\n%s", address, a.text, first.text)
				}
				times[group] = append(times[group], a.took.Seconds())
			}
			area := auc(times[1], times[0])
			t.Logf("%s: %d tries, median %s with an account and %s without, AUC %.4f (standard error %.4f)", c.name, tries,
				median(times[1]), median(times[0]), area, standardError(len(times[0]), len(times[1])))
			if tries >= judgedTries && math.Abs(area-0.5) > tolerance {
				t.Errorf("the times tell who has an account: AUC %.4f, want 0.50 ± %.2f", area, tolerance)
			}
		})
	}
}

// door is a node in this process, behind its own listener.
type door struct {
	url    string
	client *http.Client
	nets   uint32 // of the tries so far
}

// serve starts a node over a new application; it ends with the test.
func serve(t *testing.T) *door {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"pando.yaml": application, "modules/notes.yaml": module} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, server.ServeOptions{
			Options: server.Options{Dir: dir, Env: []string{"PANDO_SECRET_KEY=" + secretKey, "PANDO_PUBLISHABLE_KEY=" + publishableKey}},
			Listen:  "127.0.0.1:0", Ops: "127.0.0.1:0", Output: io.Discard,
			Ready: func(r *server.Running) { ready <- r.URL },
		})
	}()
	d := &door{client: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	select {
	case d.url = <-ready:
	case err := <-ended:
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// answer is what came back: all that can be seen of it but its date and
// span, and how long it took.
type answer struct {
	status int
	text   string
	took   time.Duration
}

// account makes a user who can sign in.
func (d *door) account(t *testing.T, email string) {
	t.Helper()
	a := d.post(t, "/auth/v1/admin/users", fmt.Sprintf(`{"email":%q,"password":"correct horse battery staple","email_confirm":true}`, email), "127.0.0.1", secretKey)
	if a.status != http.StatusOK {
		t.Fatalf("making %s: %d %s", email, a.status, a.text)
	}
}

// try posts as a stranger, from a network that nothing came from before.
func (d *door) try(t *testing.T, path, body string) *answer {
	t.Helper()
	d.nets++
	return d.post(t, path, body, fmt.Sprintf("10.%d.%d.%d", d.nets>>16&255, d.nets>>8&255, d.nets&255), publishableKey)
}

func (d *door) post(t *testing.T, path, body, from, key string) *answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Apikey": {key}, "Content-Type": {"application/json"}, "X-Forwarded-For": {from},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}, // the request id, which answers repeat
	}
	begin := time.Now()
	res, err := d.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	res.Header.Del("Date")
	res.Header.Del("Traceparent") // its span is each answer's own
	head, err := json.Marshal(res.Header)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{status: res.StatusCode, text: string(bytes.Join([][]byte{head, text}, []byte("\n"))), took: took}
}

// auc is the chance that a time of x is longer than one of y, ties counted
// half: the statistic of Mann and Whitney over its maximum. 0.5: the times tell
// nothing.
func auc(x, y []float64) float64 {
	type timed struct {
		at  float64
		ofX bool
	}
	all := make([]timed, 0, len(x)+len(y))
	for _, v := range x {
		all = append(all, timed{v, true})
	}
	for _, v := range y {
		all = append(all, timed{v, false})
	}
	slices.SortFunc(all, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	ranks := 0.0 // of x
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].at == all[i].at {
			j++
		}
		rank := float64(i+j+1) / 2 // the mean of the ranks i+1 to j
		for _, v := range all[i:j] {
			if v.ofX {
				ranks += rank
			}
		}
		i = j
	}
	n, m := float64(len(x)), float64(len(y))
	return (ranks - n*(n+1)/2) / (n * m)
}

// standardError is that of the AUC of times that do not differ.
func standardError(n, m int) float64 {
	return math.Sqrt(float64(n+m+1) / (12 * float64(n) * float64(m)))
}

func median(x []float64) time.Duration {
	s := slices.Sorted(slices.Values(x))
	return time.Duration(s[len(s)/2] * float64(time.Second)).Round(time.Microsecond)
}

// TestAUC holds the statistic against cases that can be counted by hand.
func TestAUC(t *testing.T) {
	for _, c := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{3, 4}, []float64{1, 2}, 1},
		{[]float64{1, 2}, []float64{3, 4}, 0},
		{[]float64{1, 4}, []float64{2, 3}, 0.5},
		{[]float64{2, 2}, []float64{2, 2, 2}, 0.5},
		{[]float64{1, 2, 3}, []float64{2}, 0.5},
		{[]float64{2, 5, 7}, []float64{1, 5}, 4.5 / 6},
	} {
		if got := auc(c.x, c.y); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("auc(%v, %v) = %v, want %v", c.x, c.y, got, c.want)
		}
	}
}
