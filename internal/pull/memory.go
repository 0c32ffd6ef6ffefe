package pull

import (
	"bytes"
	"io/fs"
	"path"
	"time"
)

// memory is a folder of files in memory, for [model.Load].
type memory map[string][]byte

// Open implements fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	data, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{Reader: bytes.NewReader(data), info: info{name: path.Base(name), size: len(data)}}, nil
}

// ReadDir implements fs.ReadDirFS.
func (m memory) ReadDir(dir string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for name, data := range m {
		if path.Dir(name) == dir {
			out = append(out, fs.FileInfoToDirEntry(info{name: path.Base(name), size: len(data)}))
		}
	}
	return out, nil
}

type memoryFile struct {
	*bytes.Reader
	info info
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *memoryFile) Close() error               { return nil }

type info struct {
	name string
	size int
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(i.size) }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
