package main

import (
	"fmt"
	"io"
)

// onPostgres is a line of the table of bench/postgres.sh: what must be reached
// of the transport's limit, of PostGraphile and of Directus.
type onPostgres struct {
	name                          string
	ofLimit, ofGraphile, ofDirect float64
}

func requestsOnPostgres() []onPostgres {
	const graphile, direct = 3, 20
	return []onPostgres{
		{"get by id", 0.20, graphile, direct},
		{"list 30", 0.085, graphile, direct},
		{"list 30 with to-one", 0.06, graphile, direct},
		{"create one", 0.13, graphile, direct},
		{"get by id, own", 0.16, graphile, 0}, // such a rule takes a licence in Directus
	}
}

func (r *results) postgresTable(out io.Writer) bool {
	good, head := true, false
	for _, q := range requestsOnPostgres() {
		own := r.loads["pando "+q.name]
		if len(own.Runs) == 0 {
			continue
		}
		if !head {
			fmt.Fprintln(out, "\n| on PostgreSQL | of the limit | needed | times PostGraphile | needed | times Directus | needed | p50 | p99 | by CPU time | |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
			head = true
		}
		limit := own.of(ratioOf)
		ok := limit >= q.ofLimit
		times := func(peer string, needed float64) (measured, need string) {
			p := r.loads[peer+" "+q.name]
			switch {
			case needed == 0:
				return "", ""
			case len(p.Runs) == 0:
				ok = false
				return "?", fmt.Sprintf("%.0f", needed)
			}
			n := limit / p.of(ratioOf)
			ok = ok && n >= needed
			return fmt.Sprintf("%.1f (%.4f)", n, p.of(ratioOf)), fmt.Sprintf("%.0f", needed)
		}
		ofGraphile, needGraphile := times("postgraphile", q.ofGraphile)
		ofDirect, needDirect := times("directus", q.ofDirect)
		good = good && ok
		fmt.Fprintf(out, "| %s | %.3f | %.3f | %s | %s | %s | %s | %s | %s | %.3f | %s |\n", q.name, limit, q.ofLimit, ofGraphile, needGraphile,
			ofDirect, needDirect, latency(own.of(p50)), latency(own.of(p99)), own.of(cpu), verdict(ok))
	}
	return good
}
