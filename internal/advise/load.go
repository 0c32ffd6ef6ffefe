package advise

import (
	"context"
	"fmt"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// fullScans looks at tables that are read as a whole, again and again, where no
// index was suggested.
func (a *advisor) fullScans(ctx context.Context) error {
	told := map[string]bool{}
	for _, s := range a.out.Suggestions {
		if s.Kind == MissingIndex {
			told[s.Place] = true
		}
	}
	for _, p := range a.plans {
		e := p.Access.Entity
		at := e.Pos.String()
		if told[at] || p.Calls < fewCalls || p.Access.Every || !p.how.Walks() {
			continue
		}
		rows, err := a.count(ctx, e)
		if err != nil {
			return err
		}
		if rows < fewRows || p.Rows/p.Calls > rows/10 { // it answers much of what it reads
			continue
		}
		told[at] = true
		a.suggest(Suggestion{
			Kind: FullScan, Title: fmt.Sprintf("%s is read as a whole for a condition that no index answers", e.QualifiedName()), Place: at,
			Change:   "filter by equal values or bounds of fields with an index, or search instead of like",
			Evidence: []string{fmt.Sprintf("%s in %s, %s each", verb(&p.Access, p.Calls), a.since(a.Since), span(p.Mean())), how(&p, rows)},
			weight:   p.Total.Seconds(),
		})
	}
	for _, t := range a.stats.Tables {
		e := a.entity(t.Table)
		if e == nil || told[e.Pos.String()] || t.Rows < fewRows || t.FullScans < 100 || t.FullRows/t.FullScans < fewRows {
			continue
		}
		told[e.Pos.String()] = true
		a.suggest(Suggestion{
			Kind: FullScan, Title: t.Table + " is read as a whole, by statements that this node has not recorded", Place: e.Pos.String(),
			Evidence: []string{fmt.Sprintf("%s scans read %s rows in %s, as the database counts", number(t.FullScans), number(t.FullRows), a.since(a.stats.Since))},
			Change:   "look at other nodes' advice, exports and programs beside Pando (pg_stat_statements names them)",
		})
	}
	return nil
}

const (
	// busy is how much must have happened in an entity for its partitions to be
	// compared, and uneven how much more than its share one of them has.
	busy   = 10_000
	uneven = 3
)

// partitions looks for one that has much more to do than the others.
func (a *advisor) partitions(context.Context) error {
	of := map[string][]store.TableStatistics{}
	var order []string
	for _, t := range a.stats.Tables {
		if t.Partition == "" {
			continue
		}
		if of[t.Table] == nil {
			order = append(order, t.Table)
		}
		of[t.Table] = append(of[t.Table], t)
	}
	work := func(t *store.TableStatistics) int64 { return t.Writes + t.IndexScans }
	for _, table := range order {
		list, e := of[table], a.entity(table)
		var all int64
		hot := &list[0]
		for i := range list {
			all += work(&list[i])
			if work(&list[i]) > work(hot) {
				hot = &list[i]
			}
		}
		if e == nil || e.Partition == nil || len(list) < 2 || all < busy || work(hot)*int64(len(list)) < uneven*all {
			continue
		}
		a.suggest(Suggestion{
			Kind: HotPartition, Title: fmt.Sprintf("one of %d partitions of %s has %d %% of the work", len(list), table, 100*work(hot)/all),
			Place: e.Partition.Pos.String(), Change: "partition by a field with more values, of like weight (a change of partitions is a pando move)",
			Evidence: []string{fmt.Sprintf("%s: %s of %s reads by index and writes in %s", hot.Partition, number(work(hot)), number(all), a.since(a.stats.Since))},
			Gain:     fmt.Sprintf("estimated: %d %% of the work on each", 100/len(list)), weight: float64(work(hot)) / busy,
		})
	}
	return nil
}

const (
	late   = 5 * time.Second // a standby's lag that is told
	behind = 64 << 20        // bytes that it has yet to replay
)

// servers looks at the standbys and at the connections.
func (a *advisor) servers(context.Context) error {
	for _, s := range a.stats.Standbys {
		if s.State == "streaming" && s.Lag < late && s.Bytes < behind {
			continue
		}
		a.suggest(Suggestion{
			Kind: StandbyLag, Title: fmt.Sprintf("the standby %s is behind", s.Name),
			Evidence: []string{fmt.Sprintf("state %s, %s behind, %s to replay", s.State, span(s.Lag), size(s.Bytes))},
			Change:   "look at its disk and at long reads on it (max_standby_streaming_delay); reads leave it alone meanwhile", weight: 10,
		})
	}
	if used, most := a.stats.Connections, a.stats.MaxConnections; most > 0 && used*5 > most*4 {
		a.suggest(Suggestion{
			Kind: Connections, Title: "the database's connections run out",
			Evidence: []string{fmt.Sprintf("%d of %d are taken", used, most)},
			Change:   "raise max_connections, end what idles, or put a pooler between (docs/postgres.md)", weight: 100,
		})
	}
	return nil
}
