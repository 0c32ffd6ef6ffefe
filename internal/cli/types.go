package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

// typesFile is where the types of an application's client are written.
const typesFile = "functions/pando.d.ts"

func (r *root) typesCommand() *cobra.Command {
	var check, supabase bool
	var version, out string
	cmd := &cobra.Command{
		Use: "types", Short: "Write the TypeScript types of the application, for editors and for supabase-js",
		Long: "Writes " + typesFile + ": the types of the module 'pando', with the entities, operations, events and\njobs of this application. Run it again when a module changes; commit the file or not, nothing needs it to run.\n\n" +
			"With --supabase it writes the type Database that supabase-js takes, createClient<Database>(url, key), to\nstandard output or to the file that --out names.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			file, path, command := typesFile, filepath.Join(r.dir, filepath.FromSlash(typesFile)), "pando types"
			if supabase {
				command += " --supabase"
			}
			if version != "" {
				command += " --version " + version
			}
			if out != "" {
				file, path, command = out, out, command+" --out "+out
			}
			var text []byte
			if supabase {
				view, err := viewOf(app.Model, version)
				if err != nil {
					return err
				}
				text = gen.Supabase(view)
			} else {
				text = gen.FunctionTypes(app.Model, functions.ClientTypes)
			}
			switch {
			case supabase && out == "" && check:
				return fault.New(fault.BadRequest, "there is no file to compare with").WithHint("name it with --out")
			case supabase && out == "":
				_, err := r.out.Write(text)
				return err
			case !supabase && version != "":
				return fault.New(fault.BadRequest, "functions have no versions: they see the model as it is").WithHint("--version goes with --supabase")
			}
			if check {
				return r.checkSources(command, source{file, path, text})
			}
			return r.writeSources(source{file, path, text})
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when the file is out of date")
	cmd.Flags().BoolVar(&supabase, "supabase", false, "write the type Database of supabase-js")
	cmd.Flags().StringVar(&version, "version", "", "the version of the API, with --supabase (default: the newest)")
	cmd.Flags().StringVar(&out, "out", "", "the file to write (default: "+typesFile+"; with --supabase standard output)")
	return cmd
}

// viewOf is a version of an application; empty: the newest.
func viewOf(app *model.App, version string) (*model.View, error) {
	if version == "" {
		return app.Latest(), nil
	}
	if v := app.View(version); v != nil {
		return v, nil
	}
	return nil, fault.New(fault.BadRequest, "the application has no version %s", version).
		WithHint("versions in pando.yaml: %s", strings.Join(app.Config.Versions, ", "))
}
