package server

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pandobase/pando/internal/fault"
)

// settle is how long the files must rest before they are read: editors write
// one change as several.
const settleTime = 40 * time.Millisecond

// watch reloads the node's application when its files change, until ctx ends.
func watch(ctx context.Context, n *Node) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.opt.Log.Error("changes are not noticed: the folder cannot be watched", "error", err)
		return
	}
	defer func() { _ = w.Close() }()
	watchFolders(w, n.opt.Dir, n.data)
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case ev, ok := <-w.Events:
			if !ok {
				return
			}
			if ev.Has(fsnotify.Chmod) || !isSource(n.opt.Dir, ev.Name) {
				continue
			}
			timer.Reset(settleTime)
		case err := <-w.Errors:
			n.opt.Log.Warn("watching the folder", "error", err)
		case <-timer.C:
			watchFolders(w, n.opt.Dir, n.data) // folders may be new
			start := time.Now()
			if err := n.Reload(ctx); err != nil {
				n.opt.Note("not reloaded, the last good application goes on:\n" + describe(err))
				continue
			}
			if err := n.Application().WriteLock(); err != nil {
				n.opt.Note(err.Error())
			}
			n.opt.Note("reloaded in " + time.Since(start).Round(time.Millisecond).String())
		}
	}
}

// watchFolders watches the application's folder and those of its sources.
func watchFolders(w *fsnotify.Watcher, dir, data string) {
	_ = w.Add(dir) // a folder that has gone is seen by the reload
	for _, sub := range []string{"modules", "functions"} {
		_ = filepath.WalkDir(filepath.Join(dir, sub), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && path != data {
				_ = w.Add(path)
			}
			return nil
		})
	}
}

// isSource tells the files that make the application from what else changes in
// its folder: the data folder, the lock file that a reload writes, editors'
// temporary files.
func isSource(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	if err != nil {
		return false
	}
	if rel == "pando.yaml" || rel == "modules" {
		return true
	}
	ext := filepath.Ext(rel)
	return filepath.Dir(rel) != "." && (ext == ".yaml" || ext == ".yml" || ext == ".ts" || ext == ".js" || ext == ".wasm")
}

// describe is an error for a person at the terminal, with its hint.
func describe(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Message
	if f.Details != "" {
		text += "\n  " + strings.ReplaceAll(f.Details, "\n", "\n  ")
	}
	if f.Hint != "" {
		text += "\n  hint: " + f.Hint
	}
	return text
}
