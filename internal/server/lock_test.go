package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

func TestSocketPathFitsAnAddress(t *testing.T) {
	short := filepath.Join(t.TempDir(), "data")
	if got := SocketPath(short); len(got) <= maxSocketPath && got != filepath.Join(short, "pando.sock") {
		t.Errorf("%s for %s", got, short)
	}
	long := filepath.Join("/", strings.Repeat("x", 90), strings.Repeat("y", 90))
	if got := SocketPath(long); len(got) > maxSocketPath || got == SocketPath(long+"z") {
		t.Errorf("%s for %s", got, long)
	}
}

func TestTrustSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := TrustSocket(path); err != nil {
		t.Errorf("a socket that is not there: %v", err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := TrustSocket(path); err != nil {
		t.Errorf("one's own: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a socket away")
	}
	t.Setenv("TMPDIR", filepath.Dir(path))
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := TrustSocket(path); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else's: %v", err)
	}
}
