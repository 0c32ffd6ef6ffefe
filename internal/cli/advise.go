package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/advise"
)

func (r *root) adviseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "advise", Short: "Tell what would make the store faster or safer, with evidence", Args: cobra.NoArgs,
		Long: "Looks at the reads and writes that the running node has recorded, at how the database runs them\nand at what it has counted, and suggests what to change in the modules: indexes that are missing\nor unused, tables that are read as a whole, uneven partitions, standbys that are behind. It\nchanges nothing. Without a running node there is only what the database has counted.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.advise(cmd.Context(), c) })
		},
	}
}

func (r *root) advise(ctx context.Context, c *client) error {
	var rep advise.Report
	if err := c.get(ctx, "GET", "/advise", nil, &rep); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(rep)
	}
	fmt.Fprintf(r.out, "%s, recorded since %s", count(rep.Plans, "plan", "plans"), rep.Since.Local().Format(time.DateTime))
	if !rep.Counted.IsZero() {
		fmt.Fprintf(r.out, "; the database counts since %s", rep.Counted.Local().Format(time.DateTime))
	}
	fmt.Fprintln(r.out)
	for i, s := range rep.Suggestions {
		fmt.Fprintf(r.out, "\n%d. %s\n", i+1, s.Title)
		for _, e := range s.Evidence {
			fmt.Fprintf(r.out, "   evidence: %s\n", e)
		}
		if s.Place != "" {
			fmt.Fprintf(r.out, "   where:    %s\n", s.Place)
		}
		if s.Change != "" {
			fmt.Fprintf(r.out, "   change:   %s\n", s.Change)
		}
		if s.Gain != "" {
			fmt.Fprintf(r.out, "   gain:     %s\n", s.Gain)
		}
	}
	if len(rep.Suggestions) == 0 {
		fmt.Fprintln(r.out, "nothing to suggest")
	}
	for _, n := range rep.Notes {
		fmt.Fprintln(r.out, "\nnote:", n)
	}
	return nil
}
