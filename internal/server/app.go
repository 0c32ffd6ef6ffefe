// Package server is the composition root: it turns the URLs of pando.yaml into
// implementations, puts the rooms together, starts them in order and stops
// them in reverse. It also answers the command line of a running node over a
// socket in the data folder.
package server

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// Application is a checked application: its model and its compiled rules.
type Application struct {
	Model *model.App
	Rules *policy.Rules
	Dir   string
}

// Features are what this build enforces and acts on.
func Features() model.Features {
	return model.Features{FieldPolicies: true, Active: map[string]bool{
		model.PartPolicy: true, model.PartAuth: true, model.PartPartitions: true, model.PartOperations: true, model.PartFunctions: true,
		model.PartEvents: true, model.PartJobs: true, model.PartWebhooks: true, model.PartIntegrations: true, model.PartVersions: true,
	}}
}

// InvalidError is the error of an application that has problems; all of them.
type InvalidError struct{ Problems []model.Problem }

// Error lists the problems, one a line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Fault makes the problems presentable to a client of the socket.
func (e *InvalidError) Fault() *fault.Error {
	return fault.New(fault.ConfigInvalid, "the application has %d problem(s)", len(e.Problems)).WithDetails("%s", e.Error())
}

// Load reads and checks the application in a folder. The error is an *InvalidError
// when it has problems.
func Load(dir string, env []string) (*Application, error) {
	if err := present(dir); err != nil {
		return nil, err
	}
	app, problems := model.Load(os.DirFS(dir), env, Features())
	if len(problems) > 0 {
		return nil, &InvalidError{problems}
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		return nil, &InvalidError{problems}
	}
	return &Application{Model: app, Rules: rules, Dir: dir}, nil
}

// Warnings are what is worth a look in an application that has no problems.
func (a *Application) Warnings() []model.Problem {
	return append(slices.Clip(a.Model.Warnings), a.Rules.Scattered(a.Model)...)
}

// present reports why a folder cannot hold an application.
func present(dir string) error {
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return fault.New(fault.ConfigInvalid, "there is no folder %s", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, model.ConfigFile)); err != nil {
		return fault.New(fault.ConfigInvalid, "%s holds no application: there is no %s", dir, model.ConfigFile).
			WithHint("`pando init DIR` makes one; `pando -C DIR ...` names another folder")
	}
	return nil
}

// DataFolder is the data folder of the application in dir. It follows from
// pando.yaml and env alone, so that it is found while a module is broken.
func DataFolder(dir string, env []string) (string, error) {
	if err := present(dir); err != nil {
		return "", err
	}
	app, problems := model.Load(configOnly{os.DirFS(dir)}, env, Features())
	if len(problems) > 0 {
		return "", &InvalidError{problems}
	}
	return (&Application{Model: app, Dir: dir}).DataDir(), nil
}

// configOnly is an application's folder without its modules.
type configOnly struct{ fs.FS }

// Open opens pando.yaml and finds nothing else.
func (c configOnly) Open(name string) (fs.File, error) {
	if name != model.ConfigFile {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return c.FS.Open(name)
}

// DataDir is the folder of the embedded parts.
func (a *Application) DataDir() string {
	if filepath.IsAbs(a.Model.Config.Data) {
		return a.Model.Config.Data
	}
	return filepath.Join(a.Dir, a.Model.Config.Data)
}

func unsupported(key, scheme, have string) error {
	return fault.New(fault.ConfigInvalid, "%s: %s:// is not part of this build", key, scheme).WithHint("this build has %s", have)
}

// Supported refuses the URLs that this build has no driver for: a
// dependency that is configured and ignored would be found out too late.
func (a *Application) Supported() error {
	c := a.Model.Config
	for _, d := range []struct {
		key, url string
		have     []string
	}{
		{"store", c.Store.URL, []string{"sqlite://", "postgres://", "postgresql://", "secret:"}},
		{"cache", c.Cache, []string{"memory://"}},
		{"broker", c.Broker, []string{"embedded://", "nats://", "amqp://", "amqps://", "secret:"}},
		{"files", c.Files, []string{"file://"}},
		{"keys", c.Keys, []string{"file://"}},
		{"mail", c.Mail, []string{"mailbox://", "smtp://", "smtps://"}},
	} {
		if !slices.ContainsFunc(d.have, func(scheme string) bool { return strings.HasPrefix(d.url, scheme) }) {
			scheme, _, _ := strings.Cut(d.url, "://")
			return unsupported(d.key, scheme, strings.Join(d.have, ", "))
		}
	}
	return nil
}

// WriteLock updates pando.lock beside pando.yaml when the model has names that
// it does not fix yet.
func (a *Application) WriteLock() error {
	data, changed := a.Model.UpdatedLock()
	if !changed {
		return nil
	}
	path := filepath.Join(a.Dir, model.LockFile)
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // it is committed: not a secret
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CheckLock reports what pando.lock does not fix yet. Before the first version of it
// nothing is fixed.
func (a *Application) CheckLock() error {
	names, written := a.Model.Unlocked()
	if !written || len(names) == 0 {
		return nil
	}
	const most = 5
	list := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return &InvalidError{[]model.Problem{{
		Pos: model.Pos{File: model.LockFile, Line: 1, Column: 1}, Message: "there are no numbers for " + list,
		Hint: "`pando dev` or `pando check --lock` writes them; commit the file",
	}}}
}
