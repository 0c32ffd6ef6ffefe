package server

import (
	"context"
	"errors"
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

// openURL opens the database that a store URL names, with its replicas' URLs.
func openURL(ctx context.Context, app *Application, opt *Options, url string, replicas ...string) (store.Driver, error) {
	scheme, rest, _ := strings.Cut(url, "://")
	switch scheme {
	case schemeSQLite:
		if len(replicas) > 0 { // pando.yaml may say so by a secret alone
			return nil, fault.New(fault.ConfigInvalid, "store: SQLite has no read replicas").WithHint("leave replicas out, or use postgres://")
		}
		return opened(sqlite.Open(ctx, sqlite.Options{Path: app.storePath(rest), Log: opt.Log}))
	case schemePostgres, "postgresql":
		return opened(postgres.Open(ctx, postgres.Options{URL: url, Replicas: replicas, MaxLag: app.Model.Config.Store.MaxLag, Log: opt.Log}))
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

// storeURLs are the URLs of the store and of its replicas, looked up where
// pando.yaml names a secret.
func (a *Application) storeURLs(find func(string) (string, error)) (url string, replicas []string, err error) {
	c := a.Model.Config.Store
	if url, err = secretURL("store", c.URL, find); err != nil {
		return "", nil, err
	}
	for _, r := range c.Replicas {
		if r, err = secretURL("store.replicas", r, find); err != nil {
			return "", nil, err
		}
		replicas = append(replicas, r)
	}
	return url, replicas, nil
}

// secretURL is a URL that was written, looked up where it names a secret.
func secretURL(key, url string, find func(string) (string, error)) (string, error) {
	name, ok := strings.CutPrefix(url, "secret:")
	if !ok {
		return url, nil
	}
	url, err := find(name)
	if f := new(fault.Error); errors.As(err, &f) {
		named := *f
		named.Message = key + ": " + f.Message
		return "", &named
	}
	return url, err
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
