package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

// TestPostgresScript runs testdata/pgscript: as TestScript, with a PostgreSQL
// server beside it. There are further commands:
//
//	sql TEXT         run SQL in it, or the file of that name
//	next             get the next page, by the Link of the one on stdout
//	answers N PATH   get PATH until it answers with the status N
//	dump FILE        write its schema without what Pando keeps for itself
func TestPostgresScript(t *testing.T) {
	server, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := ""
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql"); len(found) > 0 {
		bin = filepath.Dir(found[len(found)-1]) + string(filepath.ListSeparator)
	}
	// The scripts run side by side, and are over when this subtest is.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:           filepath.Join(root, "testdata", "pgscript"),
			UpdateScripts: os.Getenv("PANDO_TEST_UPDATE") != "",
			Setup: func(env *testscript.Env) error {
				env.Setenv("PATH", bin+env.Getenv("PATH"))
				env.Setenv("LEGACY", filepath.Join(root, "testdata", "legacy"))
				env.Setenv("EXAMPLES", filepath.Join(root, "examples"))
				nodes := &nodes{byName: map[string]*node{}}
				env.Values[nodesKey{}] = nodes
				env.Defer(nodes.killAll)
				url, err := server.Database()
				env.Setenv("PG", url)
				return err
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"node": startNode, "signal": signalNode, "term": termNode, "crash": crashNode, "await": await, "cptree": copyTree,
				"exitcode": exitCode, "field": field, "word": word, "hostport": hostPort, "reloads": reloads,
				"sql": psqlScript, "dump": dumpSchema, "next": nextPage, "answers": answers,
			},
		})
	})
}

func psqlScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql TEXT or FILE")
	}
	run := []string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", ts.Getenv("PG"), "-c", args[0]}
	if path := ts.MkAbs(args[0]); strings.HasSuffix(args[0], ".sql") {
		run[len(run)-2], run[len(run)-1] = "-f", path
	}
	ts.Check(ts.Exec("psql", run...))
}

func dumpSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: dump FILE")
	}
	cmd := exec.Command("pg_dump", "--schema-only", "-N", "auth", "-T", "public.pando_*", "-d", ts.Getenv("PG")) //nolint:noctx // it ends by itself
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	if dir, _, _ := strings.Cut(ts.Getenv("PATH"), string(filepath.ListSeparator)); dir != "" {
		cmd.Path = filepath.Join(dir, "pg_dump")
	}
	cmd.Err = nil
	out, err := cmd.Output()
	if err != nil {
		ts.Fatalf("pg_dump: %v", err)
	}
	out = regexp.MustCompile(`(?m)^(\\(un)?restrict|SET) .*$\n*`).ReplaceAll(out, nil) // the former are at random
	kept := []string{}
	for _, part := range strings.Split(string(out), "\n--\n-- Name: ")[1:] {
		if head, _, _ := strings.Cut(part, "\n"); !strings.HasPrefix(head, "pando_") {
			kept = append(kept, part)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(kept, "\n")), 0o600))
}

var nextLink = regexp.MustCompile(`<([^>]+)>; rel="next"`)

func nextPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: next")
	}
	m := nextLink.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("there is no next page")
	}
	ts.Check(ts.Exec("http", "GET", m[1]))
}

func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: answers N PATH")
	}
	found := eventually(make(chan struct{}), func() bool {
		ts.Check(ts.Exec("http", "GET", args[1]))
		return strings.HasPrefix(ts.ReadFile("stdout"), args[0]+" ")
	})
	if !found {
		ts.Fatalf("%s does not answer with %s", args[1], args[0])
	}
}
