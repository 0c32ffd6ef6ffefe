package limit

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{Free: 3, First: time.Second, Max: time.Minute, Forget: time.Hour}
	at := time.Unix(1_700_000_000, 0)
	for failures, want := range map[int]time.Duration{
		-1: 0, 0: 0, 3: 0, 4: time.Second, 5: 2 * time.Second, 6: 4 * time.Second, 9: 32 * time.Second, 10: time.Minute, 11: time.Minute,
		66: time.Minute, 67: time.Minute, 68: time.Minute, 1000: time.Minute, math.MaxInt: time.Minute,
	} {
		if got := b.Delay(failures, at, at); got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
	for since, want := range map[time.Duration]time.Duration{
		3 * time.Second: time.Second, 4 * time.Second: 0, time.Hour: 0, math.MaxInt64: 0, -time.Hour: 4 * time.Second,
	} {
		if got := b.Delay(6, at, at.Add(since)); got != want {
			t.Errorf("%v after 6 failures: %v, want %v", since, got, want)
		}
	}
	if got := (Backoff{}).Delay(1000, at, at); got != 0 {
		t.Errorf("the zero value waits %v", got)
	}
}

func TestBackoffProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Free: rapid.IntRange(0, 10).Draw(t, "free"), First: time.Duration(rapid.Int64Range(1, 1<<40).Draw(t, "first")),
			Max: time.Duration(rapid.Int64Range(1, 1<<50).Draw(t, "max")), Forget: time.Duration(rapid.Int64Range(0, 1<<55).Draw(t, "forget")),
		}
		n := rapid.IntRange(0, 200).Draw(t, "failures")
		last := time.Unix(1_700_000_000, 0)
		delay := b.Delay(n, last, last)
		if want := oracle(b, n); delay != want {
			t.Fatalf("%+v after %d: %v, want %v", b, n, delay, want)
		}
		passed := time.Duration(rapid.Int64Range(0, 1<<56).Draw(t, "passed"))
		if got := b.Delay(n, last, last.Add(passed)); got != max(0, delay-passed) {
			t.Fatalf("%+v %v after %d: %v, of %v at first", b, passed, n, got, delay)
		}
	})
}

// oracle doubles step by step.
func oracle(b Backoff, failures int) time.Duration {
	if failures <= b.Free {
		return 0
	}
	wait := b.First
	for range failures - b.Free - 1 {
		if wait = 2 * wait; wait > b.Max {
			break
		}
	}
	return min(wait, b.Max)
}

func attempts(c *clock) *Attempts {
	return NewAttempts(Backoff{Free: 2, First: time.Second, Max: time.Minute, Forget: time.Hour}, MemoryConfig{Now: c.Now})
}

func TestAttemptsOfOneNetwork(t *testing.T) {
	t.Parallel()
	var c clock
	a := attempts(&c)
	for i, want := range []time.Duration{0, 0, time.Second, 2 * time.Second, 4 * time.Second} {
		c.advance(time.Minute)
		a.Failed("192.0.2.7", "alice")
		if got := a.Delay("192.0.2.7", "alice"); got != want {
			t.Errorf("after failure %d: %v, want %v", i+1, got, want)
		}
	}
	if got := a.Delay("192.0.2.7", "bob"); got != 0 {
		t.Errorf("another account waits %v", got)
	}
	c.advance(3 * time.Second)
	if got := a.Delay("192.0.2.7", "alice"); got != time.Second {
		t.Errorf("3 s later: %v", got)
	}
	a.Succeeded("192.0.2.7", "alice")
	a.Failed("192.0.2.7", "alice")
	if got := a.Delay("192.0.2.7", "alice"); got != 0 {
		t.Errorf("after a success one failure makes it wait %v", got)
	}
}

// A stranger can neither keep a user out nor slow down a place where the user
// has signed in before; the stranger's next address does not help the stranger.
func TestStrangers(t *testing.T) {
	t.Parallel()
	var c clock
	a := attempts(&c)
	a.Succeeded("home", "alice")
	for i := range 1000 {
		stranger := fmt.Sprint("stranger", i)
		if got := a.Delay(stranger, "alice"); got != 0 {
			t.Fatalf("the first try of a network waits %v", got)
		}
		a.Failed(stranger, "alice")
		if got := a.Delay(stranger, "alice"); i > 20 && got != time.Minute {
			t.Fatalf("stranger %d waits %v for the second try", i, got)
		}
	}
	if got := a.Delay("a new phone", "alice"); got != 0 {
		t.Errorf("the user waits %v on a new phone", got)
	}
	for i, want := range []time.Duration{0, 0, time.Second} {
		a.Failed("home", "alice")
		if got := a.Delay("home", "alice"); got != want {
			t.Errorf("at home after %d failures: %v, want %v", i+1, got, want)
		}
	}
	c.advance(time.Hour)
	if got := a.Delay("stranger0", "alice"); got != 0 {
		t.Errorf("an hour later a stranger waits %v", got)
	}
	a.Failed("stranger0", "alice")
	if got := a.Delay("stranger0", "alice"); got != 0 {
		t.Errorf("what was forgotten counts: %v", got)
	}
}

func TestAttemptsRace(t *testing.T) {
	t.Parallel()
	var c clock
	a := NewAttempts(Backoff{Free: 0, First: 1, Max: math.MaxInt64, Forget: math.MaxInt64 / 2}, MemoryConfig{Now: c.Now, Keys: 100})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				a.Failed("n", "a")
				a.Delay("n", "a")
			}
		})
	}
	all.Wait()
	if got, want := a.Delay("n", "a"), time.Duration(1)<<39; got != want {
		t.Errorf("40 failures wait %v, want %v", got, want)
	}
}
