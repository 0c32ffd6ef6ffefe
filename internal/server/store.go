package server

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// The schemes of stores.
const (
	schemeSQLite   = "sqlite"
	schemePostgres = "postgres"
)

// openURL opens the database that a store URL names.
func openURL(ctx context.Context, app *Application, opt *Options, url string) (store.Driver, error) {
	scheme, rest, _ := strings.Cut(url, "://")
	switch scheme {
	case schemeSQLite:
		return opened(sqlite.Open(ctx, sqlite.Options{Path: app.storePath(rest), Log: opt.Log}))
	case schemePostgres, "postgresql":
		return opened(postgres.Open(ctx, postgres.Options{URL: url, Log: opt.Log}))
	}
	return nil, unsupported("store", scheme, "sqlite://, postgres://")
}

// opened keeps a driver that is nil from becoming a store that is not.
func opened[D store.Driver](d D, err error) (store.Driver, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// storeURL is the store's URL, looked up where pando.yaml names a secret.
func (a *Application) storeURL(getenv func(string) string) (string, error) {
	return resolveURL(a.Model.Config.Store.URL, getenv)
}

func resolveURL(url string, getenv func(string) string) (string, error) {
	name, ok := strings.CutPrefix(url, "secret:")
	if !ok {
		return url, nil
	}
	if url, ok = secret(getenv)(name); !ok {
		return "", fault.New(fault.ConfigInvalid, "store: there is no secret %s", name).
			WithHint("set the variable %s", secretVariable(name))
	}
	return url, nil
}

// storePath is the file of a sqlite:// URL, within the data folder unless it is
// absolute.
func (a *Application) storePath(name string) string {
	if name == "" {
		name = a.Model.Config.App + ".db"
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.DataDir(), name)
}

// storeSystem is what telemetry calls the store's database.
func (a *Application) storeSystem() string {
	if scheme, _, _ := strings.Cut(a.Model.Config.Store.URL, "://"); scheme == schemeSQLite {
		return "sqlite"
	}
	return "postgresql"
}
