package gen_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/gen"
)

// TestGoClient writes a module twice, and compares what it requires with what this one
// is built with.
func TestGoClient(t *testing.T) {
	view := market(t).Latest()
	write := func() []gen.File {
		files, err := gen.GoClient{Import: "example.test/market", Module: true}.Write(view, rpc.Descriptors(view))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	files, again := write(), write()
	own, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := 0
	for i, f := range files {
		if !bytes.Equal(f.Text, again[i].Text) {
			t.Errorf("%s: the second time is not as the first", f.Name)
		}
		if !bytes.Contains(f.Text, []byte("pando client go")) {
			t.Errorf("%s does not say who wrote it", f.Name)
		}
		if f.Name != "go.mod" {
			continue
		}
		for line := range strings.Lines(string(f.Text)) {
			if strings.HasPrefix(line, "\t") {
				required++
				if !strings.Contains(string(own), line) {
					t.Errorf("the client requires %s, and this module another version", strings.TrimSpace(line))
				}
			}
		}
	}
	if required != 2 {
		t.Errorf("the client requires %d modules", required)
	}
}
