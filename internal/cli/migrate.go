package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

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
	var allow []string
	apply := &cobra.Command{
		Use: "apply", Short: "Run the plan", Args: cobra.NoArgs,
		Long: "Runs the plan. What can lose data is refused unless --allow names it, as `plan` does:\n\n  pando migrate apply --allow 'drop orders.lines.note'\n\nAn apply that was interrupted goes on where it stood when it is called again.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.migrateApply(cmd.Context(), c, allow) })
		},
	}
	apply.Flags().StringArrayVar(&allow, "allow", nil, "a loss that is wanted, as plan names it (repeatable)")
	cmd.AddCommand(
		&cobra.Command{
			Use: "plan", Short: "Show the SQL, its risks and how long writers will wait", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.migratePlan(cmd.Context(), c) })
			},
		},
		apply,
		&cobra.Command{
			Use: "status", Short: "Tell what is pending, what was done, and what was changed behind Pando's back", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.migrateStatus(cmd.Context(), c) })
			},
		},
	)
	return cmd
}

func (r *root) migratePlan(ctx context.Context, c *client) error {
	q := url.Values{}
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

func (r *root) migrateApply(ctx context.Context, c *client, allow []string) error {
	body, err := c.call(ctx, "POST", "/migrate/apply", url.Values{"allow": allow}, nil)
	if err != nil {
		return err
	}
	last, err := follow(body, func(ev *server.Event) {
		if m := ev.Migration; m != nil && !r.json {
			fmt.Fprintf(r.err, "part %d of %d: %s\n", m.Part, m.Of, strings.Join(m.Titles, "; "))
		}
	})
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(last.Plan)
	}
	if len(last.Plan.Steps) == 0 {
		fmt.Fprintln(r.out, "nothing to do: the store fits the modules")
		return nil
	}
	fmt.Fprintf(r.out, "done: %s\n", count(len(last.Plan.Steps), "step", "steps"))
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
	if len(st.Pending.Steps) == 0 {
		fmt.Fprintln(r.out, "the store fits the modules")
	} else {
		fmt.Fprintf(r.out, "%s pending; `pando migrate plan` shows them\n", count(len(st.Pending.Steps), "step", "steps"))
	}
	for _, d := range st.Drift {
		fmt.Fprintln(r.out, "changed outside Pando:", d)
	}
	return nil
}
