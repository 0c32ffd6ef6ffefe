//go:build unix && !linux

package functions

import (
	"errors"
	"os"
)

// nameless returns a file that no folder lists.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "pando-snapshot-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
