package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/server"
)

// typesFile is where the types of an application's client are written.
const typesFile = "functions/pando.d.ts"

func (r *root) typesCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "types", Short: "Write the TypeScript types of the application, for editors",
		Long: "Writes " + typesFile + ": the types of the module 'pando', with the entities, operations, events and\njobs of this application. Run it again when a module changes; commit the file or not, nothing needs it to run.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			text, path := gen.FunctionTypes(app.Model, functions.ClientTypes), filepath.Join(r.dir, filepath.FromSlash(typesFile))
			there, err := os.ReadFile(path) //nolint:gosec // in the application's folder
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			same := err == nil && bytes.Equal(there, text)
			if check {
				if !same {
					return fault.New(fault.Conflict, "%s is not what the modules say", typesFile).WithHint("run `pando types`")
				}
				return r.said(map[string]any{"file": typesFile, "changed": false}, typesFile+" is up to date")
			}
			if !same {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // an application's sources are no secret
					return err
				}
				if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // the same
					return err
				}
			}
			return r.said(map[string]any{"file": typesFile, "changed": !same}, fmt.Sprintf("%s: %s", typesFile, map[bool]string{true: "up to date", false: "written"}[same]))
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when the file is out of date")
	return cmd
}
