// Package metamorphic asks random applications with random data for the same
// things on SQLite and on PostgreSQL: every answer, down to its bytes and its
// headers, and every row that is stored afterwards has to be the same. And it asks
// the same questions through REST, GraphQL and gRPC: their rows have to be the same.
package metamorphic

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	operationsVariable = "PANDO_METAMORPHIC" // how many requests are sent
	seedVariable       = "PANDO_SEED"        // the first application's
	collectVariable    = "PANDO_COLLECT"     // go on after so many differences

	filled            = 4    // rows that each entity gets first
	requestsEach      = 150  // to one application
	defaultOperations = 1500 // a few seconds
	mostReplays       = 80   // to make a case small
)

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number from 1", variable, text)
	}
	return n
}

// TestStoresAgree sends PANDO_METAMORPHIC requests. A difference is made as
// small as it gets and reported with its application and its requests.
func TestStoresAgree(t *testing.T) {
	operations, seed := number(t, operationsVariable, defaultOperations), number(t, seedVariable, 1)
	most := number(t, collectVariable, 1)
	p := newPair(t)
	statuses := map[string]int{}
	sent, found, begin, told := 0, 0, time.Now(), time.Now()
	for ; sent < operations; seed++ {
		r := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // it has to be the same each time
		app := drawApplication(r)
		if err := p.install(app); err != nil {
			t.Fatalf("%s=%d: %v\n%s", seedVariable, seed, err, app.describe())
		}
		a := &asker{r: r, app: app}
		var history []*request
		for i := range requestsEach {
			var q *request
			if n := i / filled; n < len(app.entities) {
				q = a.fill(app.entities[n], i%filled)
			} else {
				q = a.draw()
			}
			history = append(history, q)
			outcome, difference := p.compare(q)
			statuses[q.method+" "+outcome]++
			sent++
			if difference == "" {
				continue
			}
			found++
			history, difference = p.smallest(app, history, difference)
			t.Errorf("%s=%d, request %d: the stores differ\n%s\n%s\n%s", seedVariable, seed, i, app.describe(), steps(history), difference)
			break
		}
		if found >= most {
			break
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			t.Logf("%d requests in %v", sent, time.Since(begin).Round(time.Second))
		}
	}
	var tally []string
	for _, s := range slices.Sorted(maps.Keys(statuses)) {
		tally = append(tally, fmt.Sprintf("%s: %d", s, statuses[s]))
	}
	t.Logf("%d requests, %d differences; answers:\n%s", sent, found, strings.Join(tally, "\n"))
}

func steps(history []*request) string {
	var b strings.Builder
	for _, q := range history {
		b.WriteString(q.String())
	}
	return b.String()
}

// smallest leaves out the requests without which the stores still differ.
func (p *pair) smallest(app *application, history []*request, difference string) ([]*request, string) {
	replays := 0
	differs := func(list []*request) ([]*request, string) {
		if replays++; replays > mostReplays || p.install(app) != nil {
			return nil, ""
		}
		for i, q := range list {
			if _, d := p.compare(q); d != "" {
				return list[:i+1], d
			}
		}
		return nil, ""
	}
	for size := len(history) / 2; size > 0; size /= 2 {
		for at := 0; at < len(history); {
			without := slices.Concat(history[:at], history[min(at+size, len(history)):])
			if list, d := differs(without); d != "" {
				history, difference = list, d
				continue
			}
			at += size
		}
	}
	return history, difference
}
