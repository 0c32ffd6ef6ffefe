package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) genCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "gen", Short: "Write source code from the application's model", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(r.genGoCommand())
	return cmd
}

func (r *root) genGoCommand() *cobra.Command {
	var opt gen.Options
	var out string
	cmd := &cobra.Command{
		Use: "go", Short: "Write the types of the model in Go", Args: cobra.NoArgs,
		Long: "Writes one Go file for code that uses github.com/pandobase/pando/sdk: a struct for each\nentity, with what can be inserted and changed, the inputs and outputs of operations, jobs and events,\nand their names. The same model gives the same file.",
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			src, err := gen.Go(app.Model, opt)
			if err != nil {
				return err
			}
			if out == "" {
				_, err := r.out.Write(src)
				return err
			}
			if _, err := (source{out, out, src}).write(); err != nil {
				return err
			}
			fmt.Fprintln(r.err, "wrote "+out)
			return nil
		},
	}
	cmd.Flags().StringVar(&opt.Package, "package", "", "the name of the package (default: the application's)")
	cmd.Flags().StringVar(&out, "out", "", "the file to write (default: standard output)")
	return cmd
}
