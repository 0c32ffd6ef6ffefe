package cli

import (
	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/api/graphql"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) graphqlCommand() *cobra.Command {
	var check bool
	var version, out string
	cmd := &cobra.Command{
		Use: "graphql", Short: "Print the GraphQL schema",
		Long: "Prints the GraphQL schema in its own language, for editors and code generators: what a caller sees whom no\npolicy keeps from anything. With --out it is written to a file.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			view, err := viewOf(app.Model, version)
			if err != nil {
				return err
			}
			text := graphql.SDL(view)
			switch {
			case out == "" && !check:
				_, err := r.out.Write(text)
				return err
			case check:
				return r.checkSources("pando graphql --out "+out, source{out, out, text})
			}
			return r.writeSources(source{out, out, text})
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when the file of --out is out of date")
	cmd.Flags().StringVar(&version, "version", "", "the version of the API (default: the newest)")
	cmd.Flags().StringVar(&out, "out", "", "the file to write (default: standard output)")
	return cmd
}
