package engine

import (
	"sync"

	"github.com/pandobase/pando/internal/policy"
)

// plan is what is cached: it tells the rules that it depends on.
type plan interface{ Uses() []policy.Use }

// plans caches plans by the shape of the query, then by what the rules that
// the shape touches are for the caller. Which rules those are is known from
// the first plan of a shape: it depends on the shape alone.
type plans[P plan] struct {
	uses  cache[[]policy.Use]
	plans cache[P]
}

// find returns the plan of a shape for a guard, or makes it. key is extended:
// its owner must not rely on the bytes behind its length.
func (c *plans[P]) find(key []byte, g policy.Guard, compile func() (P, error)) (P, error) {
	shape := key
	uses, known := c.uses.get(shape)
	if known {
		key = signed(shape, g, uses)
		if p, ok := c.plans.get(key); ok {
			return p, nil
		}
	}
	p, err := compile()
	if err != nil {
		return p, err
	}
	if !known {
		uses = p.Uses()
		c.uses.put(shape, uses)
		key = signed(shape, g, uses)
	}
	c.plans.put(key, p)
	return p, nil
}

func signed(shape []byte, g policy.Guard, uses []policy.Use) []byte {
	key := append(shape, 0) //nolint:gocritic // shape's owner expects the bytes behind it to change
	for _, u := range uses {
		key = g.Signature(key, u)
	}
	return key
}

// cache holds what is made of shapes. When it is full, half of it goes: shapes
// come from callers, and a plan is cheap to make again.
type cache[P any] struct {
	mu sync.RWMutex
	m  map[string]P
}

const maxPlans = 4096

func (c *cache[P]) get(shape []byte) (P, bool) {
	c.mu.RLock()
	p, ok := c.m[string(shape)]
	c.mu.RUnlock()
	return p, ok
}

func (c *cache[P]) put(shape []byte, p P) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]P{}
	}
	if len(c.m) >= maxPlans {
		drop := len(c.m) / 2
		for k := range c.m {
			if drop--; drop < 0 {
				break
			}
			delete(c.m, k)
		}
	}
	c.m[string(shape)] = p
}
