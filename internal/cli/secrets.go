package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/secrets"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "secrets", Short: "Keep the secrets that the application's files name",
		Long: "Files of an application name secrets as secret:NAME and never hold them. They are kept encrypted in the\ndata folder; a variable PANDO_SECRET_NAME goes before them. Values are never printed.",
	}
	var file string
	set := &cobra.Command{
		Use: "set NAME", Short: "Set a secret; the value comes from standard input", Args: cobra.ExactArgs(1),
		Example: "  printf %s \"$KEY\" | pando secrets set payments_key\n  pando secrets set tls_key --from-file key.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := r.secretValue(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			return r.onSecrets(cmd.Context(), func(k secretKeeper) error {
				if err := k.Set(args[0], value); err != nil {
					return err
				}
				return r.said(map[string]string{"set": args[0]}, "set "+args[0])
			})
		},
	}
	set.Flags().StringVar(&file, "from-file", "", "read the value from a file, as it is")
	cmd.AddCommand(set,
		&cobra.Command{
			Use: "list", Short: "List the names of the secrets", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return r.onSecrets(cmd.Context(), r.listSecrets) },
		},
		&cobra.Command{
			Use: "rm NAME", Short: "Remove a secret", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return r.onSecrets(cmd.Context(), func(k secretKeeper) error {
					if err := k.Remove(args[0]); err != nil {
						return err
					}
					return r.said(map[string]string{"removed": args[0]}, "removed "+args[0])
				})
			},
		},
	)
	return cmd
}

// said prints what was done.
func (r *root) said(asJSON any, line string) error {
	if r.json {
		return r.printJSON(asJSON)
	}
	fmt.Fprintln(r.out, line)
	return nil
}

// secretValue reads the value of a secret: a file as it is, a line that is typed
// unseen, or standard input without the line's end that commands add.
func (r *root) secretValue(in io.Reader, file string) (string, error) {
	if file != "" {
		data, err := os.ReadFile(file) //nolint:gosec // the operator names it
		if err != nil {
			return "", fault.New(fault.BadRequest, "%s cannot be read", file).WithDetails("%s", err)
		}
		return string(data), nil
	}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(r.err, "value: ")
		data, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(r.err)
		return string(data), err
	}
	data, err := io.ReadAll(io.LimitReader(in, 2*secrets.MaxValue))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// secretKeeper is who has the secrets: the running node, or the folder itself.
type secretKeeper interface {
	Set(name, value string) error
	Remove(name string) error
	List() []secrets.Entry
}

// onSecrets runs fn with the running node's secrets or, where none runs, with those
// of the folder: the store may not be there to open without one of them.
func (r *root) onSecrets(ctx context.Context, fn func(secretKeeper) error) error {
	for deadline := time.Now().Add(handover); ; {
		store, release, err := server.OpenSecrets(r.dir, r.env)
		if err == nil {
			return errors.Join(fn(store), release())
		}
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		if r.runs(ctx) {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return r.with(ctx, false, func(c *client) error {
		k := &nodeSecrets{ctx: ctx, c: c}
		if err := c.get(ctx, "GET", "/secrets", nil, &k.list); err != nil {
			return err
		}
		return fn(k)
	})
}

// runs reports whether a node answers commands.
func (r *root) runs(ctx context.Context) bool {
	data, err := server.DataFolder(r.dir, r.env)
	if err != nil {
		return false
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", server.SocketPath(data))
	return err == nil && conn.Close() == nil
}

// nodeSecrets are the secrets of a running node.
type nodeSecrets struct {
	ctx  context.Context //nolint:containedctx // of one command
	c    *client
	list []secrets.Entry
}

// Set implements secretKeeper.
func (n *nodeSecrets) Set(name, value string) error {
	body, err := json.Marshal(server.SecretValue{Value: value})
	if err != nil {
		return err
	}
	return n.do("PUT", name, strings.NewReader(string(body)))
}

// Remove implements secretKeeper.
func (n *nodeSecrets) Remove(name string) error { return n.do("DELETE", name, nil) }

// List implements secretKeeper.
func (n *nodeSecrets) List() []secrets.Entry { return n.list }

func (n *nodeSecrets) do(method, name string, body io.Reader) error {
	answer, err := n.c.call(n.ctx, method, "/secrets/"+url.PathEscape(name), nil, body)
	if err != nil {
		return err
	}
	return answer.Close()
}

func (r *root) listSecrets(k secretKeeper) error {
	list := k.List()
	if r.json {
		if list == nil {
			list = []secrets.Entry{}
		}
		return r.printJSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(r.out, "there are no secrets; set one with: pando secrets set NAME")
		return nil
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, e := range list {
		from := "set " + e.At.UTC().Format("2006-01-02 15:04:05")
		switch {
		case e.At.IsZero():
			from = "from the environment"
		case e.Environment:
			from += ", overridden by the environment"
		}
		fmt.Fprintf(w, "%s\t%s\n", e.Name, from)
	}
	return w.Flush()
}
