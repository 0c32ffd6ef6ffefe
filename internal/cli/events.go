package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "Follow the events, give them again, see the dead ones",
		Long: "Events are kept in the outbox and at the broker; a running node answers for them. Times are like\n2026-01-02T15:04:05Z, or how long ago, like 10m.",
	}
	var types []string
	var key, from, to, id, consumer string
	var once bool
	tail := &cobra.Command{
		Use: "tail", Short: "Print events as they happen", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"type": types, "key": {key}, "from": {from}, "follow": {"true"}}
			if once {
				q.Set("follow", "false")
			}
			return r.with(cmd.Context(), false, func(c *client) error { return r.tailEvents(cmd.Context(), c, q) })
		},
	}
	tail.Flags().StringSliceVar(&types, "type", nil, "only of these types: module.event, module.entity.update")
	tail.Flags().StringVar(&key, "key", "", "only of this row: module.entity/KEY")
	tail.Flags().StringVar(&from, "from", "", "begin with what happened then; by default now")
	tail.Flags().BoolVar(&once, "once", false, "print what there is, and end")
	replay := &cobra.Command{
		Use: "replay CONSUMER", Short: "Give events to a job or a webhook again", Args: cobra.ExactArgs(1),
		Long:    "Gives kept events to one consumer again, a job or a webhook as module.name. Their effects happen again,\nalthough it has handled them before.",
		Example: "  pando events replay orders.confirm --from 1h\n  pando events replay orders.confirm --id 0192d3a0-...",
		RunE: func(cmd *cobra.Command, args []string) error {
			form := url.Values{"consumer": args, "type": types, "key": {key}, "from": {from}, "to": {to}, "id": {id}}
			return r.with(cmd.Context(), false, func(c *client) error { return r.replayEvents(cmd.Context(), c, form) })
		},
	}
	replay.Flags().StringSliceVar(&types, "type", nil, "only of these types")
	replay.Flags().StringVar(&key, "key", "", "only of this row: module.entity/KEY")
	replay.Flags().StringVar(&from, "from", "", "those that happened since")
	replay.Flags().StringVar(&to, "to", "", "those that happened before; by default now")
	replay.Flags().StringVar(&id, "id", "", "this event and those behind it")
	dead := &cobra.Command{
		Use: "dead", Short: "List the events that could not be handed on", Args: cobra.NoArgs,
		Long: "Lists the events that a consumer could not take after all its tries. What a job does with its event is the\njob's: see `pando jobs list --state dead`.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error {
				return r.deadEvents(cmd.Context(), c, url.Values{"consumer": {consumer}})
			})
		},
	}
	about := func(use, short, path, done string) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(2),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error {
					return r.order(cmd.Context(), c, path, url.Values{"consumer": args[:1], "id": args[1:]}, done+" "+args[1])
				})
			},
		}
	}
	dead.AddCommand(
		about("retry CONSUMER ID", "Give a dead event to its consumer again", "/events/dead/retry", "given again:"),
		about("drop CONSUMER ID", "Forget a dead event", "/events/dead/drop", "dropped"),
	)
	cmd.AddCommand(tail, replay, dead)
	return cmd
}

func (r *root) tailEvents(ctx context.Context, c *client, q url.Values) error {
	body, err := c.call(ctx, "GET", "/events", q, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	dec := json.NewDecoder(body)
	for {
		var e server.TailEvent
		if err := dec.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fault.Wrap(err, fault.StoreUnavailable, "the node went away")
		}
		if r.json {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			fmt.Fprintf(r.out, "%s\n", line)
			continue
		}
		fmt.Fprintf(r.out, "%s  %s  %s  %s  %s\n", e.Time.Format("2006-01-02 15:04:05.000"), e.ID, e.Type, e.Subject, e.Data)
	}
}

func (r *root) replayEvents(ctx context.Context, c *client, form url.Values) error {
	var res server.Replayed
	if err := c.get(ctx, "POST", "/events/replay", form, &res); err != nil {
		return err
	}
	return r.said(res, fmt.Sprintf("given again: %s, from the %s", count(res.Events, "event", "events"), res.Source))
}

func (r *root) deadEvents(ctx context.Context, c *client, q url.Values) error {
	var list []server.DeadEvent
	if err := c.get(ctx, "GET", "/events/dead", q, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(r.out, "there are no dead events; for dead jobs: pando jobs list --state dead")
		return nil
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONSUMER\tID\tTYPE\tTRIES\tERROR")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", d.Consumer, d.Event.ID, d.Event.Type, d.Tries, d.Error)
	}
	return w.Flush()
}
