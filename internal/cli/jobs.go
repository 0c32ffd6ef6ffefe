package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/server"
)

func (r *root) jobsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "jobs", Short: "See the jobs, run them again, end them", Long: "Shows what waits, what runs and what has failed. A dead job has used up its tries: its errors are kept with\nit, and retry gives it new ones."}
	var states []string
	var queue, job, before string
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List jobs, the newest first", Args: cobra.NoArgs,
		Example: "  pando jobs list --state dead\n  pando jobs list --job orders.confirm --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"state": states, "limit": {strconv.Itoa(limit)}}
			for name, v := range map[string]string{"queue": queue, "job": job, "before": before} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return r.with(cmd.Context(), false, func(c *client) error { return r.listJobs(cmd.Context(), c, q) })
		},
	}
	list.Flags().StringSliceVar(&states, "state", nil, "only of these states: scheduled, available, running, completed, canceled, dead")
	list.Flags().StringVar(&queue, "queue", "", "only of this queue")
	list.Flags().StringVar(&job, "job", "", "only of this job: module.name")
	list.Flags().StringVar(&before, "before", "", "only older ones than this id: the last one of the page before")
	list.Flags().IntVar(&limit, "limit", 50, "how many, at most 1000")
	about := func(use, short, path, done string) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error {
					for _, id := range args {
						if err := r.order(cmd.Context(), c, fmt.Sprintf(path, url.PathEscape(id)), nil, done+" "+id); err != nil {
							return err
						}
					}
					return nil
				})
			},
		}
	}
	cmd.AddCommand(list,
		&cobra.Command{
			Use: "counts", Short: "Count the jobs of each queue by their state", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.countJobs(cmd.Context(), c) })
			},
		},
		about("retry ID...", "Run dead or canceled jobs again", "/jobs/%s/retry", "runs again:"),
		about("cancel ID...", "End jobs before their time", "/jobs/%s/cancel", "canceled"),
		about("pause QUEUE...", "Start no further jobs of a queue", "/queues/%s/pause", "paused"),
		about("resume QUEUE...", "Start jobs of a paused queue again", "/queues/%s/resume", "resumed"),
	)
	return cmd
}

// order sends a command that answers nothing.
func (r *root) order(ctx context.Context, c *client, path string, form url.Values, done string) error {
	var none struct{}
	if err := c.get(ctx, "POST", path, form, &none); err != nil {
		return err
	}
	return r.said(map[string]string{"done": done}, done)
}

func (r *root) listJobs(ctx context.Context, c *client, q url.Values) error {
	var list []server.JobEntry
	if err := c.get(ctx, "GET", "/jobs", q, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(r.out, "there are no such jobs")
		return nil
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tJOB\tSTATE\tQUEUE\tTRIES\tRUN AT\t")
	for _, j := range list {
		last := ""
		if n := len(j.Errors); n > 0 {
			last = j.Errors[n-1].Error
		} else if j.Progress > 0 {
			last = fmt.Sprintf("%.0f%% %s", j.Progress*100, j.Message)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%s\n", j.ID, j.Job, j.State, j.Queue, j.Failed, j.Attempts, j.RunAt.Format("2006-01-02 15:04:05"), last)
	}
	return w.Flush()
}

func (r *root) countJobs(ctx context.Context, c *client) error {
	var list []server.JobCount
	if err := c.get(ctx, "GET", "/jobs/counts", nil, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tSTATE\tJOBS")
	for _, n := range list {
		fmt.Fprintf(w, "%s\t%s\t%d\n", n.Queue, n.State, n.Jobs)
	}
	return w.Flush()
}
