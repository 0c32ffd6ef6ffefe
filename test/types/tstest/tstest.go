// Package tstest runs the TypeScript compiler, prettier and Node on what Pando writes,
// for tests. What it needs from npm is in test/types; a test that lacks it is skipped.
package tstest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Node is a tsconfig.json for code that Node runs, compiled into the folder out.
const Node = `{ "compilerOptions": { "strict": true, "target": "ES2023", "lib": ["ES2023", "DOM", "DOM.Iterable"], "module": "NodeNext", "noUncheckedIndexedAccess": true, "exactOptionalPropertyTypes": true, "types": ["node"], "skipLibCheck": true, "rootDir": ".", "outDir": "out" }, "include": ["*.ts"] }`

// Strict is a tsconfig.json for code that is compiled only.
const Strict = `{ "compilerOptions": { "strict": true, "noEmit": true, "target": "ES2023", "lib": ["ES2023", "DOM", "DOM.Iterable"], "module": "ESNext", "moduleResolution": "Bundler", "noUncheckedIndexedAccess": true, "noUnusedLocals": true, "types": [], "skipLibCheck": true }, "include": ["*.ts"] }`

// folder finds this folder, or skips the test where its packages are not installed.
func folder(t testing.TB) (node, dir string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("the test does not run in the module")
		}
		root = filepath.Dir(root)
	}
	dir = filepath.Join(root, "test", "types")
	for _, name := range []string{"typescript", "prettier", "@supabase/supabase-js"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err != nil {
			t.Skipf("%s is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/types", name)
		}
	}
	return node, dir
}

// Folder makes a folder of files, whose code finds the packages of this folder.
func Folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	Link(t, dir)
	return dir
}

// Link lets the code in a folder find the packages of test/types.
func Link(t testing.TB, dir string) {
	t.Helper()
	_, own := folder(t)
	if err := os.Symlink(filepath.Join(own, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

// Compile runs the compiler on a folder, as its tsconfig.json says, and returns what
// it finds wrong; empty: nothing.
func Compile(t testing.TB, dir string) string {
	t.Helper()
	node, own := folder(t)
	out, err := exec.CommandContext(t.Context(), node, filepath.Join(own, "node_modules", "typescript", "bin", "tsc"), "-p", dir).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("tsc: %v", err)
	}
	return string(out)
}

// Check fails the test where the compiler finds something wrong with files.
func Check(t testing.TB, files map[string]string) {
	t.Helper()
	if wrong := Compile(t, Folder(t, files)); wrong != "" {
		t.Errorf("tsc:\n%s", wrong)
	}
}

// Pretty returns a source as prettier formats it.
func Pretty(t testing.TB, name string, source []byte) []byte {
	t.Helper()
	node, own := folder(t)
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(own, "node_modules", "prettier", "bin", "prettier.cjs"), "--no-config", "--stdin-filepath", name)
	cmd.Stdin = bytes.NewReader(source)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("prettier: %v", err)
	}
	return out
}
