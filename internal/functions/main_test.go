package functions

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if made != "" {
		_ = os.RemoveAll(made)
	}
	os.Exit(code)
}

//nolint:gochecknoglobals // see cacheDir
var made string

func testCacheDir() (string, error) {
	dir, err := os.MkdirTemp("", "pando-functions-*")
	made = dir
	return dir, err
}
