package cli

import (
	"context"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/server"
)

func (r *root) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys [publishable|secret]", Short: "Show and manage the API keys",
		Long:      "Prints the first pair of API keys, or one of them alone:\n\n  curl -H \"apikey: $(pando keys secret)\" http://127.0.0.1:7263/rest/v1/\n\nThe secret key bypasses every policy: keep it on servers. Further keys are shown once, when\nthey are made, and stored hashed.",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"publishable", "secret"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.showKeys(cmd.Context(), c, args) })
		},
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List all keys, without their texts", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.listKeys(cmd.Context(), c) })
			},
		},
		r.createKeyCommand(), r.rotateKeyCommand(),
		&cobra.Command{
			Use: "revoke ID", Short: "Make a key invalid at once", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error {
					var none struct{}
					if err := c.get(cmd.Context(), "DELETE", "/keys/"+url.PathEscape(args[0]), nil, &none); err != nil {
						return err
					}
					if r.json {
						return r.printJSON(map[string]string{"revoked": args[0]})
					}
					fmt.Fprintln(r.out, "revoked", args[0])
					return nil
				})
			},
		},
	)
	return cmd
}

func (r *root) showKeys(ctx context.Context, c *client, args []string) error {
	var list server.KeyList
	if err := c.get(ctx, "GET", "/keys", nil, &list); err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "secret":
		fmt.Fprintln(r.out, list.Secret)
	case len(args) == 1:
		fmt.Fprintln(r.out, list.Publishable)
	case r.json:
		return r.printJSON(map[string]string{"publishable": list.Publishable, "secret": list.Secret})
	default:
		fmt.Fprintf(r.out, "publishable  %s\nsecret       %s\n", list.Publishable, list.Secret)
	}
	return nil
}

func (r *root) listKeys(ctx context.Context, c *client) error {
	var list server.KeyList
	if err := c.get(ctx, "GET", "/keys", nil, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list.Keys)
	}
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tNAME\tCREATED\tEXPIRES")
	for _, k := range list.Keys {
		name, created, expires := k.Name, "", ""
		if k.Env {
			name = "(from the environment)"
		}
		if !k.Created.IsZero() {
			created = k.Created.Format(time.DateTime)
		}
		if !k.Expires.IsZero() {
			expires = k.Expires.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, name, created, expires)
	}
	return w.Flush()
}

func (r *root) createKeyCommand() *cobra.Command {
	var kind, name string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a further key; it is shown this once", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.newKey(cmd.Context(), "/keys", url.Values{"kind": {kind}, "name": {name}})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "secret", "secret or publishable")
	cmd.Flags().StringVar(&name, "name", "", "what the key is for")
	return cmd
}

func (r *root) rotateKeyCommand() *cobra.Command {
	var grace time.Duration
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Replace a key; the old one is accepted for the grace time", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.newKey(cmd.Context(), "/keys/"+url.PathEscape(args[0])+"/rotate", url.Values{"grace": {grace.String()}})
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", time.Hour, "how long the old key is still accepted")
	return cmd
}

func (r *root) newKey(ctx context.Context, path string, q url.Values) error {
	return r.with(ctx, false, func(c *client) error {
		var k server.NewKey
		if err := c.get(ctx, "POST", path, q, &k); err != nil {
			return err
		}
		if r.json {
			return r.printJSON(k)
		}
		fmt.Fprintf(r.out, "%s\n", k.Text)
		fmt.Fprintf(r.err, "%s key %s: it is not shown again\n", k.Kind, k.ID)
		return nil
	})
}
