package model

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// -update writes what Load says into the golden files; read the difference.
var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag

// golden is one file of testdata: the files of an application, "env" with one
// variable a line, "features" with the switched-on ones, and "problems" or, of
// a good one, "lock" and "inactive".
type golden struct {
	path    string
	archive *txtar.Archive
	files   fstest.MapFS
	env     []string
	feature Features
	want    map[string]string
}

func goldens(t testing.TB, dir string) []golden {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files in %s: %v", dir, err)
	}
	var out []golden
	for _, p := range paths {
		a, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{path: p, archive: a, files: fstest.MapFS{}, want: map[string]string{}}
		for _, f := range a.Files {
			switch f.Name {
			case "env":
				g.env = strings.Fields(string(f.Data))
			case "features":
				g.feature = features(string(f.Data))
			case "problems", "lock", "inactive":
				g.want[f.Name] = string(f.Data)
			default:
				g.files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
		out = append(out, g)
	}
	return out
}

func features(words string) Features {
	f := Features{Active: map[string]bool{}}
	for w := range strings.FieldsSeq(words) {
		switch w {
		case "encrypted":
			f.Encrypted = true
		case "retain":
			f.Retain = true
		case "fieldpolicies":
			f.FieldPolicies = true
		default:
			f.Active[w] = true
		}
	}
	return f
}

func (g golden) check(t *testing.T, got map[string]string) {
	t.Helper()
	if *update {
		kept := g.archive.Files[:0]
		for _, f := range g.archive.Files {
			if _, out := got[f.Name]; !out && f.Name != "problems" && f.Name != "lock" && f.Name != "inactive" {
				kept = append(kept, f)
			}
		}
		for _, name := range []string{"problems", "lock", "inactive"} {
			if text, ok := got[name]; ok {
				kept = append(kept, txtar.File{Name: name, Data: []byte(text)})
			}
		}
		g.archive.Files = kept
		if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(g.want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", g.path, diff)
	}
}

func lines(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "\n") + "\n"
}

func problemText(problems []Problem) string {
	out := make([]string, len(problems))
	for i, p := range problems {
		out[i] = p.String()
	}
	return lines(out)
}

func TestGolden(t *testing.T) {
	for _, dir := range []string{"good", "bad"} {
		for _, g := range goldens(t, dir) {
			t.Run(dir+"/"+strings.TrimSuffix(filepath.Base(g.path), ".txtar"), func(t *testing.T) {
				app, problems := Load(g.files, g.env, g.feature)
				if (app == nil) != (len(problems) > 0) {
					t.Fatalf("an application and problems exclude each other: %v, %v", app, problems)
				}
				if (dir == "bad") != (app == nil) {
					t.Errorf("problems:\n%s", problemText(problems))
				}
				got := map[string]string{}
				if app == nil {
					got["problems"] = problemText(problems)
				} else {
					lock, _ := app.UpdatedLock()
					got["lock"] = string(lock)
					got["inactive"] = lines(app.Inactive)
				}
				g.check(t, got)
			})
		}
	}
}

// load loads the files, which must be right.
func load(t testing.TB, files map[string]string) *App {
	t.Helper()
	app, problems := Load(mapFS(files), nil, Features{})
	if len(problems) > 0 {
		t.Fatalf("problems:\n%s", problemText(problems))
	}
	return app
}

func mapFS(files map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if _, ok := out[ConfigFile]; !ok {
		out[ConfigFile] = &fstest.MapFile{}
	}
	return out
}
