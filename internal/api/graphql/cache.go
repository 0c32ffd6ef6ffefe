package graphql

import "sync"

// cache holds what is made of what callers send. It is bounded in entries and
// bytes: when it is full, half of it goes. Its zero value holds nothing until max
// is set. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	max int

	mu    sync.RWMutex
	m     map[K]V
	bytes int
}

const (
	maxCached      = 2048
	maxCachedBytes = 16 << 20
)

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.m[k]
	return v, ok
}

// put keeps a value; size is about how many bytes it is.
func (c *cache[K, V]) put(k K, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.m[k]; known {
		return
	}
	if c.m == nil {
		c.m = map[K]V{}
	}
	if len(c.m) >= c.max || c.bytes+size > maxCachedBytes {
		drop := (len(c.m) + 1) / 2
		for k := range c.m {
			if drop--; drop < 0 {
				break
			}
			delete(c.m, k)
		}
		c.bytes /= 2 // about: which of them went is not known
	}
	c.m[k] = v
	c.bytes += size
}
