package functions

import (
	"testing"

	"github.com/pandobase/pando/test/types/tstest"
)

// TestPreludeTypes compiles the prelude with the TypeScript compiler.
func TestPreludeTypes(t *testing.T) {
	files := map[string]string{
		"tsconfig.json": `{ "compilerOptions": { "strict": true, "noEmit": true, "target": "ES2023", "lib": ["ES2024", "ESNext.Disposable"], "module": "ESNext", "moduleResolution": "Bundler", "noUncheckedIndexedAccess": true, "types": [] }, "include": ["."] }`,
		"engine.d.ts": `declare class DOMException extends Error { constructor(message?: string, name?: string); readonly code: number; }
declare function setTimeout(run: (...args: any[]) => void, ms?: number, ...args: any[]): number;
`,
	}
	entries, err := preludeSource.ReadDir("prelude")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := preludeSource.ReadFile("prelude/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	tstest.Check(t, files)
}
