package cli

import (
	"bytes"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

// clientCommand writes clients of the application.
func (r *root) clientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "client", Short: "Write a typed client of the application", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(r.clientCodeCommand(&cobra.Command{
		Use: "ts", Short: "Write a client in TypeScript",
		Long: "Writes a package of one TypeScript file into a folder: entities are properties of the client and operations\nits methods, typed as the modules say. It stands on postgrest-js, the REST client of supabase-js. A name that a\nmodule no longer has does not compile.",
	}, gen.TypeScriptClient))
	return cmd
}

// clientCodeCommand writes what is written of a version of the application.
func (r *root) clientCodeCommand(cmd *cobra.Command, write func(*model.View) []gen.File) *cobra.Command {
	var version, out string
	var check bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(*cobra.Command, []string) error {
		app, err := server.Load(r.dir, r.env)
		if err != nil {
			return err
		}
		view, err := viewOf(app.Model, version)
		if err != nil {
			return err
		}
		var files []source
		for _, f := range write(view) {
			path := filepath.Join(out, filepath.FromSlash(f.Name))
			files = append(files, source{filepath.ToSlash(path), path, f.Text})
		}
		if check {
			command := "pando client " + cmd.Name() + " --out " + out
			if version != "" {
				command += " --version " + version
			}
			return r.checkSources(command, files...)
		}
		for _, f := range files {
			there, err := f.there()
			if err != nil {
				return err
			}
			if there != nil && !bytes.Contains(there, []byte("pando client "+cmd.Name())) {
				return fault.New(fault.Conflict, "%s is there, and was not written by this command", f.name).WithHint("choose a folder of the client's own with --out")
			}
		}
		return r.writeSources(files...)
	}
	cmd.Flags().StringVar(&version, "version", "", "the version of the API (default: the newest)")
	cmd.Flags().StringVar(&out, "out", "", "the folder to write into")
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when the client is out of date")
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}
