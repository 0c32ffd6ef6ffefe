package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) createUserCommand() *cobra.Command {
	var c server.UserCommand
	var stdin bool
	cmd := &cobra.Command{
		Use: "create EMAIL", Short: "Make a user whose address needs no confirmation", Args: cobra.ExactArgs(1),
		Long: "Makes a user whose address needs no confirmation. Without a password one is made and printed this once:\n\n  pando user create ada@shop.example --role staff\n  pando user create ada@shop.example --invite            mails a link to come in by\n  pass ada | pando user create ada@shop.example --password-stdin",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Email = args[0]
			if stdin {
				pw, err := readPassword(r.in)
				if err != nil {
					return err
				}
				c.Password = pw
			}
			return r.with(cmd.Context(), true, func(cl *client) error { return r.createUser(cmd.Context(), cl, &c) })
		},
	}
	cmd.Flags().StringSliceVar(&c.Roles, "role", nil, "a role of the application that the user has; several are possible")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.Flags().BoolVar(&c.Invite, "invite", false, "mail a link instead of setting a password")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "invite")
	return cmd
}

// maxPassword bounds what is read of a password, in bytes; what is longer is refused by
// the node.
const maxPassword = 8 << 10

// readPassword reads the first line.
func readPassword(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxPassword))
	if err != nil {
		return "", fault.Wrap(err, fault.BadRequest, "standard input cannot be read")
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fault.New(fault.BadRequest, "there is no password on standard input")
	}
	return line, nil
}

func (r *root) createUser(ctx context.Context, cl *client, c *server.UserCommand) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	out, err := cl.call(ctx, "POST", "/users", nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // it was only read
	var u server.UserLine
	if err := json.NewDecoder(out).Decode(&u); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(u)
	}
	switch {
	case c.Invite:
		fmt.Fprintf(r.out, "invited %s (%s)\n", u.Email, u.ID)
	case u.Password != "":
		fmt.Fprintf(r.out, "%s\n", u.Password)
		fmt.Fprintf(r.err, "made %s (%s) with the password above: it is not shown again\n", u.Email, u.ID)
	default:
		fmt.Fprintf(r.out, "made %s (%s)\n", u.Email, u.ID)
	}
	return nil
}

func (r *root) listUsersCommand() *cobra.Command {
	page := 1
	cmd := &cobra.Command{
		Use: "list", Short: "List users, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), true, func(c *client) error { return r.listUsers(cmd.Context(), c, page) })
		},
	}
	cmd.Flags().IntVar(&page, "page", 1, "the page, of 100 users each")
	return cmd
}

func (r *root) listUsers(ctx context.Context, c *client, page int) error {
	var list server.UserList
	if err := c.get(ctx, "GET", "/users", url.Values{"page": {strconv.Itoa(page)}}, &list); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(list)
	}
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tID\tROLES\tCREATED\tLAST SIGN-IN\tSTATE")
	for i := range list.Users {
		u := &list.Users[i]
		last := ""
		if u.LastSignInAt != nil {
			last = u.LastSignInAt.Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", u.Email, u.ID, strings.Join(u.Roles, ","), u.CreatedAt.Format(time.DateTime), last, userState(u, time.Now()))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if list.Last > 1 {
		fmt.Fprintf(r.err, "page %d of %d, %s in all\n", list.Page, list.Last, count(list.Total, "user", "users"))
	}
	return nil
}

// userState is what keeps a user from signing in, if anything does.
func userState(u *server.UserLine, now time.Time) string {
	switch {
	case u.BannedUntil != nil && now.Before(*u.BannedUntil):
		return "banned until " + u.BannedUntil.Format(time.DateTime)
	case u.IsAnonymous:
		return "anonymous"
	case u.EmailConfirmedAt == nil:
		return "not confirmed"
	}
	return ""
}

func (r *root) userRolesCommand() *cobra.Command {
	var roles []string
	var none bool
	cmd := &cobra.Command{
		Use: "roles EMAIL", Short: "Show or replace the roles of a user", Args: cobra.ExactArgs(1),
		Long: "Shows the roles of a user, or replaces them by those that are given. They count within five seconds on\nevery node.\n\n  pando user roles ada@shop.example --role staff --role auditor\n  pando user roles ada@shop.example --none",
		RunE: func(cmd *cobra.Command, args []string) error {
			method := "GET"
			if none || len(roles) > 0 {
				method = "PUT"
			}
			return r.aboutUser(cmd.Context(), method, "/users/roles", url.Values{"email": {args[0]}, "role": roles}, func(u *server.UserLine) string {
				if len(u.Roles) == 0 {
					return u.Email + " has no roles"
				}
				return strings.Join(u.Roles, "\n")
			})
		},
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a role of the application; several are possible")
	cmd.Flags().BoolVar(&none, "none", false, "take all roles away")
	cmd.MarkFlagsMutuallyExclusive("role", "none")
	return cmd
}

func (r *root) banUserCommand() *cobra.Command {
	duration := ""
	cmd := &cobra.Command{
		Use: "ban EMAIL", Short: "Refuse a user everywhere within five seconds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.aboutUser(cmd.Context(), "POST", "/users/ban", url.Values{"email": {args[0]}, "for": {duration}}, func(u *server.UserLine) string {
				return u.Email + " is " + userState(u, time.Now())
			})
		},
	}
	const century = "876000h"
	cmd.Flags().StringVar(&duration, "for", century, "how long, like 24h")
	return cmd
}

func (r *root) unbanUserCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unban EMAIL", Short: "Lift a ban", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.aboutUser(cmd.Context(), "POST", "/users/ban", url.Values{"email": {args[0]}, "for": {"none"}}, func(u *server.UserLine) string {
				return u.Email + " is not banned"
			})
		},
	}
}

func (r *root) deleteUserCommand() *cobra.Command {
	soft := false
	cmd := &cobra.Command{
		Use: "delete EMAIL", Short: "Delete a user", Args: cobra.ExactArgs(1),
		Long: "Deletes a user, with the rows of the application that refer to it and say on_delete: cascade. Others keep\nthe user from being deleted; --soft leaves the row for them, with nothing personal in it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.aboutUser(cmd.Context(), "DELETE", "/users", url.Values{"email": {args[0]}, "soft": {strconv.FormatBool(soft)}}, func(u *server.UserLine) string {
				return "deleted " + u.Email + " (" + u.ID + ")"
			})
		},
	}
	cmd.Flags().BoolVar(&soft, "soft", false, "leave the row, with nothing personal in it")
	return cmd
}

// aboutUser runs a command about one user and tells how the user is then.
func (r *root) aboutUser(ctx context.Context, method, path string, query url.Values, tell func(*server.UserLine) string) error {
	return r.with(ctx, true, func(c *client) error {
		var u server.UserLine
		if err := c.get(ctx, method, path, query, &u); err != nil {
			return err
		}
		if r.json {
			return r.printJSON(u)
		}
		fmt.Fprintln(r.out, tell(&u))
		return nil
	})
}
