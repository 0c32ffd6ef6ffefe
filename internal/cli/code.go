package cli

import (
	"bytes"
	"cmp"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/api/rpc"
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
	}, func(v *model.View, _ string) ([]gen.File, error) { return gen.TypeScriptClient(v), nil }))
	var module string
	inGo := r.clientCodeCommand(&cobra.Command{
		Use: "go", Short: "Write a client in Go",
		Long: "Writes packages into a folder: one for the messages of each module, as protoc-gen-go writes them, and one that\ncalls the services over Connect. They need connectrpc.com/connect and google.golang.org/protobuf, and no protoc.\nA folder that no Go module has becomes one. A name that a module no longer has does not compile.",
	}, func(v *model.View, out string) ([]gen.File, error) {
		client, err := goClient(out, cmp.Or(module, v.App.Config.App+"client"))
		if err != nil {
			return nil, err
		}
		return client.Write(v, rpc.Descriptors(v))
	})
	inGo.Flags().StringVar(&module, "module", "", "the path of the folder's Go module, where it is one of its own (default: the application's name with client)")
	cmd.AddCommand(inGo)
	return cmd
}

// goClient finds the Go module that a folder is in; else the folder is one.
func goClient(out, module string) (gen.GoClient, error) {
	dir, err := filepath.Abs(out)
	if err != nil {
		return gen.GoClient{}, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod")) //nolint:gosec // above the folder that the user names
		if err == nil && at == dir && bytes.Contains(text, []byte("pando client go")) {
			return gen.GoClient{Import: module, Module: true}, nil
		}
		if err == nil {
			name := regexp.MustCompile(`(?m)^module[ \t]+"?([^\s"]+)`).FindSubmatch(text)
			if name == nil {
				return gen.GoClient{}, fault.New(fault.BadRequest, "%s names no module", filepath.Join(at, "go.mod"))
			}
			rel, err := filepath.Rel(at, dir)
			return gen.GoClient{Import: path.Join(string(name[1]), filepath.ToSlash(rel))}, err
		}
		if at == filepath.Dir(at) {
			return gen.GoClient{Import: module, Module: true}, nil
		}
	}
}

// clientCodeCommand writes what is written of a version of the application.
func (r *root) clientCodeCommand(cmd *cobra.Command, write func(v *model.View, out string) ([]gen.File, error)) *cobra.Command {
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
		written, err := write(view, out)
		if err != nil {
			return err
		}
		var files []source
		for _, f := range written {
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
