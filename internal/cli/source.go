package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pandobase/pando/internal/fault"
)

// source is a file of source code that is written from the model.
type source struct {
	name string // what messages call it
	path string
	text []byte
}

// there is what the file holds; nil: there is none.
func (s source) there() ([]byte, error) {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// write writes the file, and the folder for it, unless it is as it should be.
func (s source) write() (changed bool, err error) {
	if there, err := s.there(); err != nil || bytes.Equal(there, s.text) {
		return false, err
	}
	if err = os.MkdirAll(filepath.Dir(s.path), 0o755); err == nil { //nolint:gosec // a source is no secret
		err = os.WriteFile(s.path, s.text, 0o644) //nolint:gosec // the same
	}
	if err != nil {
		return false, fault.Wrap(err, fault.BadRequest, "%s cannot be written", s.name).WithDetails("%s", err)
	}
	return true, nil
}

// writeSources writes files and says which ones changed.
func (r *root) writeSources(files ...source) error {
	for _, f := range files {
		changed, err := f.write()
		if err != nil {
			return err
		}
		if err := r.said(map[string]any{"file": f.name, "changed": changed}, f.name+": "+map[bool]string{true: "written", false: "up to date"}[changed]); err != nil {
			return err
		}
	}
	return nil
}

// checkSources fails where a file is not as command would write it.
func (r *root) checkSources(command string, files ...source) error {
	for _, f := range files {
		there, err := f.there()
		if err != nil {
			return err
		}
		if !bytes.Equal(there, f.text) {
			return fault.New(fault.Conflict, "%s is not what the modules say", f.name).WithHint("run `%s`", command)
		}
		if err := r.said(map[string]any{"file": f.name, "changed": false}, f.name+" is up to date"); err != nil {
			return err
		}
	}
	return nil
}
