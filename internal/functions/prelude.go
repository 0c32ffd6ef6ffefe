package functions

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// The prelude is what a function finds in its isolate beside the language: the
// web's interfaces and the client pando. It is written in TypeScript, and built
// when the engine starts.
//
//go:embed prelude/*.ts
var preludeSource embed.FS

// buildPrelude makes one script of the prelude.
func buildPrelude() ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{"prelude/main.ts"}, Bundle: true, Write: false, Outdir: "/", AbsWorkingDir: "/",
		Format: api.FormatIIFE, GlobalName: "globalThis.__prelude", Platform: api.PlatformNeutral, Target: api.ES2023,
		MinifyWhitespace: true, LogLevel: api.LogLevelSilent, Charset: api.CharsetUTF8,
		Plugins: []api.Plugin{{Name: "prelude", Setup: func(build api.PluginBuild) {
			build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
				name := strings.TrimSuffix(path.Base(a.Path), ".ts")
				return api.OnResolveResult{Path: "prelude/" + name + ".ts", Namespace: "prelude"}, nil
			})
			build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "prelude"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
				b, err := preludeSource.ReadFile(a.Path)
				code := string(b)
				return api.OnLoadResult{Contents: &code, Loader: api.LoaderTS}, err
			})
		}}},
	})
	if len(result.Errors) > 0 {
		return nil, fmt.Errorf("build the prelude: %s", result.Errors[0].Text)
	}
	return result.OutputFiles[0].Contents, nil
}
