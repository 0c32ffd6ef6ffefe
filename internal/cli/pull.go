package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/pull"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) pullCommand() *cobra.Command {
	opt := server.PullOptions{}
	out := ""
	cmd := &cobra.Command{
		Use: "pull [URL]", Short: "Write the modules of a PostgreSQL database that is there", Args: cobra.MaximumNArgs(1),
		Long: "Reads the tables of a database and writes a module file for each schema, an entity for each\ntable, and a report of what the module language could not express. The database is only read;\nthe entities are marked managed: false, so that Pando never changes their tables. They carry\nno policy, so nobody but the secret key's holder reaches them until you write one.\n\nWithout a URL the application's own store is pulled. A file that is there is compared and\nleft as it is; --force writes it anew and keeps policies and names that you wrote in it.\n\n  pando pull postgres://app@db.example/shop -C shop --schema public --tables 'order*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opt.URL = args[0]
			}
			opt.Dir = r.dir
			if out != "" {
				opt.Dir = out
			}
			return r.pull(cmd.Context(), &opt)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&opt.Schemas, "schema", nil, "a schema (repeatable; all that are not the system's)")
	f.StringArrayVar(&opt.Tables, "tables", nil, "a pattern of tables, such as 'order*' or 'sales.*' (repeatable)")
	f.StringVar(&opt.Module, "module", "", "the module's name, of the schema public or of the only one")
	f.StringVar(&out, "out", "", "the application's folder, as -C")
	f.BoolVar(&opt.Force, "force", false, "write over module files that are there, keeping policies and names")
	f.BoolVar(&opt.DryRun, "dry-run", false, "write no file; show what they would hold")
	return cmd
}

func (r *root) pull(ctx context.Context, opt *server.PullOptions) error {
	abs, err := filepath.Abs(opt.Dir)
	if err != nil {
		return err
	}
	opt.App, opt.Env = appName(filepath.Base(abs)), r.env
	res, err := server.Pull(ctx, *opt)
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(res)
	}
	if opt.DryRun {
		for _, f := range res.Files {
			fmt.Fprintf(r.out, "# %s\n%s\n", f.Path, f.Data)
		}
	}
	r.pulled(res, opt)
	if opt.DryRun {
		return nil
	}
	return r.checkPulled(opt)
}

// pulled prints the report.
func (r *root) pulled(res *server.Pulled, opt *server.PullOptions) {
	waiting := false
	for _, f := range res.Files {
		switch {
		case opt.DryRun:
		case f.Exists && !opt.Force && len(f.Changes) == 0:
			fmt.Fprintf(r.out, "same     %s, %s\n", f.Path, count(f.Entities, "entity", "entities"))
		case f.Exists && !opt.Force:
			waiting = true
			fmt.Fprintf(r.out, "differs  %s, left as it is\n", f.Path)
		default:
			fmt.Fprintf(r.out, "wrote    %s, %s\n", f.Path, count(f.Entities, "entity", "entities"))
		}
		for _, c := range f.Changes {
			fmt.Fprintln(r.out, "  "+c)
		}
	}
	r.findings("left out", res.Left)
	r.findings("enforced or done by the database alone", res.Kept)
	r.findings("to know", res.Notes)
	if waiting {
		fmt.Fprintln(r.out, "\n`pando pull --force` writes the files that differ anew; your policies and names stay.")
	}
	if opt.DryRun {
		return
	}
	fmt.Fprintln(r.out, "\nThe entities have no policy yet: nobody but the secret key reaches them. Serving them puts\nPando's own tables (pando_*, and the schema auth) into this database.")
	if res.Variable != "" {
		fmt.Fprintf(r.out, "\nThe URL has a password, so pando.yaml does not hold it: set %s to the URL.\n", res.Variable)
	}
}

func (r *root) findings(title string, list []pull.Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(r.out, "\n%s:\n", title)
	for _, f := range list {
		fmt.Fprintf(r.out, "  %s: %s\n", f.What, f.Why)
		if f.Hint != "" {
			fmt.Fprintf(r.out, "    hint: %s\n", f.Hint)
		}
	}
}

// checkPulled checks the application with what was written.
func (r *root) checkPulled(opt *server.PullOptions) error {
	app, err := server.Load(opt.Dir, r.env)
	if err != nil {
		if _, invalid := errors.AsType[*server.InvalidError](err); invalid {
			fmt.Fprintln(r.out, "\n`pando check` finds problems:")
		}
		return err
	}
	return app.WriteLock()
}
