package attack

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// The doors that are attacked.
const (
	restDoor    = "REST"
	authDoor    = "/auth/v1"
	auditDoor   = "/audit/v1"
	grpcDoor    = "gRPC"
	graphqlDoor = "GraphQL"
)

func allDoors() []string { return []string{restDoor, graphqlDoor, grpcDoor, authDoor, auditDoor} }

// The doors behind which the application's own code runs. What they have in common
// with REST is attacked there.
const (
	rpcDoor       = "rpc"
	functionsDoor = "/functions/v1"
)

// codeClasses are the classes of attacks that these doors are held against, and
// those that are GraphQL's own: documents that make work, and what a schema tells.
func codeClasses() map[string][]int {
	return map[string][]int{
		rpcDoor:       {1, 5, 8, 9, 29, 35, 37, 38, 39, 40},
		functionsDoor: {17, 29, 31, 37, 38, 39},
		graphqlDoor:   {11, 12, 13},
	}
}

func countedDoors() []string { return append(allDoors(), rpcDoor, functionsDoor) }

// least is how many variants a class has at a door.
const least = 5

// identityClasses are the classes of attacks that every door is held against;
// the others that are counted belong to the transport.
func identityClasses() []int {
	return []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 33, 35, 39}
}

// spared says why a class is no attack at a door: what it abuses is not there.
func spared() map[string]map[int]string {
	const (
		fixed = "answers have one shape; it has no filter, order, search, aggregate or embed"
		trail = "records come by id and carry everything; it has no order, search, aggregate or embed"
		rates = "it counts nothing: each request is bounded by itself (TestHugeBodies, TestBadQueries)"
		flow  = "no sign-in begins or ends there"
	)
	const (
		levels = "no second factor is proved there; a rule that asks for one is tried among 6"
	)
	out := map[string]map[int]string{
		graphqlDoor: {14: "an operation's parts count together (11)", 15: rates, 26: levels, 28: "it takes no password"},
		grpcDoor:    {5: "it has no relations", 14: rates, 15: rates, 26: levels, 28: "it takes no password"},

		restDoor:  {14: rates, 15: rates, 28: "it takes no password"},
		authDoor:  {1: fixed, 2: fixed, 3: fixed, 4: fixed, 5: fixed},
		auditDoor: {2: trail, 3: trail, 4: trail, 5: trail, 14: rates, 15: rates, 26: "it asks for a role, not for a level", 28: "it takes no password"},
	}
	for _, door := range []string{restDoor, graphqlDoor, grpcDoor, auditDoor} {
		maps.Copy(out[door], map[int]string{
			21: flow, 22: "it redirects nowhere", 23: flow, 24: "it sends no mail", 25: "it takes no single-use token (idempotency keys: 35)",
		})
	}
	return out
}

// ledger counts the variants of all tests.
type ledger struct {
	mu     sync.Mutex
	counts map[int]map[string]int // class, door
}

// tally is what TestMain prints.
var tally = ledger{counts: map[int]map[string]int{}} //nolint:gochecknoglobals // every test adds to it

func (l *ledger) add(class int, door string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[class] == nil {
		l.counts[class] = map[string]int{}
	}
	l.counts[class][door] += n
}

// print shows the counts, and when all tests have run it reports whether every
// class has its variants at every door.
func (l *ledger) print() (complete bool) {
	complete = true
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "class\t%s\t\n", strings.Join(countedDoors(), "\t"))
	total := 0
	for _, class := range slices.Sorted(maps.Keys(l.counts)) {
		fmt.Fprintf(w, "%d\t", class)
		for _, door := range countedDoors() {
			n := l.counts[class][door]
			total += n
			text := strconv.Itoa(n)
			if n == 0 {
				text = "-"
			}
			fmt.Fprintf(w, "%s\t", text)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	fmt.Fprintf(os.Stdout, "attacks by class and door, %d variants:\n%s", total, b.String())
	if !whole() {
		return true
	}
	reasons := spared()
	for _, door := range allDoors() {
		for _, class := range identityClasses() {
			why := reasons[door][class]
			switch n := l.counts[class][door]; {
			case why != "" && n > 0:
				fmt.Fprintf(os.Stdout, "class %d is said not to apply to %s and was tried there\n", class, door)
				complete = false
			case why != "":
				fmt.Fprintf(os.Stdout, "class %d does not apply to %s: %s\n", class, door, why)
			case n < least:
				fmt.Fprintf(os.Stdout, "class %d has %d variants at %s, at least %d are needed\n", class, n, door, least)
				complete = false
			}
		}
	}
	for door, classes := range codeClasses() {
		for _, class := range classes {
			if n := l.counts[class][door]; n < least {
				fmt.Fprintf(os.Stdout, "class %d has %d variants at %s, at least %d are needed\n", class, n, door, least)
				complete = false
			}
		}
	}
	return complete
}

// whole reports whether this run is of all tests.
func whole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

// conclude prints the ledger and turns a success without the attacks that it
// should have had into a failure.
func conclude(code int) int {
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		return code
	}
	if complete := tally.print(); code == 0 && !complete {
		fmt.Fprintln(os.Stderr, "FAIL: attacks are missing")
		return 1
	}
	return code
}

// class counts the variants of one class of attacks at one door; t fails when
// there are fewer than five.
type class struct {
	t     *testing.T
	name  string
	door  string
	tries int
}

// attackClass counts a class at the REST door. A name begins with its number.
func attackClass(t *testing.T, name string) *class {
	t.Helper()
	return attackDoor(t, restDoor, name)
}

func attackDoor(t *testing.T, door, name string) *class {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimRight(strings.Fields(name)[0], "ab"))
	if err != nil {
		t.Fatal(err)
	}
	c := &class{t: t, name: name, door: door}
	t.Cleanup(func() {
		t.Logf("class %s at %s: %d variants", c.name, c.door, c.tries)
		if c.tries < least {
			t.Errorf("class %s at %s: only %d variants", c.name, c.door, c.tries)
		}
		tally.add(number, c.door, c.tries)
	})
	return c
}

// attackDoors counts a class at every door, or at those that are named.
func attackDoors(t *testing.T, name string, doors ...string) map[string]*class {
	t.Helper()
	out := map[string]*class{}
	if doors == nil {
		doors = allDoors()
	}
	for _, door := range doors {
		out[door] = attackDoor(t, door, name)
	}
	return out
}

// is counts a variant, which has failed if ok is false.
func (c *class) is(ok bool, format string, args ...any) {
	c.t.Helper()
	c.tries++
	if !ok {
		c.t.Errorf("class %s at %s: %s", c.name, c.door, fmt.Sprintf(format, args...))
	}
}

// status counts a request that must be answered so, with a problem's body if it
// is a refusal.
func (c *class) status(n *node, want int, method, path, body string, header ...string) {
	c.t.Helper()
	a := n.do(c.t, method, path, body, header...)
	c.is(a.status == want, "%s %.150s %.200s: %d %.300s, want %d", method, path, body, a.status, a.body, want)
	if err := checkProblem(a, method); err != nil {
		c.t.Errorf("class %s at %s: %s %.150s %.200s: %v", c.name, c.door, method, path, body, err)
	}
}
