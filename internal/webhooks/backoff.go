package webhooks

import "time"

// schedule is the standard's: how long after the try before it each one comes.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var schedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Tries is how often a delivery is tried.
const Tries = 10

// maxAfter bounds what a receiver may ask for with Retry-After.
const maxAfter = 24 * time.Hour

// Backoff returns how long to wait before try number n, counted from 1: the
// standard's schedule and up to a fifth more, by random in [0, 1), so that those
// that failed together do not come back together. ok is false behind the last.
func Backoff(n int, random float64) (wait time.Duration, ok bool) {
	if n < 1 || n > len(schedule) {
		return 0, false
	}
	d := schedule[n-1]
	return d + time.Duration(random*float64(d)/5), true
}

// Next is Backoff after a failure of try n-1: not before what the receiver asked
// for. A deferred try was none, and comes again when it said.
func Next(n int, failed *Failed, random float64) (wait time.Duration, ok bool) {
	if failed.Permanent {
		return 0, false
	}
	if failed.Deferred {
		return failed.After + time.Duration(random*float64(failed.After)/5), true
	}
	wait, ok = Backoff(n, random)
	return max(wait, min(failed.After, maxAfter)), ok
}
