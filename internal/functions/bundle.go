package functions

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// bundle is one entry as one script.
type bundle struct {
	entry   string
	code    []byte
	sources *sources
	mapping *sourceMap

	making chan struct{} // held by whoever makes the snapshot

	mu      sync.Mutex
	snap    *snapshot
	retired bool
}

// file is the bundle's name in stacks.
func (b *bundle) file() string { return bundlePrefix + b.entry }

// original returns a text with the places of stacks as the author knows them.
func (b *bundle) original(stack string) string { return b.mapping.rewrite(stack, b.file()) }

const (
	bundlePrefix = "bundle:"
	preludeFile  = "pando:prelude"
	root         = "functions/" // what may be imported lies below it
	fromApp      = "app"        // esbuild's namespace of files of the application
	fromPando    = "pando"      // and of the built-in client
)

// clientModule is what `import { pando } from 'pando'` imports.
const clientModule = `const c = globalThis[Symbol.for("pando.client")];
export const pando = c.pando, PandoError = c.PandoError, HTTPError = c.HTTPError;
export default pando;
`

// bundle builds an entry, or takes it from the cache when none of its files has
// changed since.
func (rt *Runtime) bundle(fsys fs.FS, name string) (*bundle, []Problem) {
	if !strings.HasPrefix(name, root) || !fs.ValidPath(name) {
		return nil, []Problem{{File: name, Message: "a function lies below " + root}}
	}
	if b := rt.cached(fsys, name); b != nil {
		return b, nil
	}
	s := newSources()
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{name}, Bundle: true, Write: false, Outdir: "/", AbsWorkingDir: absolute(rt.cfg.Folder),
		Format: api.FormatESModule, Platform: api.PlatformBrowser, Target: api.ES2023, Charset: api.CharsetUTF8,
		Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude, LegalComments: api.LegalCommentsNone,
		Conditions: []string{"worker", "browser"}, MainFields: []string{"browser", "module", "main"},
		Define:   map[string]string{"process.env.NODE_ENV": `"production"`, "global": "globalThis"},
		LogLevel: api.LogLevelSilent, TreeShaking: api.TreeShakingTrue,
		Plugins: []api.Plugin{resolver(fsys, rt.cfg.Folder, s)},
	})
	if len(result.Errors) > 0 {
		return nil, problemsOf(name, result.Errors)
	}
	b := &bundle{entry: name, sources: s, making: make(chan struct{}, 1)}
	var mapping []byte
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			mapping = f.Contents
		} else if b.code == nil {
			b.code = f.Contents
		}
	}
	var err error
	if b.mapping, err = readSourceMap(mapping); err != nil {
		return nil, []Problem{{File: name, Message: err.Error()}}
	}
	rt.cache(b, mapping)
	return b, nil
}

func absolute(folder string) string {
	if folder == "" {
		return string(filepath.Separator)
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		return folder
	}
	return abs
}

// problemsOf are esbuild's messages.
func problemsOf(name string, messages []api.Message) []Problem {
	out := make([]Problem, 0, len(messages))
	for _, m := range messages {
		p := Problem{File: name, Message: m.Text}
		if l := m.Location; l != nil {
			p.File, p.Line, p.Column = strings.TrimPrefix(l.File, fromApp+":"), l.Line, l.Column+1
		}
		for _, n := range m.Notes {
			if p.Hint == "" {
				p.Hint = n.Text
			}
		}
		out = append(out, p)
	}
	return out
}

// resolver makes esbuild read the application's files from fsys, and nothing
// else from the disk than node_modules in folder.
func resolver(fsys fs.FS, folder string, s *sources) api.Plugin {
	return api.Plugin{Name: "pando", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			if a.PluginData == inner {
				return api.OnResolveResult{}, nil
			}
			switch {
			case a.Kind == api.ResolveEntryPoint:
				// esbuild writes ./ before what it finds on the disk.
				return api.OnResolveResult{Path: path.Clean(a.Path), Namespace: fromApp}, nil
			case a.Path == "pando":
				return api.OnResolveResult{Path: a.Path, Namespace: fromPando}, nil
			case a.Namespace == fromApp && (strings.HasPrefix(a.Path, "./") || strings.HasPrefix(a.Path, "../") || a.Path == "." || a.Path == ".."):
				return resolveFile(fsys, a)
			case a.Namespace == fromApp && (strings.HasPrefix(a.Path, "/") || strings.Contains(a.Path, ":")):
				return refuse("%q cannot be imported: import files below %s by a relative path, packages by their name", a.Path, root)
			}
			return resolvePackage(build, folder, a)
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: fromPando}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			code := clientModule
			return api.OnLoadResult{Contents: &code, Loader: api.LoaderJS}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: fromApp}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			b, err := fs.ReadFile(fsys, a.Path)
			if err != nil {
				return api.OnLoadResult{}, errors.New("the file cannot be read") // its place says which
			}
			s.add(a.Path, b)
			code := string(b)
			return api.OnLoadResult{Contents: &code, Loader: loaders[path.Ext(a.Path)]}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "file"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			b, err := os.ReadFile(a.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			s.add(a.Path, b)
			return api.OnLoadResult{}, nil
		})
	}}
}

