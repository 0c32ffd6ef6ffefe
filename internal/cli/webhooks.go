package cli

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/webhooks"
)

func (r *root) webhooksCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "webhooks", Short: "See the webhooks, enable them, deliver again"}
	var from, to string
	replay := &cobra.Command{
		Use: "replay NAME", Short: "Deliver again what has failed in a time", Args: cobra.ExactArgs(1),
		Example: "  pando webhooks replay orders.warehouse --from 24h",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), false, func(c *client) error {
				var res struct {
					Deliveries int `json:"deliveries"`
				}
				err := c.get(cmd.Context(), "POST", "/webhooks/"+url.PathEscape(args[0])+"/replay", url.Values{"from": {from}, "to": {to}}, &res)
				if err != nil {
					return err
				}
				return r.said(res, "delivers again: "+count(res.Deliveries, "delivery", "deliveries"))
			})
		},
	}
	replay.Flags().StringVar(&from, "from", "", "since when: 2026-01-02T15:04:05Z, or how long ago, like 24h")
	replay.Flags().StringVar(&to, "to", "", "until when; by default now")
	about := func(use, short, path, done string) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error {
					return r.order(cmd.Context(), c, "/webhooks/"+url.PathEscape(args[0])+path, nil, done+" "+args[0])
				})
			},
		}
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the webhooks and how they are doing", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.listWebhooks(cmd.Context(), c) })
			},
		},
		&cobra.Command{
			Use: "deliveries NAME", Short: "List the last tries", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.listDeliveries(cmd.Context(), c, args[0]) })
			},
		},
		about("enable NAME", "Deliver to a disabled webhook again", "/enable", "enabled"),
		about("disable NAME", "Deliver nothing to a webhook", "/disable", "disabled"),
		replay,
	)
	return cmd
}

func (r *root) listWebhooks(ctx context.Context, c *client) error {
	var list []webhooks.Status
	if err := c.get(ctx, "GET", "/webhooks", nil, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WEBHOOK\tSTATE\tFAILURES\tLAST SUCCESS\tREASON")
	for _, s := range list {
		state, last := "works", "never"
		switch {
		case !s.Disabled.IsZero():
			state = "disabled"
		case s.Failures > 0:
			state = "fails"
		case s.Succeeded.IsZero():
			state = "unused"
		}
		if !s.Succeeded.IsZero() {
			last = s.Succeeded.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Endpoint, state, s.Failures, last, s.Reason)
	}
	return w.Flush()
}

func (r *root) listDeliveries(ctx context.Context, c *client, name string) error {
	var list []webhooks.Entry
	if err := c.get(ctx, "GET", "/webhooks/"+url.PathEscape(name)+"/deliveries", nil, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tID\tEVENT\tTRIES\tOUTCOME\tSTATUS\tERROR")
	for _, e := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%s\n", e.At.UTC().Format("2006-01-02 15:04:05"), e.ID, e.Event, e.Tries, e.Outcome, e.Status, e.Error)
	}
	return w.Flush()
}
