// Command load drives HTTP/1.1 servers over keep-alive loopback connections in
// a closed loop: each client sends its next request when it has its answer. It
// runs every target of a plan several times, each time right after a fresh run
// of the plan's baseline, and writes every run as JSON.
//
//	load -plan plan.json -reps 3 -out runs.json
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// Measured is one target with its runs, as written to -out.
type Measured struct {
	Name string `json:"name"`
	Runs []Run  `json:"runs"`
	Err  string `json:"error,omitempty"`
}

func main() {
	planFile := flag.String("plan", "", "the plan (JSON)")
	reps := flag.Int("reps", 3, "runs of each target")
	out := flag.String("out", "", "where the runs go (JSON)")
	foreign := flag.Float64("foreign", 0.15, "repeat a run during which other processes used more cores than this")
	tries := flag.Int("tries", 3, "how often at most; then the quietest counts")
	flag.Parse()
	runtime.LockOSThread()
	debug.SetGCPercent(400)
	if err := measure(*planFile, *out, *reps, *tries, *foreign); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(planFile, out string, reps, tries int, foreign float64) error {
	plan, err := readPlan(planFile)
	if err != nil {
		return err
	}
	if plan.SampleDir != "" {
		if err := os.MkdirAll(plan.SampleDir, 0o755); err != nil {
			return err
		}
	}
	all := make([]Measured, len(plan.Targets))
	for i, err := range plan.alike() {
		all[i] = Measured{Name: plan.Targets[i].Name, Err: err.Error()}
		fmt.Fprintf(os.Stderr, "%-24s FAILED: %v\n", all[i].Name, err)
	}
	for rep := range reps { // round by round, so that slow drifts of the machine hit all targets alike
		for i := range plan.Targets {
			m := &all[i]
			m.Name = plan.Targets[i].Name
			if m.Err != "" {
				continue
			}
			r, err := plan.quietest(&plan.Targets[i], tries, foreign)
			if err != nil {
				m.Err = err.Error()
				fmt.Fprintf(os.Stderr, "%-24s FAILED: %v\n", m.Name, err)
				continue
			}
			m.Runs = append(m.Runs, r)
			fmt.Fprintf(os.Stderr, "%-24s %d/%d %9.0f/s  %.3f of the limit, %.3f by CPU  p50 %.0f µs  p99 %.0f µs  server %.2f, generator %.2f, others %.2f cores, %d bad\n",
				m.Name, rep+1, reps, r.Rate, r.Ratio, r.ByCPU, r.P50, r.P99, r.Server, r.Client, r.Foreign, r.Bad)
		}
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, b, 0o644)
}

// quietest runs the baseline and the target until the rest of the machine was
// quiet meanwhile, and settles for the least noisy pair after so many tries.
func (p *Plan) quietest(t *Target, tries int, foreign float64) (Run, error) {
	var best Run
	for try := range tries {
		base, err := run(&p.Baseline, 0.2, p.BaseTime, p.SampleDir)
		if err != nil {
			return Run{}, fmt.Errorf("baseline: %w", err)
		}
		r, err := run(t, p.Warm, p.Duration, p.SampleDir)
		if err != nil {
			return Run{}, err
		}
		r.Base, r.Ratio, r.ByCPU, r.Foreign = base.Rate, r.Rate/base.Rate, base.Cost/r.Cost, max(r.Foreign, base.Foreign)
		if try == 0 || r.Foreign < best.Foreign {
			best = r
		}
		if best.Foreign <= foreign {
			break
		}
		time.Sleep(time.Second)
	}
	return best, nil
}
