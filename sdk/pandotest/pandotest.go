// Package pandotest starts applications in tests: in the test's own process, with an
// empty store of its own in a temporary folder, and without a listener. It is real
// throughout: the same rooms, the same policies, the same store as in production.
//
// An application is ready within some tens of milliseconds, so that each test can have
// its own, and tests can run side by side. One that also has code in files takes longer:
// the sandbox is compiled for it.
package pandotest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"
	"time"

	pando "github.com/pandobase/pando/sdk"
)

// App is an application that runs for a test. Its methods fail the test where
// something is wrong, so they are called from the test's goroutine; the contexts that
// they return may go anywhere.
type App struct {
	*pando.Instance
	t testing.TB
}

// patience is how long [App.Drain] waits for what is due.
const patience = 30 * time.Second

// Start opens an application for a test, and closes it at the test's end. The
// application's seeds are loaded. Options given to [pando.New] count, but for the data
// folder and the store: those are the test's. An option given here comes before both:
// pando.Env("PANDO_STORE=postgres://...") names another store, which has to be empty.
func Start(t testing.TB, app *pando.App, opts ...pando.Option) *App {
	t.Helper()
	in, err := app.With(pando.Data(folder(t)), pando.Env("PANDO_STORE=sqlite://test.db")).With(opts...).Open(t.Context())
	if err != nil {
		t.Fatalf("the application does not start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := in.Close(ctx); err != nil {
			t.Errorf("the application does not stop: %v", err)
		}
	})
	return &App{in, t}
}

// memory is where a file system in memory stands on Linux.
const memory = "/dev/shm"

// folder is a temporary folder: in memory where that is possible, since what a test
// writes need not outlive a power failure.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "pando-test-") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the test's folder stays: %v", err)
		}
	})
	return dir
}

// User is a user by a name, with roles of the application. The same name is the same
// user, in every test: his id and address follow from it.
func User(name string, roles ...string) pando.Identity {
	sum := sha256.Sum256([]byte("pandotest user " + name))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562: version 8 is anybody's own
	h := hex.EncodeToString(sum[:16])
	return pando.Identity{
		UID:  pando.UUID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]),
		Role: pando.Authenticated, Roles: roles, Email: name + "@example.com",
	}
}

// As returns a context in which a user acts. It makes the user first where there is
// none of that id, with the roles that the application has.
func (a *App) As(id pando.Identity) context.Context {
	a.t.Helper()
	if id.UID != "" {
		if err := a.AddUser(a.t.Context(), id); err != nil {
			a.t.Fatalf("the user %s cannot be made: %v", id.Email, err)
		}
	}
	return a.Instance.As(a.t.Context(), id)
}

// Service returns a context in which the application itself acts.
func (a *App) Service() context.Context { return a.Instance.Service(a.t.Context()) }

// Anonymous returns a context in which nobody known acts.
func (a *App) Anonymous() context.Context { return a.Instance.Anonymous(a.t.Context()) }

// Drain waits until the events and jobs that are due are worked, and those that they
// cause.
func (a *App) Drain() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	if err := a.Instance.Drain(ctx); err != nil {
		a.t.Fatalf("what is due is not worked: %v", err)
	}
}
