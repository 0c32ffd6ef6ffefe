package limit

import "time"

// Backoff is how long to wait after consecutive failures: nothing after the
// first Free of them, then First, then twice as long each time, Max at most.
// The zero value never waits.
type Backoff struct {
	Free   int
	First  time.Duration
	Max    time.Duration
	Forget time.Duration // a failure counts no more after this; at least Max; 0: Max
}

// DefaultBackoff is for passwords and one-time codes: five tries, then 1 s, 2 s,
// 4 s and so on up to 5 minutes, for a day.
func DefaultBackoff() Backoff {
	return Backoff{Free: 5, First: time.Second, Max: 5 * time.Minute, Forget: 24 * time.Hour}
}

// Delay returns how long after now the next try is allowed when there were
// failures in a row, the last of them at last; 0: now.
func (b Backoff) Delay(failures int, last, now time.Time) time.Duration {
	since := max(0, now.Sub(last)) // a clock that went back makes nobody wait longer than a failure just now
	if since >= b.memory() {
		return 0
	}
	return max(0, b.after(failures)-since)
}

// after is the whole wait after the given number of failures.
func (b Backoff) after(failures int) time.Duration {
	doublings := failures - b.Free - 1
	if doublings < 0 || b.First <= 0 {
		return 0
	}
	const most = 62 // bits of a duration
	if doublings >= most || b.First > b.Max>>doublings {
		return b.Max
	}
	return b.First << doublings
}

func (b Backoff) memory() time.Duration { return max(b.Forget, b.Max) }
