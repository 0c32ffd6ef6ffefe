package auth

import (
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
)

func (a *Auth) findKey(text string) (keys.Key, bool) {
	kind, id, ok := a.cfg.Ring.Lookup(text)
	return keys.Key{ID: id, Kind: kind}, ok
}
func modulesOf(keys.Key) []string  { return nil }
func rolesOfKey(keys.Key) []string { return nil }

func pending() error { return fault.New(fault.NotImplemented, "not built yet") }
