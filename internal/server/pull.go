package server

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/pull"
	"github.com/pandobase/pando/internal/secrets"
	"github.com/pandobase/pando/internal/store/postgres"
)

// PullOptions say what is pulled, and where to.
type PullOptions struct {
	Dir     string
	Env     []string
	App     string // the name of an application that is new
	URL     string // postgres://...; empty: the application's store
	Schemas []string
	Tables  []string
	Module  string
	Force   bool // write over module files that are there
	DryRun  bool
	Log     *slog.Logger
}

// Pulled is what a pull has done.
type Pulled struct {
	*pull.Result
	Written []string `json:"written"`
	// Variable is the one that has to hold the store's URL, where the new
	// pando.yaml does not: it has a password.
	Variable string `json:"variable,omitempty"`
}

// Pull writes the modules of a database that is there. It only reads from the
// database, and writes over a file only with Force.
func Pull(ctx context.Context, opt PullOptions) (*Pulled, error) {
	address, err := opt.address()
	if err != nil {
		return nil, err
	}
	survey, err := postgres.Look(ctx, postgres.Options{URL: address, Log: opt.Log}, opt.Schemas)
	if err != nil {
		return nil, err
	}
	existing, err := opt.existing()
	if err != nil {
		return nil, err
	}
	res, err := pull.Build(survey, pull.Options{Module: opt.Module, Tables: opt.Tables, Existing: existing})
	if err != nil {
		return nil, err
	}
	if len(res.Files) == 0 {
		return nil, fault.New(fault.NotFound, "nothing of the database %s can be pulled", survey.Database).
			WithDetails("%s", leftText(res)).WithHint("--schema and --tables choose among what the role %s may read", survey.Role)
	}
	out := &Pulled{Result: res, Written: []string{}}
	if opt.DryRun {
		return out, nil
	}
	return out, opt.write(out, address)
}

func leftText(res *pull.Result) string {
	lines := make([]string, len(res.Left))
	for i, f := range res.Left {
		lines[i] = f.What + ": " + f.Why
	}
	return strings.Join(lines, "\n")
}

// address is the URL that is pulled from.
func (o *PullOptions) address() (string, error) {
	address := o.URL
	if address == "" {
		if err := present(o.Dir); err != nil {
			return "", err
		}
		app, problems := model.Load(configOnly{os.DirFS(o.Dir)}, o.Env, Features())
		if len(problems) > 0 {
			return "", &InvalidError{problems}
		}
		kept, release, err := OpenSecrets(o.Dir, o.Env)
		if err != nil {
			return "", err
		}
		address, err = secretURL("store", app.Config.Store.URL, kept.Get)
		if err = errors.Join(err, release()); err != nil {
			return "", err
		}
	}
	if scheme, _, _ := strings.Cut(address, "://"); scheme != schemePostgres && scheme != "postgresql" {
		return "", fault.New(fault.BadRequest, "only PostgreSQL databases can be pulled").WithHint("the URL has the form postgres://user@host:5432/database")
	}
	return address, nil
}

// existing are the module files that are there.
func (o *PullOptions) existing() (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(o.Dir, model.ModulesDir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name) //nolint:gosec // of the folder that the caller names
		if err != nil {
			return nil, fault.Wrap(err, fault.BadRequest, "%s cannot be read", name)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".yaml")] = data
	}
	return out, nil
}

func (o *PullOptions) write(out *Pulled, address string) error {
	if _, err := os.Stat(filepath.Join(o.Dir, model.ConfigFile)); errors.Is(err, os.ErrNotExist) {
		text, variable := pulledConfig(o.App, address)
		out.Variable = variable
		if err := o.file(out, model.ConfigFile, []byte(text)); err != nil {
			return err
		}
	}
	for i := range out.Files {
		f := &out.Files[i]
		if f.Exists && !o.Force {
			continue
		}
		if err := o.file(out, f.Path, f.Data); err != nil {
			return err
		}
	}
	return nil
}

func (o *PullOptions) file(out *Pulled, name string, data []byte) error {
	to := filepath.Join(o.Dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(to), 0o755) //nolint:gosec // sources are no secret
	if err == nil {
		err = os.WriteFile(to, data, 0o644) //nolint:gosec // the same
	}
	if err != nil {
		return fault.Wrap(err, fault.BadRequest, "%s cannot be written", to).WithDetails("%s", err)
	}
	out.Written = append(out.Written, name)
	return nil
}

// pulledConfig is pando.yaml of an application that is pulled. A URL that has
// a password is a secret.
func pulledConfig(app, address string) (text, variable string) {
	store := address
	u, err := url.Parse(address)
	if err != nil || u.Query().Has("password") {
		store = ""
	} else if _, has := u.User.Password(); has {
		store = ""
	}
	if store == "" {
		store, variable = "secret:database_url", secrets.Variable("database_url")
	}
	return "# The application's settings. Everything else has a default; `pando schema config`\n# prints all keys.\napp: " + app + "\nstore: \"" + store + "\"\n", variable
}
