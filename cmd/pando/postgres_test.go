package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

// TestScriptOnPostgres runs the scripts that say the same of every store once
// more, on PostgreSQL.
func TestScriptOnPostgres(t *testing.T) {
	server, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	p := scripts(t)
	p.Files = []string{filepath.Join(p.Dir, "partition.txtar")}
	p.Dir = ""
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		url, err := server.Database()
		if err != nil {
			return err
		}
		env.Setenv("PANDO_STORE", url)
		return setup(env)
	}
	t.Run("scripts", func(t *testing.T) { testscript.Run(t, p) })
}
