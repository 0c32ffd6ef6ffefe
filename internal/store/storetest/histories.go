package storetest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// A history is what transactions that ran at the same time have read and
// appended to few lists. Each appends elements that nobody else does, so a list
// tells the order of those that wrote it, and how much of it a transaction has
// read tells which it came behind and which before: the method of K. Kingsbury,
// P. Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
// Observations", VLDB 14(3), 2020.
type history struct {
	mu   sync.Mutex
	done []event // of those that were committed
}

// event is one committed transaction: the lists that it read, without what it
// had appended itself, and its element, in these lists.
type event struct {
	element string
	read    map[int64][]string
	append  []int64
}

const lists = 4

// histories runs random transactions, sessions and plain writes, and looks for a
// cycle among those that were committed.
func (s *sessioned) histories() {
	for n := range int64(lists) {
		s.stores(map[int64]string{n: ""})
	}
	const workers, each = 8, 60
	var h history
	var elements atomic.Int64
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(w, 7))
			for range each {
				e := event{element: strconv.FormatInt(elements.Add(1), 10), read: map[int64][]string{}}
				var err error
				switch random.IntN(5) {
				case 0: // a plain write
					e.append = []int64{random.Int64N(lists)}
					err = s.write(func(tx store.Tx) error { return s.grow(tx, &e) })
				default:
					perm := random.Perm(lists)
					reads, appends := random.IntN(3), random.IntN(3)
					err = s.retried(func(t *txn) error {
						clear(e.read)
						e.append = nil
						for _, n := range perm[:reads] {
							word, err := t.get(int64(n))
							if err != nil {
								return err
							}
							e.read[int64(n)] = strings.Fields(word)
						}
						if appends == 0 {
							return nil
						}
						slices.Reverse(perm)
						for _, n := range perm[:appends] {
							e.append = append(e.append, int64(n))
						}
						slices.Reverse(perm)
						return t.write(func(tx store.Tx) error { return s.grow(tx, &e) })
					})
				}
				if err != nil {
					s.Error(explain(err))
					return
				}
				h.mu.Lock()
				h.done = append(h.done, e)
				h.mu.Unlock()
			}
		})
	}
	wg.Wait()
	var final [lists][]string
	t := s.begin("the end")
	for n := range int64(lists) {
		word, err := t.get(n)
		if err != nil {
			s.Fatal(err)
		}
		final[n] = strings.Fields(word)
	}
	if cycle := h.cycle(s.seam, final); cycle != nil {
		for _, e := range cycle {
			s.Errorf("of a cycle: %s read %v, appended to %v", e.element, e.read, e.append)
		}
	}
}

// grow appends an event's element to its lists.
func (s *seam) grow(tx store.Tx, e *event) error {
	for _, n := range e.append {
		if _, err := tx.Exec(s.extend, []value.Value{value.OfText(e.element + " "), value.OfInt(n)}); err != nil {
			return err
		}
	}
	return nil
}

// cycle finds transactions of which each came before the next, and the last
// before the first.
func (h *history) cycle(s *seam, final [lists][]string) []event {
	by := map[string]int{}
	for i, e := range h.done {
		by[e.element] = i
	}
	after := make([]map[int]bool, len(h.done))
	for i := range after {
		after[i] = map[int]bool{}
	}
	before := func(a, b int) {
		if a != b {
			after[a][b] = true
		}
	}
	for n, list := range final {
		for i, element := range list {
			at, ok := by[element]
			if !ok || !slices.Contains(h.done[at].append, int64(n)) {
				s.Errorf("list %d holds %s, which nobody has committed", n, element)
				continue
			}
			if i > 0 {
				before(by[list[i-1]], at)
			}
		}
	}
	for i, e := range h.done {
		for n, read := range e.read {
			if len(read) > len(final[n]) || !slices.Equal(read, final[n][:len(read)]) {
				s.Errorf("%s read %v of list %d, which became %v", e.element, read, n, final[n])
				continue
			}
			if len(read) > 0 {
				before(by[read[len(read)-1]], i)
			}
			if len(read) < len(final[n]) {
				before(i, by[final[n][len(read)]])
			}
		}
		for _, n := range e.append {
			if !slices.Contains(final[n], e.element) {
				s.Errorf("list %d has lost %s", n, e.element)
			}
		}
	}
	state := make([]int, len(h.done)) // 1: on the path, 2: in no cycle
	var path []int
	var visit func(int) []event
	visit = func(i int) []event {
		state[i] = 1
		path = append(path, i)
		for next := range after[i] {
			if state[next] == 1 {
				var found []event
				for _, p := range path[slices.Index(path, next):] {
					found = append(found, h.done[p])
				}
				return found
			}
			if state[next] == 0 {
				if found := visit(next); found != nil {
					return found
				}
			}
		}
		state[i], path = 2, path[:len(path)-1]
		return nil
	}
	for i := range h.done {
		if state[i] == 0 {
			if found := visit(i); found != nil {
				return found
			}
		}
	}
	return nil
}
