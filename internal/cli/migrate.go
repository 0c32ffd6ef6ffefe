package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the store's schema to what the modules say",
		Long: "The modules are the truth. `plan` shows the SQL between the store and them, what it risks and\nhow long writers will wait; `apply` runs it; `status` tells where the store stands.\n`dev` and `serve` apply what only adds on their own.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f migrateFlags
	apply := &cobra.Command{
		Use: "apply", Short: "Run the plan", Args: cobra.NoArgs,
		Long: "Runs the plan. What can lose data is refused unless --allow names it, as `plan` does:\n\n  pando migrate apply --allow 'drop orders.lines.note'\n\nAn apply that was interrupted goes on where it stood when it is called again.\n\nWith --expand-only, what the release before still uses is left in place: run that release and this one\nside by side, then run apply without it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.migrateApply(cmd.Context(), c, &f) })
		},
	}
	apply.Flags().StringArrayVar(&f.allow, "allow", nil, "a loss that is wanted, as plan names it (repeatable)")
	apply.Flags().BoolVar(&f.allowLock, "allow-lock", false, "let readers and writers wait while a large table is rewritten")
	plan := &cobra.Command{
		Use: "plan", Short: "Show the SQL, its risks and how long writers will wait", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.migratePlan(cmd.Context(), c, &f) })
		},
	}
	for _, c := range []*cobra.Command{plan, apply} {
		c.Flags().BoolVar(&f.expandOnly, "expand-only", false, "hold back what the release before this one still uses")
	}
	cmd.AddCommand(plan, apply,
		&cobra.Command{
			Use: "status", Short: "Tell what is pending, what was done, and what was changed behind Pando's back", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.migrateStatus(cmd.Context(), c) })
			},
		},
	)
	return cmd
}

// migrateFlags are what plan and apply are told.
type migrateFlags struct {
	allow                 []string
	allowLock, expandOnly bool
}

func (f *migrateFlags) query() url.Values {
	return url.Values{
		"allow": f.allow, "allow_lock": {strconv.FormatBool(f.allowLock)}, "expand_only": {strconv.FormatBool(f.expandOnly)},
	}
}

func (r *root) migratePlan(ctx context.Context, c *client, f *migrateFlags) error {
	q := f.query()
	if !r.json {
		q.Set("format", "text")
	}
	body, err := c.call(ctx, "GET", "/migrate/plan", q, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(r.out, body)
	return err
}

func (r *root) migrateApply(ctx context.Context, c *client, f *migrateFlags) error {
	body, err := c.call(ctx, "POST", "/migrate/apply", f.query(), nil)
	if err != nil {
		return err
	}
	show := stages{root: r}
	last, err := follow(body, func(ev *server.Event) {
		if m := ev.Migration; m != nil && !r.json {
			show.tell(m)
		}
	})
	show.end()
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(last.Plan)
	}
	switch n := len(last.Plan.Steps); {
	case n > 0:
		fmt.Fprintf(r.out, "done: %s\n", count(n, "step", "steps"))
	case len(last.Plan.Held) == 0:
		fmt.Fprintln(r.out, "nothing to do: the store fits the modules")
	}
	if n := len(last.Plan.Held); n > 0 {
		fmt.Fprintf(r.out, "held back until `pando migrate apply` without --expand-only: %s\n", count(n, "step", "steps"))
	}
	return nil
}

func (r *root) migrateStatus(ctx context.Context, c *client) error {
	var st migrate.Status
	if err := c.get(ctx, "GET", "/migrate/status", nil, &st); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(st)
	}
	for _, m := range st.History {
		fmt.Fprintf(r.out, "%4d  %s  %-8s %s\n", m.ID, m.At.Format("2006-01-02 15:04:05Z07:00"), m.State, count(len(m.Steps), "step", "steps"))
	}
	pending := 0
	for _, s := range st.Pending.Steps {
		if s.Contract && st.HeldBack {
			fmt.Fprintln(r.out, "held back until `pando migrate apply`:", s.Title)
		} else {
			pending++
		}
	}
	switch {
	case st.Superseded:
		fmt.Fprintln(r.out, "the store has the schema of a newer release, which the modules work with")
	case len(st.Pending.Steps) == 0:
		fmt.Fprintln(r.out, "the store fits the modules")
	case pending > 0:
		fmt.Fprintf(r.out, "%s pending; `pando migrate plan` shows them\n", count(pending, "step", "steps"))
	}
	for _, d := range st.Drift {
		fmt.Fprintln(r.out, "changed outside Pando:", d)
	}
	return nil
}
