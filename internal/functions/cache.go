package functions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// cacheVersion changes when bundles are made in another way.
const cacheVersion = "1"

// keptBundle is a bundle as a file of the cache.
type keptBundle struct {
	Version string            `json:"version"`
	Files   map[string]string `json:"files"` // name -> SHA-256
	Code    string            `json:"code"`
	Map     string            `json:"map"`
	Sum     string            `json:"sum"` // SHA-256 of code and map: a file that was cut is none
}

func (rt *Runtime) cacheFile(name string) string {
	if rt.cfg.Cache == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(rt.cfg.Folder + "\x00" + name))
	return filepath.Join(rt.cfg.Cache, "bundles", hex.EncodeToString(sum[:16])+".json")
}

// cached returns the entry's bundle of the cache; nil: there is none, or its
// files have changed.
func (rt *Runtime) cached(fsys fs.FS, name string) *bundle {
	file := rt.cacheFile(name)
	if file == "" {
		return nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var k keptBundle
	if json.Unmarshal(raw, &k) != nil || k.Version != cacheVersion || k.Sum != k.sum() {
		return nil
	}
	b := &bundle{entry: name, code: []byte(k.Code), sources: newSources(), making: make(chan struct{}, 1)}
	for name, text := range k.Files {
		var d digest
		if n, err := hex.Decode(d[:], []byte(text)); err != nil || n != len(d) {
			return nil
		}
		b.sources.files[name] = d
	}
	if !b.sources.unchanged(fsys) {
		return nil
	}
	if b.mapping, err = readSourceMap([]byte(k.Map)); err != nil {
		return nil
	}
	return b
}

// cache keeps a bundle. Without it the next start only takes longer, so what
// fails is logged.
func (rt *Runtime) cache(b *bundle, mapping []byte) {
	file := rt.cacheFile(b.entry)
	if file == "" {
		return
	}
	k := keptBundle{Version: cacheVersion, Files: map[string]string{}, Code: string(b.code), Map: string(mapping)}
	for name, d := range b.sources.files {
		k.Files[name] = hex.EncodeToString(d[:])
	}
	k.Sum = k.sum()
	raw, err := json.Marshal(k)
	if err == nil {
		err = writeFile(file, raw)
	}
	if err != nil {
		rt.cfg.Log.Warn("a bundle cannot be cached", slog.String("function", b.entry), slog.String("error", err.Error()))
	}
}

func (k keptBundle) sum() string {
	sum := sha256.Sum256([]byte(k.Code + "\x00" + k.Map))
	return hex.EncodeToString(sum[:])
}

// writeFile puts a whole file in its place, or none.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
