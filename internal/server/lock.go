package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pandobase/pando/internal/fault"
)

// folderLock keeps a data folder to one process: SQLite's writer group and the
// keys' files have one owner.
type folderLock struct{ f *os.File }

func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the data folder %s cannot be written", dir).WithDetails("%s", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) //nolint:gosec // the path is the data folder's
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.Wrap(err, fault.ConfigInvalid, "the data folder %s cannot be locked", dir).WithDetails("%s", err)
		}
		return nil, fault.New(fault.Conflict, "the data folder %s is in use by process %s", dir, strings.TrimSpace(string(holder))).
			WithHint("stop that process, or give this one another folder with PANDO_DATA")
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // only a help for people
	}
	return &folderLock{f}, nil
}

// release frees the folder. The file stays: removing it would race with a
// process that has just opened it.
func (l *folderLock) release() error { return l.f.Close() }

// maxSocketPath is what a socket's address can hold on every system.
const maxSocketPath = 100

// SocketPath is where a node that uses a data folder answers commands. A path
// that no socket address can hold gives way to one in the temporary folder.
func SocketPath(dataDir string) string {
	path := filepath.Join(dataDir, "pando.sock")
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(os.TempDir(), "pando-"+hex.EncodeToString(sum[:8])+".sock")
}

// TrustSocket refuses a socket that belongs to somebody else: one in the shared
// temporary folder could have been put there to catch commands. One that is
// not there is no fault.
func TrustSocket(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil //nolint:nilerr // who dials it learns what is wrong
	}
	if int64(st.Uid) == int64(os.Geteuid()) || os.Geteuid() == 0 && filepath.Dir(path) != filepath.Clean(os.TempDir()) {
		return nil
	}
	return fault.New(fault.Conflict, "the command socket %s belongs to another user", path).
		WithHint("run the command as the user that runs the node")
}
