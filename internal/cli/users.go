package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/auth"
)

func (r *root) usersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Aliases: []string{"users"}, Short: "Make, list and change users, and bring them along from another system", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var format string
	var dry bool
	imp := &cobra.Command{
		Use: "import FILE", Short: "Import users with their ids, metadata and password hashes (- for standard input)", Args: cobra.ExactArgs(1),
		Long: "Imports users with their ids, metadata and password hashes, so that they sign in as before:\n\n  pando user import users.csv --from supabase     the table auth.users as CSV, with its header\n  pando user import users.json --from pocketbase  the rows of a collection of users, as JSON or CSV\n\nA user whose id or address is taken is skipped and reported with its line, so that an import which\nwas broken off can be run again. --dry-run checks the file and stores nothing.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), true, func(c *client) error { return r.importUsers(cmd.Context(), c, args[0], format, dry) })
		},
	}
	imp.Flags().StringVar(&format, "from", "", "where the users come from: supabase or pocketbase")
	imp.Flags().BoolVar(&dry, "dry-run", false, "check the file, store nothing")
	cmd.AddCommand(imp, r.createUserCommand(), r.listUsersCommand(), r.userRolesCommand(), r.banUserCommand(), r.unbanUserCommand(), r.deleteUserCommand())
	return cmd
}

func (r *root) importUsers(ctx context.Context, c *client, path, format string, dry bool) error {
	in, _, err := r.open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	body, err := c.call(ctx, "POST", "/users/import", url.Values{"format": {format}, "dry_run": {strconv.FormatBool(dry)}}, in)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	var rep auth.ImportReport
	if err := json.NewDecoder(body).Decode(&rep); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(rep)
	}
	for _, p := range rep.Problems {
		fmt.Fprintf(r.err, "line %d: %s\n", p.Line, p.Reason)
	}
	if more := rep.Skipped - len(rep.Problems); more > 0 {
		fmt.Fprintf(r.err, "and %s more\n", count(more, "user", "users"))
	}
	if len(rep.Ignored) > 0 {
		fmt.Fprintf(r.err, "columns that mean nothing here: %s\n", plainText(strings.Join(rep.Ignored, ", ")))
	}
	verb := "imported"
	if rep.DryRun {
		verb = "could be imported"
	}
	fmt.Fprintf(r.out, "%s %s, %d skipped\n", count(rep.Imported, "user", "users"), verb, rep.Skipped)
	return nil
}
