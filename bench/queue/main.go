// Command queue measures Pando's job queue beside River on the same database
// server and disk, in one run: how many jobs a second are taken and completed
// durably, how soon a job is picked up by an idle node, and what a job adds to a
// durable create. See ../queue.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/sqlite"
)

func main() {
	url := flag.String("postgres", "", "URL of a PostgreSQL server whose user may create databases; empty: SQLite alone")
	dir := flag.String("dir", "", "folder of the SQLite files; default: a new one, removed at the end")
	jobs := flag.Int("jobs", 200_000, "jobs of a run of Pando's")
	riverJobs := flag.Int("river-jobs", 60_000, "jobs of a run of River's; a quarter of that on SQLite")
	reps := flag.Int("reps", 3, "runs of each; the middle one counts")
	only := flag.String("only", "", "work, pickup, enqueue, by commas; empty: all")
	river := flag.Bool("river", true, "measure River too")
	flag.Parse()
	log.SetFlags(0)
	ctx := context.Background()
	if *dir == "" {
		d, err := os.MkdirTemp("", "pando-bench-queue")
		if err != nil {
			log.Fatal(err)
		}
		defer os.RemoveAll(d)
		*dir = d
	}
	wants := func(part string) bool { return *only == "" || slices.Contains(strings.Split(*only, ","), part) }
	for _, b := range bases(*url, *dir) {
		n := *riverJobs
		if b.name == "SQLite" {
			n /= 4
		}
		if wants("work") {
			pando, other := []float64{}, []float64{}
			for range *reps {
				pando = append(pando, must(workPando(ctx, b, *jobs)))
				if *river {
					other = append(other, must(workRiver(ctx, b, n)))
				}
			}
			report(b.name+": jobs/s", "%.0f", pando, other, true)
		}
		if wants("pickup") {
			p := must(pickupPando(ctx, b))
			fmt.Printf("%s: idle pick-up of Pando: p50 %.2f ms, p99 %.2f ms\n", b.name, at(p, 0.5), at(p, 0.99))
			if *river {
				r := must(pickupRiver(ctx, b))
				fmt.Printf("%s: idle pick-up of River: p50 %.2f ms, p99 %.2f ms\n", b.name, at(r, 0.5), at(r, 0.99))
			}
		}
		if wants("enqueue") {
			for _, writers := range []int{1, 32} {
				plain, with := must2(enqueueCost(ctx, b, writers, 2*(*reps)+1))
				fmt.Printf("%s: a durable create by %d writers: %.0f/s alone, %.0f/s with a job: %+.1f %%\n", b.name, writers, plain, with, 100*(plain/with-1))
			}
		}
	}
}

func report(what, format string, pando, river []float64, _ bool) {
	fmt.Printf("%s: Pando "+format, what, at(pando, 0.5))
	if len(river) > 0 {
		fmt.Printf(", River "+format+", ratio %.2f", at(river, 0.5), at(pando, 0.5)/at(river, 0.5))
	}
	fmt.Printf("   (%.0f; %.0f)\n", pando, river)
}

// at is a quantile.
func at(list []float64, p float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[min(int(float64(len(s))*p), len(s)-1)]
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func must2[T any](a, b T, err error) (T, T) {
	if err != nil {
		log.Fatal(err)
	}
	return a, b
}

// base makes empty databases of one kind.
type base struct {
	name, url, dir string
	n              *int
}

func bases(url, dir string) (out []base) {
	if url != "" {
		out = append(out, base{"PostgreSQL", url, dir, new(int)})
	}
	return append(out, base{"SQLite", "", dir, new(int)})
}

// fresh names a new database: a file or a URL.
func (b base) fresh(ctx context.Context) (string, error) {
	*b.n++
	name := fmt.Sprintf("bench%d_%d", os.Getpid(), *b.n)
	if b.url == "" {
		return filepath.Join(b.dir, name+".db"), nil
	}
	return freshPostgres(ctx, b.url, name)
}

// open opens a new database as Pando does.
func (b base) open(ctx context.Context) (store.Driver, error) {
	name, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if b.url == "" {
		return sqlite.Open(ctx, sqlite.Options{Path: name})
	}
	return postgres.Open(ctx, postgres.Options{URL: name})
}

const wait = 5 * time.Minute
