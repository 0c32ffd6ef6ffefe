package engine

import (
	"maps"
	"slices"
	"sync"

	"github.com/pandobase/pando/internal/policy"
)

// plan is what is cached: it tells the rules that it depends on.
type plan interface{ Uses() []policy.Use }

// plans caches plans by the shape of the query, then by what the rules are for
// the caller that the plan depends on. Which rules those are may differ between
// the plans of a shape, as a relation that one caller does not see is another
// one to the next: a plan is found by the rules that it depends on itself.
type plans[P plan] struct {
	uses  cache[[][]policy.Use]
	plans cache[P]
}

// find returns the plan of a shape for a guard, or makes it. key is extended:
// its owner must not rely on the bytes behind its length.
func (c *plans[P]) find(key []byte, g policy.Guard, compile func() (P, error)) (P, error) {
	shape := key
	known, _ := c.uses.get(shape)
	for i, uses := range known {
		key = signed(shape, g, i, uses)
		if p, ok := c.plans.get(key); ok && slices.Equal(p.Uses(), uses) {
			return p, nil
		}
	}
	p, err := compile()
	if err != nil {
		return p, err
	}
	i := -1
	c.uses.change(shape, func(known [][]policy.Use) [][]policy.Use {
		if i = slices.IndexFunc(known, func(u []policy.Use) bool { return slices.Equal(u, p.Uses()) }); i >= 0 {
			return known
		}
		i = len(known)
		return append(slices.Clip(known), p.Uses())
	})
	c.plans.put(signed(shape, g, i, p.Uses()), p)
	return p, nil
}

// signed is the key of a plan that depends on uses, the i-th list of its shape.
func signed(shape []byte, g policy.Guard, i int, uses []policy.Use) []byte {
	key := append(shape, 0, byte(i>>8), byte(i)) //nolint:gocritic // shape's owner expects the bytes behind it to change
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

// all is everything that is cached, in no order.
func (c *cache[P]) all() []P {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.m))
}

func (c *cache[P]) put(shape []byte, p P) {
	c.change(shape, func(P) P { return p })
}

func (c *cache[P]) change(shape []byte, to func(P) P) {
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
	c.m[string(shape)] = to(c.m[string(shape)])
}