// innerResolve marks a question that the resolver asks esbuild's own.
type innerResolve struct{}

//nolint:gochecknoglobals // a constant
var inner = innerResolve{}

//nolint:gochecknoglobals // a constant table; Go has no map constants
var loaders = map[string]api.Loader{
	".ts": api.LoaderTS, ".mts": api.LoaderTS, ".tsx": api.LoaderTSX, ".js": api.LoaderJS, ".mjs": api.LoaderJS,
	".cjs": api.LoaderJS, ".jsx": api.LoaderJSX, ".json": api.LoaderJSON, ".txt": api.LoaderText,
}

func refuse(format string, args ...any) (api.OnResolveResult, error) {
	return api.OnResolveResult{Errors: []api.Message{{Text: fmt.Sprintf(format, args...)}}}, nil
}

// resolveFile finds what a relative import means among the application's files.
func resolveFile(fsys fs.FS, a api.OnResolveArgs) (api.OnResolveResult, error) {
	target := path.Join(path.Dir(a.Importer), a.Path)
	if target != strings.TrimSuffix(root, "/") && !strings.HasPrefix(target, root) {
		return refuse("%q is outside of %s, from where functions import nothing", a.Path, root)
	}
	candidates := []string{target}
	for _, ext := range []string{".ts", ".tsx", ".mts", ".js", ".mjs", ".json"} {
		candidates = append(candidates, target+ext)
	}
	if stem, ok := strings.CutSuffix(target, ".js"); ok { // TypeScript's way of naming what it will be
		candidates = append(candidates, stem+".ts", stem+".tsx")
	}
	for _, ext := range []string{".ts", ".js"} {
		candidates = append(candidates, target+"/index"+ext)
	}
	for _, c := range candidates {
		if info, err := fs.Stat(fsys, c); err == nil && info.Mode().IsRegular() {
			if _, ok := loaders[path.Ext(c)]; !ok {
				return refuse("%q cannot be imported: %s files mean nothing to a function", a.Path, path.Ext(c))
			}
			return api.OnResolveResult{Path: c, Namespace: fromApp}, nil
		}
	}
	return refuse("there is no file %q", target)
}

// resolvePackage asks esbuild for a package of npm, and refuses what is not
// below the application's node_modules.
func resolvePackage(build api.PluginBuild, folder string, a api.OnResolveArgs) (api.OnResolveResult, error) {
	if folder == "" {
		return refuse("the package %q is not there: this application has no folder with node_modules", a.Path)
	}
	dir := a.ResolveDir
	if a.Namespace == fromApp {
		dir = filepath.Join(absolute(folder), filepath.FromSlash(path.Dir(a.Importer)))
	}
	found := build.Resolve(a.Path, api.ResolveOptions{ResolveDir: dir, Kind: a.Kind, Importer: a.Importer, PluginData: inner})
	if len(found.Errors) > 0 {
		m := api.Message{Text: fmt.Sprintf("the package %q is not there", a.Path)}
		m.Notes = []api.Note{{Text: "run npm install " + packageName(a.Path) + " in the application's folder; Node's own modules do not exist in a function"}}
		return api.OnResolveResult{Errors: []api.Message{m}}, nil
	}
	below, err := filepath.Rel(absolute(folder), found.Path)
	if found.Namespace == "file" && (err != nil || !slices.Contains(strings.Split(filepath.ToSlash(below), "/"), "node_modules") || strings.HasPrefix(below, "..")) {
		return refuse("%q is outside of the application's node_modules", a.Path)
	}
	return api.OnResolveResult{Path: found.Path, Namespace: found.Namespace, Suffix: found.Suffix, External: found.External}, nil
}

// packageName is the package of an import: @scope/name/file -> @scope/name.
func packageName(specifier string) string {
	parts := strings.SplitN(specifier, "/", 3)
	if strings.HasPrefix(specifier, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// digest is a file's SHA-256.
type digest [sha256.Size]byte

// sources are the files that a bundle is made of: those of the application by
// their path in it, those of npm by their path on the disk.
type sources struct {
	mu    sync.Mutex
	files map[string]digest
}

func newSources() *sources { return &sources{files: map[string]digest{}} }

func (s *sources) add(name string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = sha256.Sum256(content)
}

// unchanged reports whether every file is as it was.
func (s *sources) unchanged(fsys fs.FS) bool {
	for name, was := range s.files {
		var b []byte
		var err error
		if filepath.IsAbs(name) {
			b, err = os.ReadFile(name)
		} else {
			b, err = fs.ReadFile(fsys, name)
		}
		if err != nil || sha256.Sum256(b) != was {
			return false
		}
	}
	return len(s.files) > 0
}
