package limit

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a clock that stands still until it is moved.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Unix(1_700_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func take(t *testing.T, m Limiter, key string, r Rate) (bool, time.Duration) {
	t.Helper()
	ok, retry, err := m.Take(t.Context(), key, r)
	if err != nil {
		t.Fatal(err)
	}
	return ok, retry
}

func TestTake(t *testing.T) {
	t.Parallel()
	var c clock
	m := NewMemory(MemoryConfig{Now: c.Now})
	r := Rate{3, 30 * time.Second}
	for i := range 3 {
		if ok, retry := take(t, m, "a", r); !ok || retry != 0 {
			t.Fatalf("number %d: %v, retry in %v", i, ok, retry)
		}
	}
	for range 5 { // being refused costs nothing
		if ok, retry := take(t, m, "a", r); ok || retry != 10*time.Second {
			t.Fatalf("the fourth: %v, retry in %v", ok, retry)
		}
	}
	if ok, _ := take(t, m, "b", r); !ok {
		t.Fatal("another key is refused")
	}
	c.advance(10*time.Second - 1)
	if ok, retry := take(t, m, "a", r); ok || retry != 1 {
		t.Fatalf("a nanosecond early: %v, retry in %v", ok, retry)
	}
	c.advance(1)
	if ok, _ := take(t, m, "a", r); !ok {
		t.Fatal("refused when the time had come")
	}
	if ok, retry := take(t, m, "a", r); ok || retry != 10*time.Second {
		t.Fatalf("only one has come back: %v, retry in %v", ok, retry)
	}
	c.advance(time.Hour)
	for i := range 4 {
		if ok, _ := take(t, m, "a", r); ok != (i < 3) {
			t.Fatalf("after an hour, number %d: %v", i, ok)
		}
	}
}

func TestTakeOddRates(t *testing.T) {
	t.Parallel()
	var c clock
	m := NewMemory(MemoryConfig{Now: c.Now})
	for _, r := range []Rate{{}, {0, time.Second}, {-1, time.Second}, {5, 0}, {5, -time.Second}} {
		if ok, _ := take(t, m, "none", r); ok {
			t.Errorf("%+v allows something", r)
		}
	}
	for i := range 7 { // seven do not divide a second
		if ok, _ := take(t, m, "seven", Rate{7, time.Second}); !ok {
			t.Errorf("number %d of seven is refused", i)
		}
	}
	if ok, _ := take(t, m, "seven", Rate{7, time.Second}); ok {
		t.Error("an eighth is allowed")
	}
	// A rate that was lowered does not keep what the old one had allowed.
	for range 100 {
		take(t, m, "lowered", Rate{100, time.Hour})
	}
	if ok, retry := take(t, m, "lowered", Rate{1, time.Minute}); ok || retry > time.Minute {
		t.Errorf("after the rate was lowered: %v, retry in %v", ok, retry)
	}
	// A clock that goes back makes nobody wait longer than the rate's own time.
	take(t, m, "back", Rate{1, time.Minute})
	c.advance(-time.Hour)
	if ok, retry := take(t, m, "back", Rate{1, time.Minute}); ok || retry > time.Minute {
		t.Errorf("with the clock set back: %v, retry in %v", ok, retry)
	}
}

// TestTakeAgreesWithOracle compares with a bucket of tokens that flow back one
// by one, in exact arithmetic over all events so far.
func TestTakeAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		m := NewMemory(MemoryConfig{Now: c.Now})
		interval := time.Duration(rapid.IntRange(1, 1000).Draw(t, "interval"))
		count := rapid.IntRange(1, 20).Draw(t, "count")
		r := Rate{count, interval * time.Duration(count)}
		debts := map[string]time.Duration{} // time until the bucket is full
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			passed := time.Duration(rapid.IntRange(0, int(interval)*3).Draw(t, "passed"))
			c.advance(passed)
			for key := range debts {
				debts[key] = max(0, debts[key]-passed)
			}
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			want, wait := debts[key]+interval <= r.Per, max(0, debts[key]+interval-r.Per)
			ok, retry, err := m.Take(t.Context(), key, r)
			if err != nil || ok != want || retry != wait {
				t.Fatalf("%v %v %v, want %v %v", ok, retry, err, want, wait)
			}
			if ok {
				debts[key] += interval
			}
		}
	})
}

// However many take at once, no more than Count get through.
func TestTakeRace(t *testing.T) {
	t.Parallel()
	var c clock
	m := NewMemory(MemoryConfig{Now: c.Now, Keys: 1000})
	var allowed [4]atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 4000 {
				if ok, _, err := m.Take(t.Context(), fmt.Sprint("key", i%4), Rate{100, time.Hour}); ok && err == nil {
					allowed[i%4].Add(1)
				}
			}
		})
	}
	all.Wait()
	for i := range allowed {
		if n := allowed[i].Load(); n != 100 {
			t.Errorf("key %d: %d of 100 were allowed", i, n)
		}
	}
}

func entries[V any](table *table[V]) (n int) {
	for i := range table.shards {
		n += len(table.shards[i].slots)
		if len(table.shards[i].slots) != len(table.shards[i].index) {
			return -1
		}
	}
	return n
}

// Strangers with ever new keys neither fill the memory nor keep others out, and
// what is furthest from being free is remembered.
func TestFlood(t *testing.T) {
	t.Parallel()
	var c clock
	const keys = 1600
	m := NewMemory(MemoryConfig{Now: c.Now, Keys: keys})
	guessed := Rate{5, time.Hour}
	for range 5 {
		take(t, m, "the guessed account", guessed)
	}
	for i := range 50 * keys {
		if ok, _ := take(t, m, fmt.Sprint("stranger", i), Rate{10, time.Minute}); !ok {
			t.Fatalf("new key %d is refused", i)
		}
	}
	if n := entries(m.keys); n <= 0 || n > keys {
		t.Errorf("%d keys are held of at most %d", n, keys)
	}
	if ok, _ := take(t, m, "the guessed account", guessed); ok {
		t.Error("a flood made the limiter forget an account under attack")
	}
}

// Keys whose time has passed go, without a goroutine and without a full table.
func TestForgets(t *testing.T) {
	t.Parallel()
	var c clock
	m := NewMemory(MemoryConfig{Now: c.Now, Keys: 1 << 20})
	for i := range 10_000 {
		take(t, m, fmt.Sprint("old", i), Rate{1, time.Second})
	}
	c.advance(time.Minute)
	for i := range 10_000 {
		take(t, m, fmt.Sprint("new", i), Rate{1, time.Hour})
	}
	if n := entries(m.keys); n < 10_000 || n > 11_000 {
		t.Errorf("%d keys are held, 10000 of them count", n)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64", "2001:DB8:1:3::1": "2001:db8:1:3::/64",
		"fe80::1%eth0": "fe80::/64", "fe80::2%eth1": "fe80::/64", "::1": "::/64",
		"": "unknown", "192.0.2.7:80": "unknown", "192.0.2.07": "unknown", "example": "unknown", strings.Repeat("1", 1<<16): "unknown",
	} {
		if got := Network(ip); got != want {
			t.Errorf("%.40s: %s, want %s", ip, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	m := NewMemory(MemoryConfig{})
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprint("sign_in 2001:db8:1:2::/64 ", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := m.Take(b.Context(), keys[i%len(keys)], Rate{30, time.Minute}); err != nil {
			b.Fatal(err)
		}
	}
}
