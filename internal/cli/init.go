package cli

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

//go:embed all:scaffold
var scaffold embed.FS

func (r *root) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init DIR", Short: "Make a new application", Args: cobra.ExactArgs(1),
		Long: "Makes a folder with one module, one entity with its policies and a seed file, and prints a\nrequest that works.",
		RunE: func(_ *cobra.Command, args []string) error { return r.init(args[0]) },
	}
}

func (r *root) init(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.New(fault.Conflict, "%s is not empty", dir).WithHint("name a folder that is not there yet")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := appName(filepath.Base(abs))
	files := map[string]string{
		"pando.yaml": "pando.yaml", "modules/notes.yaml": "notes.yaml", "seeds/notes.notes.csv": "notes.csv", ".gitignore": "gitignore",
	}
	for to, from := range files {
		data, err := scaffold.ReadFile("scaffold/" + from)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // sources are no secret
			return notMade(dir, err)
		}
		text := strings.ReplaceAll(string(data), "APPNAME", name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // the same
			return notMade(dir, err)
		}
	}
	app, err := server.Load(dir, nil)
	if err != nil {
		return err
	}
	if err := app.WriteLock(); err != nil {
		return err
	}
	enter := ""
	if filepath.Clean(dir) != "." {
		enter = "  cd " + dir + "\n"
	}
	fmt.Fprintf(r.out, `made %s: pando.yaml, modules/notes.yaml, seeds/notes.notes.csv

next:

%s  pando dev

then, in another terminal in the same folder:

  curl -H "apikey: $(pando keys secret)" 'http://127.0.0.1:7263/rest/v1/notes?select=title,done&order=created_at'
`, dir, enter)
	return nil
}

func notMade(dir string, err error) error {
	return fault.Wrap(err, fault.BadRequest, "%s cannot be made", dir).WithDetails("%s", err)
}

var notName = regexp.MustCompile(`[^a-z0-9_]+`)

// appName makes a name of a folder's.
func appName(base string) string {
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(base), "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "app"
	}
	return name
}
