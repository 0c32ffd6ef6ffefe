package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

// protoDir is where the .proto files are written, below the current folder.
const protoDir = "proto"

func (r *root) protoCommand() *cobra.Command {
	var check bool
	var version, out string
	cmd := &cobra.Command{
		Use: "proto", Short: "Write the .proto files of the gRPC door",
		Long: "Writes the .proto files of the application's services into a folder, with the comments of its modules:\nwhat buf and protoc make clients from. The numbers are those of pando.lock, which never move. Files of\nmodules that are gone stay.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			app, err := server.Load(r.dir, r.env)
			if err != nil {
				return err
			}
			names := app.Model.Config.Versions
			if version != "" {
				names = []string{version}
			}
			written, seen := []string{}, map[string]bool{} // versions share the filters
			for _, name := range names {
				view, err := viewOf(app.Model, name)
				if err != nil {
					return err
				}
				files, err := rpc.Files(view)
				if err != nil {
					return err
				}
				for _, f := range files {
					if seen[f.Path] {
						continue
					}
					seen[f.Path] = true
					path := filepath.Join(out, filepath.FromSlash(f.Path))
					there, err := os.ReadFile(path) //nolint:gosec // named by the application's developer
					if err != nil && !errors.Is(err, fs.ErrNotExist) {
						return err
					}
					if err == nil && bytes.Equal(there, []byte(f.Text)) {
						continue
					}
					if check {
						return fault.New(fault.Conflict, "%s is not what the modules say", path).WithHint("run `pando proto`")
					}
					if err := writeSource(path, []byte(f.Text)); err != nil {
						return err
					}
					written = append(written, f.Path)
				}
			}
			return r.said(map[string]any{"folder": out, "files": len(seen), "written": written},
				fmt.Sprintf("%s: %s, %d written", out, count(len(seen), "file", "files"), len(written)))
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when a file is out of date")
	cmd.Flags().StringVar(&version, "version", "", "the version of the API (default: all)")
	cmd.Flags().StringVar(&out, "out", protoDir, "the folder")
	return cmd
}
