package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/move"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) moveCommand() *cobra.Command {
	var to, freeze string
	var dry bool
	cmd := &cobra.Command{
		Use: "move --to URL", Short: "Take the data to another store while the application serves", Args: cobra.NoArgs,
		Long: "Copies everything that the store holds to an empty one, compares every row, and switches;\nwriters wait for less than a second. A move that was stopped goes on where it stood when the\ncommand is run again.\n\n  pando move --to postgres://user@host/shop --dry-run\n  pando move --to secret:new_store\n\nUntil it is confirmed it can be taken back, with what was written since.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usageError{fmt.Errorf("--to is missing"), "name the new store: pando move --to postgres://user@host/database"}
			}
			form := url.Values{"to": {to}, "dry_run": {fmt.Sprint(dry)}, "freeze": {freeze}}
			return r.with(cmd.Context(), true, func(c *client) error { return r.runMove(cmd.Context(), c, "/move", form) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the new store's URL, or secret:NAME")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check everything, read every row, and change nothing")
	cmd.Flags().StringVar(&freeze, "freeze", "", "the longest that writers may wait (default 1s)")
	simple := func(use, short, path, done string) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error {
					var answer struct{}
					if err := c.get(cmd.Context(), "POST", path, nil, &answer); err != nil {
						return err
					}
					if r.json {
						return r.printJSON(answer)
					}
					fmt.Fprintln(r.out, done)
					return nil
				})
			},
		}
	}
	var back string
	rollback := &cobra.Command{
		Use: "rollback", Short: "Go back to the old store, with what was written since", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			form := url.Values{"freeze": {back}}
			return r.with(cmd.Context(), true, func(c *client) error { return r.runMove(cmd.Context(), c, "/move/rollback", form) })
		},
	}
	rollback.Flags().StringVar(&back, "freeze", "", "the longest that writers may wait (default 1s)")
	cmd.AddCommand(
		&cobra.Command{
			Use: "status", Short: "Tell which store is served from and whether a move is open", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.moveStatus(cmd.Context(), c) })
			},
		},
		simple("confirm", "End a move: it cannot be taken back any more", "/move/confirm", "confirmed: the old store is not needed any more; it stays closed to writers"),
		rollback,
		simple("abort", "Take a move back that has not switched yet", "/move/abort", "taken back: the application is served as before"),
	)
	return cmd
}

// runMove follows a move or its way back.
func (r *root) runMove(ctx context.Context, c *client, path string, form url.Values) error {
	body, err := c.post(ctx, path, form)
	if err != nil {
		return err
	}
	bar := &bar{}
	var step move.Step
	last, err := follow(body, func(ev *server.Event) {
		p := ev.Move
		if p == nil {
			return
		}
		if p.Step != step {
			bar.end()
			step, bar = p.Step, r.rowsBar(p.Total, string(p.Step))
			if r.json {
				_ = r.printLine(ev) // a reader that has gone ends the command by itself
			}
		}
		bar.set(p.Done)
	})
	bar.end()
	if err != nil {
		return err
	}
	if r.json {
		if last.MovePlan != nil {
			return r.printJSON(last.MovePlan)
		}
		return r.printJSON(last.Moved)
	}
	if last.MovePlan != nil {
		r.showMovePlan(last.MovePlan)
		return nil
	}
	r.showMoved(last.Moved, path != "/move")
	return nil
}

func (r *root) showMovePlan(p *move.Plan) {
	for _, t := range p.Tables {
		if t.Rows > 0 {
			fmt.Fprintf(r.out, "%12d  %s\n", t.Rows, t.Table)
		}
	}
	fmt.Fprintf(r.out, "%12d  rows in %d tables, %.1f MB; %s\n", p.Rows, len(p.Tables), float64(p.Bytes)/1e6, p.Estimate)
	if p.Resumes {
		fmt.Fprintln(r.out, "a move was stopped: it goes on where it stood")
	}
	fmt.Fprintln(r.out, "everything fits: nothing was changed")
}

func (r *root) showMoved(m *server.MoveResult, back bool) {
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	if back {
		fmt.Fprintf(r.out, "back in %s: %s brought along; writers waited %v\n", m.Store, count(int(m.Changes), "changed row", "changed rows"), round(m.Frozen))
		return
	}
	fmt.Fprintf(r.out, "moved %s in %v, %s while they were copied; every row was compared; writers waited %v\n",
		count(int(m.Rows), "row", "rows"), round(m.Took), count(int(m.Changes), "changed", "changed"), round(m.Frozen))
	fmt.Fprintf(r.out, "\nthe application is served from the new store. In pando.yaml:\n\n  store: %s\n", m.Store)
	if strings.Contains(m.Store, "xxxxx") {
		fmt.Fprintln(r.out, "\nwith the password in place of xxxxx, or better:  store: secret:store_url  and the URL in the\nvariable PANDO_SECRET_STORE_URL")
	}
	fmt.Fprintln(r.out, "\n`pando move confirm` ends the move, `pando move rollback` goes back with what was written since")
}

func (r *root) moveStatus(ctx context.Context, c *client) error {
	var st server.MoveStatus
	if err := c.get(ctx, "GET", "/move", nil, &st); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(st)
	}
	fmt.Fprintln(r.out, "served from", st.Store)
	switch {
	case st.Role == "":
		fmt.Fprintln(r.out, "no move is open")
	case st.Role == string(move.Source) && st.Runs:
		fmt.Fprintf(r.out, "moving to %s since %s: %s\n", st.Peer, st.Began.Format(time.RFC3339), st.Step)
	case st.Role == string(move.Source):
		fmt.Fprintf(r.out, "a move to %s was stopped (%s): the same command goes on, `pando move abort` takes it back\n", st.Peer, st.Step)
	default:
		fmt.Fprintln(r.out, "moved here, not confirmed: `pando move confirm` ends it, `pando move rollback` takes it back")
	}
	return nil
}

// post sends a command with a form as its body.
func (c *client) post(ctx context.Context, path string, form url.Values) (io.ReadCloser, error) {
	return c.call(ctx, "POST", path, nil, formBody{strings.NewReader(form.Encode())})
}

// formBody marks a body as a form's.
type formBody struct{ io.Reader }
