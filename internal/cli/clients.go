package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/server"
)

// keysClientCommand manages the identities of machines.
func (r *root) keysClientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "client", Short: "Manage the identities of machines", Args: cobra.NoArgs,
		Long: "A machine gets a token of 60 seconds for its id and secret (RFC 6749, client credentials):\n\n  curl URL/auth/v1/token?grant_type=client_credentials -d '{\"client_id\":\"...\",\"client_secret\":\"...\"}'\n\nIt may do what its roles may, and never bypasses a policy.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(r.createClientCommand(),
		&cobra.Command{
			Use: "list", Short: "List all machines, the revoked ones too", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), true, func(c *client) error { return r.listClients(cmd.Context(), c) })
			},
		},
		&cobra.Command{
			Use: "revoke ID", Short: "End a machine's access; its tokens are refused within 5 seconds", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), true, func(c *client) error { return r.revoke(cmd.Context(), c, "/clients/", args[0]) })
			},
		},
	)
	return cmd
}

func (r *root) createClientCommand() *cobra.Command {
	var roles, audiences []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a machine's identity; its secret is shown this once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), true, func(c *client) error {
				var made auth.NewClient
				if err := c.get(cmd.Context(), "POST", "/clients", url.Values{"name": args, "role": roles, "audience": audiences}, &made); err != nil {
					return err
				}
				if r.json {
					return r.printJSON(made)
				}
				fmt.Fprintf(r.out, "client_id      %s\nclient_secret  %s\n", made.ID, made.Secret)
				fmt.Fprintln(r.err, "the secret is not shown again")
				return nil
			})
		},
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a role of the application that it has, repeatable")
	cmd.Flags().StringSliceVar(&audiences, "audience", nil, "whom its tokens may also be for, repeatable")
	return cmd
}

func (r *root) listClients(ctx context.Context, c *client) error {
	var list server.ClientList
	if err := c.get(ctx, "GET", "/clients", nil, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list.Clients)
	}
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tROLES\tAUDIENCES\tCREATED\tREVOKED")
	for _, m := range list.Clients {
		revoked := ""
		if !m.RevokedAt.IsZero() {
			revoked = m.RevokedAt.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, plainText(m.Name), strings.Join(m.Roles, ","), plainText(strings.Join(m.Audiences, ",")),
			m.CreatedAt.Format(time.DateTime), revoked)
	}
	return w.Flush()
}
