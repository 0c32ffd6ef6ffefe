package limit

import "time"

// Attempts slows down those who fail again and again to sign in to an account,
// without a lock that a stranger could put on it:
//
//   - The wait belongs to one network's tries on one account. Nobody waits for
//     what others did before their own first failure: whoever knows the password
//     gets in at the first try, whatever strangers do at the same time.
//   - Failures of the whole account count against the networks that failed
//     themselves and have not succeeded lately: of many addresses that guess,
//     each has one try and then waits as if it had made all of them.
//
// It holds a bounded number of keys in memory and forgets like [Memory]. It is
// safe for concurrent use.
type Attempts struct {
	backoff Backoff
	now     func() time.Time
	epoch   time.Time
	keys    *table[failures]
}

// trusted is how long a success makes a network known to an account.
const trusted = 30 * 24 * time.Hour

// failures is the state of one network on one account, or of one account.
type failures struct {
	count   int
	last    time.Duration // of the last failure, since the epoch
	success time.Duration // until when the network is known
}

// NewAttempts returns an empty record of attempts.
func NewAttempts(b Backoff, cfg MemoryConfig) *Attempts {
	cfg = cfg.filled()
	return &Attempts{backoff: b, now: cfg.Now, epoch: cfg.Now(), keys: newTable[failures](cfg.Keys)}
}

// Delay returns how long a network has to wait for its next try on an account;
// 0: it may try now. A refused try must not be judged nor recorded.
func (a *Attempts) Delay(network, account string) time.Duration {
	now := a.since()
	own, all := a.read(pair(network, account), now), a.read(whole(account), now)
	if own.count == 0 {
		return 0
	}
	count := own.count
	if own.success <= now {
		count = max(count, all.count)
	}
	return a.backoff.Delay(count, a.epoch.Add(own.last), a.epoch.Add(now))
}

// Failed records a failed try.
func (a *Attempts) Failed(network, account string) {
	now := a.since()
	for _, key := range []string{pair(network, account), whole(account)} {
		a.keys.update(key, now, func(f failures) (failures, time.Duration) {
			if f.count > 0 && now-f.last >= a.backoff.memory() {
				f.count = 0
			}
			f.count, f.last = f.count+1, now
			return f, max(now+a.backoff.memory(), f.success)
		})
	}
}

// Succeeded records a success: the network's failures are forgotten and it is
// known to the account for 30 days. The account's stay, for they are the
// others'.
func (a *Attempts) Succeeded(network, account string) {
	now := a.since()
	a.keys.update(pair(network, account), now, func(failures) (failures, time.Duration) {
		return failures{success: now + trusted}, now + trusted
	})
}

func (a *Attempts) read(key string, now time.Duration) (found failures) {
	a.keys.update(key, now, func(f failures) (failures, time.Duration) {
		found = f
		if f == (failures{}) {
			return f, now
		}
		return f, max(f.last+a.backoff.memory(), f.success)
	})
	return found
}

func (a *Attempts) since() time.Duration { return a.now().Sub(a.epoch) }

// pair and whole make keys that cannot be each other's: a network has no space.
func pair(network, account string) string { return "p " + network + " " + account }
func whole(account string) string         { return "a " + account }
