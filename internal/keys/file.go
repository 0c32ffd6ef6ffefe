package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pandobase/pando/internal/fault"
)

// maxFile bounds what is read of a key file.
const maxFile = 16 << 20

// ReadPrivate reads a file that nobody but its owner may read: of keys, or of
// secrets. A file that others can read, or that is too large for either, is a
// [fault.ConfigInvalid]; one that is not there has fs.ErrNotExist in its chain.
func ReadPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fault.New(fault.ConfigInvalid, "%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(fault.ConfigInvalid, "%s can be read by others", path).
			WithDetails("its mode is %04o", info.Mode().Perm()).
			WithHint("`chmod 600 %s`, and rotate the keys if somebody could have read them", path)
	case info.Size() > maxFile:
		return nil, fault.New(fault.ConfigInvalid, "%s is too large for a key file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

// unreadable keeps fs.ErrNotExist, which callers ask for, in its chain.
func unreadable(path string, err error) error {
	return fault.Wrap(err, fault.ConfigInvalid, "%s cannot be read", path).WithDetails("%s", reason(err))
}

func unwritable(path string, err error) error {
	return fault.Wrap(err, fault.StoreIO, "%s cannot be written", path).WithDetails("%s", reason(err))
}

// reason is an operating system error without the path that the message has.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	if linkErr, ok := errors.AsType[*os.LinkError](err); ok {
		return linkErr.Err.Error()
	}
	return err.Error()
}

// ReplacePrivate puts data in the place of the file at path, with mode 0600. After
// a crash the file is the old one or the new one; when it returns nil the new one
// is on disk.
func ReplacePrivate(path string, data []byte) error {
	return putFile(path, data, os.Rename)
}

// createFile is [ReplacePrivate] for a file that must not exist: the error is then
// fs.ErrExist, and of two who create it at once one gets that.
func createFile(path string, data []byte) error {
	return putFile(path, data, func(temp, path string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

func putFile(path string, data []byte, place func(temp, path string) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unwritable(path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return unwritable(path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error is the one to tell
			_ = os.Remove(f.Name())
			err = unwritable(path, err)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it was only synced
	if err := d.Sync(); err != nil {
		return fmt.Errorf("fsync of the folder: %w", err)
	}
	return nil
}
