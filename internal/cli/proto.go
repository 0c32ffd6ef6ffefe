package cli

import (
	"bytes"
	"fmt"
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
					file := source{path, path, []byte(f.Text)}
					if check {
						there, err := file.there()
						if err != nil {
							return err
						}
						if !bytes.Equal(there, file.text) {
							return fault.New(fault.Conflict, "%s is not what the modules say", path).WithHint("run `pando proto`")
						}
						continue
					}
					changed, err := file.write()
					if err != nil {
						return err
					}
					if changed {
						written = append(written, f.Path)
					}
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
