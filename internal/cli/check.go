package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) checkCommand() *cobra.Command {
	var lock bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the application without starting it",
		Long: "Reads pando.yaml, modules/*.yaml, the policy tests and pando.lock, checks them and every\nexpression in them, and lists all problems with their places. Exits 1 when there are any. Warnings\nare not wrong, and worth a look.\n\nA pando.lock that lacks a name or a number is a problem: `pando dev` completes it, and so does --lock.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return r.check(lock) },
	}
	cmd.Flags().BoolVar(&lock, "lock", false, "complete pando.lock")
	return cmd
}

func (r *root) check(lock bool) error {
	app, err := server.Load(r.dir, r.env)
	var invalid *server.InvalidError
	if err == nil {
		_, err = app.CheckTests()
	}
	if err == nil {
		err = app.CheckCode()
	}
	if err == nil && lock {
		err = app.WriteLock()
	} else if err == nil {
		err = app.CheckLock()
	}
	if err == nil && r.opt.Check != nil {
		if problems := r.opt.Check(app.Model); len(problems) > 0 {
			err = &server.InvalidError{Problems: problems}
		}
	}
	if err != nil && !errors.As(err, &invalid) {
		return err
	}
	if invalid == nil {
		if err := app.Supported(); err != nil {
			return err
		}
	}
	if r.json {
		out := map[string]any{"ok": invalid == nil, "problems": findings(invalid)}
		if invalid == nil {
			out["warnings"] = found(app.Warnings())
			out["modules"] = dependencies(app.Model.Graph())
		}
		if err := r.printJSON(out); err != nil {
			return err
		}
		if invalid != nil {
			return silentError{invalid}
		}
		return nil
	}
	if invalid != nil {
		return invalid
	}
	modules, entities := 0, 0
	for _, m := range app.Model.Modules {
		if !m.Builtin {
			modules++
			entities += len(m.Entities)
		}
	}
	fmt.Fprintf(r.out, "ok: %s, %s, %s\n", app.Model.Config.App, count(modules, "module", "modules"), count(entities, "entity", "entities"))
	r.printGraph(app.Model.Graph())
	for _, w := range app.Warnings() {
		fmt.Fprintln(r.out, "warning:", w)
	}
	for _, part := range app.Model.Inactive {
		fmt.Fprintln(r.out, "not active in this build:", part)
	}
	return nil
}

// printGraph draws how the modules depend on each other.
func (r *root) printGraph(edges []model.Edge) {
	var from, to *model.Module
	for _, e := range edges {
		if e.From != from || e.To != to {
			from, to = e.From, e.To
			fmt.Fprintf(r.out, "%s -> %s\n", from.Name, to.Name)
		}
		fmt.Fprintf(r.out, "  %s %s %s\n", e.Of, e.How, e.On)
	}
}

// dependency is an edge of the modules' graph as JSON.
type dependency struct {
	From string `json:"from"`
	To   string `json:"to"`
	How  string `json:"how"`
	Of   string `json:"of"`
	On   string `json:"on"`
}

func dependencies(edges []model.Edge) []dependency {
	out := make([]dependency, len(edges))
	for i, e := range edges {
		out[i] = dependency{e.From.Name, e.To.Name, e.How, e.Of, e.On}
	}
	return out
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func (r *root) schemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema [module|config|tests]", Short: "Print the JSON Schema of the module files, of pando.yaml or of policy tests",
		Long:      "Prints the JSON Schema of modules/*.yaml (the default), of pando.yaml or of modules/*.test.yaml, for\ncompletion and checks in editors. In VS Code's YAML extension, for instance:\n\n  pando schema module > .module.schema.json\n  # yaml-language-server: $schema=../.module.schema.json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"module", "config", "tests"},
		RunE: func(_ *cobra.Command, args []string) error {
			config, module := model.Schema()
			out := module
			switch {
			case len(args) == 1 && args[0] == "config":
				out = config
			case len(args) == 1 && args[0] == "tests":
				out = model.TestSchema()
			}
			_, err := fmt.Fprintf(r.out, "%s\n", out)
			return err
		},
	}
	return cmd
}

func (r *root) openapiCommand() *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use: "openapi", Short: "Print the OpenAPI 3.1 description of the API", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			view, err := viewOf(app.Model, version)
			if err != nil {
				return err
			}
			doc, err := openapi.Document(app.Model, openapi.Options{View: view})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(r.out, "%s\n", doc)
			return err
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "the version of the API; default: the newest")
	return cmd
}
