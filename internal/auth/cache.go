package auth

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/token"
)

// The bounds of the cache of verified tokens, in entries and in bytes of their
// texts and claims.
const (
	maxCached      = 50_000
	maxCachedBytes = 96 << 20
	cacheShards    = 64
	cachedOverhead = 1024 // of an entry beside its text, in bytes
)

// cached is a token whose signature and claims were verified. Only state changes.
type cached struct {
	claims  token.Claims
	client  string // of a machine's token: the client's id
	size    int
	expires int64 // Unix nanoseconds

	mu    sync.Mutex // one look at the store at a time
	state atomic.Pointer[state]
}

// state is what the store said of a token's session. It never changes.
type state struct {
	id    policy.Identity // without Request, and without what the API key adds
	err   error           // why the session is refused; nil: it is not
	at    int64           // when the store was asked, Unix nanoseconds
	stamp uint64          // of the user's changes, before the store was asked
	live  *live
}

// tokenCache holds verified tokens by their whole text: two texts never share
// an entry, whatever they hash to.
type tokenCache struct {
	seed   maphash.Seed
	clears atomic.Uint64 // how often it was cleared
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu    sync.RWMutex
	all   map[string]*cached
	bytes int
}

func newTokenCache() *tokenCache {
	c := &tokenCache{seed: maphash.MakeSeed()}
	c.clear()
	return c
}

func (c *tokenCache) shard(text string) *cacheShard {
	return &c.shards[maphash.String(c.seed, text)%cacheShards]
}

func (c *tokenCache) get(text string) *cached {
	s := c.shard(text)
	s.mu.RLock()
	e := s.all[text]
	s.mu.RUnlock()
	return e
}

// put keeps an entry, or returns the one that is there already. clears is the
// cache's before the token was verified: what was verified with keys that are
// gone since is not kept.
func (c *tokenCache) put(text string, e *cached, clears uint64) *cached {
	e.size = 3*len(text) + cachedOverhead // the text and its claims, decoded
	s := c.shard(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.all[text]; there != nil {
		return there
	}
	if c.clears.Load() != clears {
		return e
	}
	for t, old := range s.all { // any of them: maps are walked from a random place
		if s.bytes+e.size <= maxCachedBytes/cacheShards && len(s.all) < maxCached/cacheShards {
			break
		}
		delete(s.all, t)
		s.bytes -= old.size
	}
	s.all[text] = e
	s.bytes += e.size
	return e
}

// drop forgets one token.
func (c *tokenCache) drop(text string) {
	s := c.shard(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[text]; e != nil {
		delete(s.all, text)
		s.bytes -= e.size
	}
}

// sweep forgets the tokens that have expired.
func (c *tokenCache) sweep(now time.Time) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for t, e := range s.all {
			if e.expires <= now.UnixNano() {
				delete(s.all, t)
				s.bytes -= e.size
			}
		}
		s.mu.Unlock()
	}
}

// clear forgets every token, and those that are verified at this moment.
func (c *tokenCache) clear() {
	c.clears.Add(1) // before the shards: who puts an entry after its shard was cleared sees it
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.all, s.bytes = map[string]*cached{}, 0
		s.mu.Unlock()
	}
}

// stamps count the changes of users on this node: a cached state is looked up
// again once its user's count has moved. Users share counters, which costs a
// look too many and never one too few.
type stamps [4096]atomic.Uint64

func (s *stamps) of(seed maphash.Seed, userID string) *atomic.Uint64 {
	return &s[maphash.String(seed, userID)%uint64(len(s))]
}
