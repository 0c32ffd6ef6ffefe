package openapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pandobase/pando/internal/model"
)

// lintDir holds the linters and their rules, from this package's folder.
const lintDir = "../../../test/openapi"

// linter returns the path of an installed linter or skips the test.
func linter(t *testing.T, name string) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(lintDir, "node_modules", ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Skipf("%s is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/openapi", name)
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	return bin
}

// lint runs a linter over a document and returns what it printed, and whether
// it found nothing at all: neither errors nor warnings.
func lint(t *testing.T, name string, doc []byte) (string, bool) {
	t.Helper()
	bin := linter(t, name)
	file := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"lint", "--config", "redocly.yaml", "--format", "json", file}
	if name == "spectral" {
		args = []string{"lint", "--ruleset", ".spectral.yaml", "--fail-severity", "hint", "--format", "json", "--quiet", file}
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = lintDir
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err == nil && found(t, name, out) == 0
}

// found counts what a linter's JSON report complains about.
func found(t *testing.T, name string, report []byte) int {
	t.Helper()
	if name == "spectral" {
		var results []json.RawMessage
		if err := json.Unmarshal(report, &results); err != nil {
			t.Fatalf("%v in %s", err, report)
		}
		return len(results)
	}
	var r struct {
		Totals *struct{ Errors, Warnings int }
	}
	if err := json.Unmarshal(report, &r); err != nil || r.Totals == nil {
		t.Fatalf("no totals (%v) in %s", err, report)
	}
	return r.Totals.Errors + r.Totals.Warnings
}

func TestLintersFindNothing(t *testing.T) {
	for name, app := range map[string]*model.App{"shop": shop(t), "unowned": unowned(t), "empty": empty(t), "large": large(t, 12)} {
		for _, tool := range []string{"spectral", "redocly"} {
			t.Run(tool+"/"+name, func(t *testing.T) {
				if out, ok := lint(t, tool, document(t, app)); !ok {
					t.Error(out)
				}
			})
		}
	}
}

// TestLintersWouldFind breaks a document in ways that are a warning and an
// error, so that the test above is known to see both.
func TestLintersWouldFind(t *testing.T) {
	for name, broken := range map[string][2]string{
		"warning": {`"contact":`, `"x-contact":`},
		"error":   {`"operationId":"head_orders"`, `"operationId":"list_orders"`},
	} {
		doc := document(t, shop(t))
		bad := bytes.Replace(doc, []byte(broken[0]), []byte(broken[1]), 1)
		if bytes.Equal(doc, bad) {
			t.Fatalf("%s is not in the document", broken[0])
		}
		t.Run("spectral/"+name, func(t *testing.T) {
			if _, ok := lint(t, "spectral", bad); ok {
				t.Error("not found")
			}
		})
	}
	doc := document(t, shop(t))
	t.Run("redocly/warning", func(t *testing.T) {
		if _, ok := lint(t, "redocly", bytes.Replace(doc, []byte(`"license":`), []byte(`"x-license":`), 1)); ok {
			t.Error("not found")
		}
	})
}
