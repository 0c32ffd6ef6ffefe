package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/server"
)

func (r *root) apiCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "api", Short: "See how the API is used"}
	var since string
	uses := &cobra.Command{
		Use: "usage", Short: "Tell who still uses what is deprecated", Args: cobra.NoArgs,
		Long: "Lists the deprecated entities, fields and operations that requests have named, with the API key and\nthe client (X-Client-Info, or User-Agent) that named them, on every node. What is not listed can go.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.apiUsage(cmd.Context(), c, since) })
		},
	}
	uses.Flags().StringVar(&since, "since", "", "the first day that counts, like 2026-01-31; default: as long as it is kept, 400 days")
	cmd.AddCommand(uses)
	return cmd
}

func (r *root) apiUsage(ctx context.Context, c *client, since string) error {
	var uses []server.DeprecatedUse
	if err := c.get(ctx, "GET", "/api/usage", url.Values{"since": {since}}, &uses); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(uses)
	}
	if len(uses) == 0 {
		fmt.Fprintln(r.out, "nobody uses what is deprecated")
		return nil
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "THING\tVERSION\tDOOR\tKEY\tCLIENT\tCOUNT\tFIRST\tLAST\tSUNSET")
	for _, u := range uses {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", u.Thing, u.Version, u.Door, u.Key, u.Client, u.Count,
			u.First.Format(time.DateOnly), u.Last.Format(time.DateOnly), cmp.Or(u.Sunset, "-"))
	}
	return w.Flush()
}
