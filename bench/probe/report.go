package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// run and measured are what load writes.
type run struct {
	Bad     int     `json:"bad"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Foreign float64 `json:"foreign_cores"`
	Ratio   float64 `json:"ratio"`
	ByCPU   float64 `json:"cpu_ratio"`
}

type measured struct {
	Name string `json:"name"`
	Runs []run  `json:"runs"`
	Err  string `json:"error"`
}

// request is a line of the first table: what must be reached of the
// transport's limit and of PocketBase; 0 asks nothing.
type request struct {
	name      string
	ofLimit   float64
	ofPeer    float64
	perSecond string // the unit where it is not requests
}

func requests() []request {
	return []request{
		{name: "get by id", ofLimit: 0.38, ofPeer: 2.5},
		{name: "list 30", ofLimit: 0.12, ofPeer: 5},
		{name: "list 30 with to-one", ofLimit: 0.08, ofPeer: 6},
		{name: "create one", ofLimit: 0.10, ofPeer: 2.6},
		{name: "create 1000", ofPeer: 3, perSecond: "rows"},
		{name: "get by id, own", ofLimit: 0.33, ofPeer: 7},
		{name: "create one, own", ofLimit: 0.075},
	}
}

// property is a line of the second table.
type property struct {
	name    string
	value   func(*results) (float64, bool)
	format  string
	atLeast float64 // one of the two bounds; neither: it is told alone
	atMost  float64
	note    func(*results) string
}

func properties() []property {
	fact := func(name, key string) func(*results) (float64, bool) {
		return func(r *results) (float64, bool) { v, ok := r.facts[name][key]; return v, ok }
	}
	beside := func(format string, name string, keys ...string) func(*results) string {
		return func(r *results) string {
			args := make([]any, len(keys))
			for i, k := range keys {
				args[i] = r.facts[name][k]
			}
			return fmt.Sprintf(format, args...)
		}
	}
	return []property{
		{name: "list under a row policy, to the same list without", value: quotient("list under a policy", "list without"), format: "%.2f", atLeast: 0.9},
		{
			name: "p99 of reads while 200 clients sign in, to that in calm", value: slower("get in a flood", "get in calm"), format: "%.2f", atMost: 2,
			note: beside("at most %.0f MiB resident", "flood", "peak_mib"),
		},
		{name: "page 10,000 by cursor: its time to page 1's, by key", value: quotient("page 1 by key", "page 10000 by key"), format: "%.2f", atMost: 1.2},
		{name: "page 10,000 by cursor: its time to page 1's, on an index", value: quotient("page 1 on an index", "page 10000 on an index"), format: "%.2f", atMost: 1.2},
		{name: "get by id among 1,000,000 rows, to that among 10,000", value: quotient("get of 1000000", "get of 10000"), format: "%.2f", atLeast: 0.9},
		{
			name: "import, to a bare insert loop", value: fact("import", "import_ratio"), format: "%.2f", atLeast: 0.4,
			note: beside("%.0f and %.0f rows/s", "import", "import_rows_s", "bare_rows_s"),
		},
		{name: "1,000 entities: ready, first start", value: fact("entities-first", "ready_ms"), format: "%.0f ms", atMost: 1000, note: beside("worst %.0f ms", "entities-first", "ready_worst_ms")},
		{name: "1,000 entities: ready, later start", value: fact("entities-later", "ready_ms"), format: "%.0f ms", atMost: 1000, note: beside("worst %.0f ms", "entities-later", "ready_worst_ms")},
		{name: "ready after start", value: fact("start", "ready_ms"), format: "%.0f ms", atMost: 150, note: func(r *results) string {
			return beside("worst %.0f ms", "start", "ready_worst_ms")(r) + beside("; PocketBase %.0f ms", "start-pb", "ready_ms")(r)
		}},
		{
			name: "ready after start, 1,000,000 rows", value: fact("start-million", "ready_ms"), format: "%.0f ms", atMost: 150,
			note: beside("worst %.0f ms; resident then %.0f MiB", "start-million", "ready_worst_ms", "resident_mib"),
		},
		{name: "resident when idle", value: fact("start", "resident_mib"), format: "%.0f MiB", atMost: 60, note: beside("PocketBase %.0f MiB", "start-pb", "resident_mib")},
		besides("GraphQL get with a to-one relation, to the same through REST", "pando graphql get", "pando rest get", "%.2f", 0.85),
		besides("GraphQL list 30 with two levels of relations, to the same through REST", "pando graphql list", "pando rest list", "%.2f", 0.85),
		besides("GraphQL get with a to-one relation, times PostGraphile", "pando graphql get", "postgraphile graphql get", "%.1f", 3),
		besides("GraphQL list 30 with two levels of relations, times PostGraphile", "pando graphql list", "postgraphile graphql list", "%.1f", 3),
		besides("gRPC get by id, to a constant answer through connect-go", "pando grpc get", "constant grpc get", "%.2f", 0.5),
		besides("Connect get by id over HTTP/1.1, to a constant answer through connect-go", "pando connect get", "constant connect get", "%.2f", 0.5),
		{
			name: "gRPC stream of 100,000 rows: memory beyond that of streams of 1,000", value: fact("stream", "growth_mib"), format: "%.1f MiB", atMost: 8,
			note: beside("at most %.0f MiB of its own", "stream", "peak_mib"),
		},
		{
			name: "gRPC stream of 100,000 rows, to the same rows of REST as NDJSON", value: fact("stream", "ratio"), format: "%.2f",
			note: beside("%.0f and %.0f rows/s; %.2f by CPU time; others %.2f cores", "stream", "grpc_rows_s", "ndjson_rows_s", "cpu_ratio", "foreign_cores"),
		},
		{name: "GraphQL schema of 200 entities", value: fact("schema", "schema_ms"), format: "%.0f ms", atMost: 150},
		{
			name: "memory of one more version of 200 entities, to that of the first", value: fact("schema", "version_percent"), format: "%.1f %%", atMost: 10,
			note: beside("the first %.1f MB", "schema", "first_mb"),
		},
		{name: "binary", value: fact("binary", "binary_mib"), format: "%.1f MiB", atMost: 60},
	}
}

// quotient is the ratio of two targets' rates.
func quotient(over, under string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		a, b := r.loads[over], r.loads[under]
		if len(a.Runs) == 0 || len(b.Runs) == 0 {
			return 0, false
		}
		return a.of(ratioOf) / b.of(ratioOf), true
	}
}

// besides is a line that asks for a ratio of two targets' rates, and tells that of
// their CPU times beside it.
func besides(name, over, under, format string, atLeast float64) property {
	return property{name: name, value: quotient(over, under), format: format, atLeast: atLeast, note: func(r *results) string {
		a, b := r.loads[over], r.loads[under]
		return fmt.Sprintf(format+" by CPU time; p50 %s, p99 %s", a.of(cpu)/b.of(cpu), latency(a.of(p50)), latency(a.of(p99)))
	}}
}

// slower is the ratio of two targets' p99.
func slower(of, to string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		a, b := r.loads[of], r.loads[to]
		if len(a.Runs) == 0 || len(b.Runs) == 0 {
			return 0, false
		}
		return a.of(p99) / b.of(p99), true
	}
}

func ratioOf(r run) float64 { return r.Ratio }

func (m measured) of(field func(run) float64) float64 {
	v := make([]float64, len(m.Runs))
	for i, r := range m.Runs {
		v[i] = field(r)
	}
	return median(v)
}

type results struct {
	loads map[string]measured
	facts map[string]facts
}

// read takes load-*.json and fact-*.json from a folder.
func read(dir string) (*results, error) {
	r := &results{loads: map[string]measured{}, facts: map[string]facts{}}
	files, err := filepath.Glob(filepath.Join(dir, "load-*.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		var all []measured
		if err := readJSON(f, &all); err != nil {
			return nil, err
		}
		for _, m := range all {
			r.loads[m.Name] = m
		}
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		name, ok := strings.CutPrefix(filepath.Base(path), "fact-")
		if err != nil || !ok {
			return err
		}
		var f facts
		err = readJSON(path, &f)
		r.facts[strings.TrimSuffix(name, ".json")] = f
		return err
	})
	return r, err
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// errShort makes the command's exit status tell that a figure was missed.
var errShort = errors.New("some figures are short of what is needed, or could not be measured")

// report prints what was measured as Markdown tables. With -strict it
// fails when a figure is short or a target failed.
func report(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("report", flag.ExitOnError)
	dir := fs.String("out", "", "where the measurements are")
	postgres := fs.Bool("postgres", false, "the measurements are those on PostgreSQL")
	strict := fs.Bool("strict", false, "fail when a figure is short")
	_ = fs.Parse(args) // exits on error
	r, err := read(*dir)
	if err != nil {
		return err
	}
	table := r.requestTable
	if *postgres {
		table = r.postgresTable
	}
	good := table(out)
	good = r.propertyTable(out) && good
	good = r.notes(out) && good
	if *strict && !good {
		return errShort
	}
	return nil
}

func (r *results) requestTable(out io.Writer) bool {
	good, head := true, false
	for _, q := range requests() {
		own, peer := r.loads["pando "+q.name], r.loads["pocketbase "+q.name]
		if len(own.Runs) == 0 {
			continue
		}
		if !head {
			fmt.Fprintln(out, "\n| request | of the limit | needed | times PocketBase | needed | p50 | p99 | PocketBase's | by CPU time | |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
			head = true
		}
		limit, ok := own.of(ratioOf), true
		ofLimit, needLimit, ofPeer, needPeer, peers := fmt.Sprintf("%.3f", limit), "", "?", fmt.Sprintf("%.1f", q.ofPeer), "?"
		byCPU := fmt.Sprintf("%.3f", own.of(cpu))
		if q.ofLimit > 0 {
			needLimit = fmt.Sprintf("%.2f", q.ofLimit)
			ok = limit >= q.ofLimit
		}
		if q.perSecond != "" {
			ofLimit = fmt.Sprintf("%.2f %s", limit, q.perSecond)
		}
		if len(peer.Runs) > 0 {
			times := limit / peer.of(ratioOf)
			ofPeer = fmt.Sprintf("%.2f", times)
			ok = ok && times >= q.ofPeer
			peers = fmt.Sprintf("%.3f, p50 %s, p99 %s", peer.of(ratioOf), latency(peer.of(p50)), latency(peer.of(p99)))
			byCPU += fmt.Sprintf(", %.2f times", own.of(cpu)/peer.of(cpu))
		} else if q.ofPeer > 0 {
			ok = false
		} else {
			ofPeer, needPeer, peers = "", "", "" // the peer has no such case
		}
		good = good && ok
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", q.name, ofLimit, needLimit, ofPeer, needPeer,
			latency(own.of(p50)), latency(own.of(p99)), peers, byCPU, verdict(ok))
	}
	return good
}

func p50(r run) float64 { return r.P50 }
func p99(r run) float64 { return r.P99 }
func cpu(r run) float64 { return r.ByCPU }

func latency(us float64) string {
	if us < 1000 {
		return fmt.Sprintf("%.0f µs", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "**short**"
}

func (r *results) propertyTable(out io.Writer) bool {
	good, head := true, false
	for _, p := range properties() {
		v, measured := p.value(r)
		if !measured {
			continue
		}
		if !head {
			fmt.Fprintln(out, "\n| what | measured | needed | | |\n| --- | --- | --- | --- | --- |")
			head = true
		}
		ok, need := v >= p.atLeast, "at least "+fmt.Sprintf(p.format, p.atLeast)
		if p.atMost > 0 {
			ok, need = v <= p.atMost, "at most "+fmt.Sprintf(p.format, p.atMost)
		}
		result := verdict(ok)
		if p.atLeast == 0 && p.atMost == 0 {
			need, result = "", ""
		}
		good = good && ok
		note := ""
		if p.note != nil {
			note = p.note(r)
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", p.name, fmt.Sprintf(p.format, v), need, result, note)
	}
	return good
}

// notes tells what makes figures doubtful: failed targets, wrong answers, and
// a machine that was not quiet.
func (r *results) notes(out io.Writer) bool {
	names := make([]string, 0, len(r.loads))
	for name := range r.loads {
		names = append(names, name)
	}
	slices.Sort(names)
	good := true
	var noisy []string
	fmt.Fprintln(out)
	for _, name := range names {
		m := r.loads[name]
		if m.Err != "" {
			good = false
			fmt.Fprintf(out, "- %s failed: %s\n", name, m.Err)
			continue
		}
		bad, foreign := 0, 0.0
		for _, x := range m.Runs {
			bad += x.Bad
			foreign = max(foreign, x.Foreign)
		}
		if bad > 0 {
			good = false
			fmt.Fprintf(out, "- %s: %d answers were wrong or lost\n", name, bad)
		}
		if foreign > 0.2 {
			noisy = append(noisy, fmt.Sprintf("%s (%.1f cores)", name, foreign))
		}
	}
	if len(noisy) > 0 {
		fmt.Fprintf(out, "- Others used the machine during: %s. Repeat these on a quiet one.\n", strings.Join(noisy, ", "))
	}
	return good
}
