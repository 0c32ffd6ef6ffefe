package cli

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys [publishable|secret]", Short: "Show and manage the API keys",
		Long:      "Prints the first pair of API keys, or one of them alone:\n\n  curl -H \"apikey: $(pando keys secret)\" http://127.0.0.1:7263/rest/v1/\n\nThe secret key bypasses every policy: keep it on servers. Further keys are shown once, when\nthey are made, and stored hashed; a secret key with roles is a machine that the policies bind.",
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
		r.createKeyCommand(), r.rotateKeyCommand(), r.keysClientCommand(),
		&cobra.Command{
			Use: "revoke ID", Short: "Make a key invalid at once", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.with(cmd.Context(), false, func(c *client) error { return r.revoke(cmd.Context(), c, "/keys/", args[0]) })
			},
		},
	)
	return cmd
}

// revoke ends what the id names below a path of the node.
func (r *root) revoke(ctx context.Context, c *client, path, id string) error {
	var none struct{}
	if err := c.get(ctx, "DELETE", path+url.PathEscape(id), nil, &none); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(map[string]string{"revoked": id})
	}
	fmt.Fprintln(r.out, "revoked", id)
	return nil
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
	fmt.Fprintln(w, "ID\tKIND\tNAME\tCREATED\tEXPIRES\tROLES\tMODULES")
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, name, created, expires, strings.Join(k.Roles, ","), strings.Join(k.Modules, ","))
	}
	return w.Flush()
}

func (r *root) createKeyCommand() *cobra.Command {
	var kind, name, expires string
	var secret bool
	var roles, modules []string
	cmd := &cobra.Command{
		Use: "create --name NAME", Short: "Make a further key; it is shown this once", Args: cobra.NoArgs,
		Long: "Makes a further key. A secret key without roles bypasses every policy, like the first one. With\nroles, its holder is a machine that has these roles and that the policies bind.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"kind": {kind}, "name": {name}, "role": roles, "module": modules}
			if expires != "" {
				q.Set("expires", expires)
			}
			return r.newKey(cmd.Context(), "/keys", q)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "secret", "secret or publishable")
	cmd.Flags().BoolVar(&secret, "secret", false, "the same as --kind secret")
	cmd.Flags().StringVar(&name, "name", "", "what the key is for")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a role of the application that the holder has; several are possible")
	cmd.Flags().StringSliceVar(&modules, "module", nil, "a module that the key opens; several are possible (default all)")
	cmd.Flags().StringVar(&expires, "expires", "", "how long the key is accepted, like 90d (default until it is revoked)")
	cmd.MarkFlagsMutuallyExclusive("kind", "secret")
	return cmd
}

// signing names the key of access tokens where others have an id.
const signing = "signing"

func (r *root) rotateKeyCommand() *cobra.Command {
	var grace time.Duration
	var revoke bool
	cmd := &cobra.Command{
		Use: "rotate ID|signing", Short: "Replace a key; the old one is accepted for a while", Args: cobra.ExactArgs(1),
		Long: "Replaces an API key, which is accepted for the grace time, or the key that access tokens are signed\n" +
			"with: the key that was published as the next one signs from now on, and the tokens of the old one are\n" +
			"accepted until they are over, which is an hour at most. No request fails.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == signing {
				if cmd.Flags().Changed("grace") {
					return fault.New(fault.BadRequest, "the signing key has no grace time").
						WithHint("tokens of the old key are accepted until they are over; --revoke ends them now")
				}
				return r.rotateSigning(cmd.Context(), revoke)
			}
			if revoke {
				return fault.New(fault.BadRequest, "--revoke is for the signing key").WithHint("--grace 0s ends an API key now")
			}
			return r.newKey(cmd.Context(), "/keys/"+url.PathEscape(args[0])+"/rotate", url.Values{"grace": {grace.String()}})
		},
	}
	cmd.Flags().DurationVar(&grace, "grace", time.Hour, "how long the old API key is still accepted")
	cmd.Flags().BoolVar(&revoke, "revoke", false, "with signing: refuse all access tokens from now on, because the key was stolen; sessions renew theirs")
	return cmd
}

func (r *root) rotateSigning(ctx context.Context, revoke bool) error {
	return r.with(ctx, true, func(c *client) error {
		var k server.SigningKey
		if err := c.get(ctx, "POST", "/keys/rotate-signing", url.Values{"revoke": {strconv.FormatBool(revoke)}}, &k); err != nil {
			return err
		}
		if r.json {
			return r.printJSON(k)
		}
		fmt.Fprintf(r.out, "access tokens are signed by %s\n", k.Active)
		return nil
	})
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
