package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/secrets"
)

// OpenSecrets opens the secrets of the application in dir while no node runs, and
// nothing else of it: a secret may be what the store cannot be opened without. The
// returned func frees the data folder. A folder in use is a fault.Conflict.
func OpenSecrets(dir string, env []string) (*secrets.Store, func() error, error) {
	data, err := DataFolder(dir, env)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, nil, fault.Wrap(err, fault.ConfigInvalid, "the data folder %s cannot be made", data).WithDetails("%s", err)
	}
	lock, err := lockFolder(data)
	if err != nil {
		return nil, nil, err
	}
	wrapper, err := keys.OpenWrapper(data)
	if err == nil {
		var s *secrets.Store
		if s, err = secrets.Open(secrets.Config{Dir: data, Wrapper: wrapper, Environ: env}); err == nil {
			return s, lock.release, nil
		}
	}
	return nil, nil, errors.Join(err, lock.release())
}

func (n *Node) secretCommands(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /secrets", n.cmdSecrets)
	handle("PUT /secrets/{name}", n.cmdSetSecret)
	handle("DELETE /secrets/{name}", n.cmdRemoveSecret)
}

func (n *Node) cmdSecrets(w http.ResponseWriter, _ *http.Request) error {
	list := n.secrets.List()
	if list == nil {
		list = []secrets.Entry{}
	}
	return answer(w, list)
}

// SecretValue is the body of a secret that is set.
type SecretValue struct {
	Value string `json:"value"`
}

func (n *Node) cmdSetSecret(w http.ResponseWriter, r *http.Request) error {
	var in SecretValue
	if err := json.NewDecoder(io.LimitReader(r.Body, 2*secrets.MaxValue)).Decode(&in); err != nil {
		return fault.New(fault.BadRequest, "the command cannot be read")
	}
	name := r.PathValue("name")
	if err := n.secrets.Set(name, in.Value); err != nil {
		return err
	}
	if err := n.administered(r, "admin.secret.set", name); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (n *Node) cmdRemoveSecret(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := n.secrets.Remove(name); err != nil {
		return err
	}
	if err := n.administered(r, "admin.secret.remove", name); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// masked takes secrets out of what is written: logs begin before the secrets are
// open.
type masked struct {
	out io.Writer
	by  atomic.Pointer[io.Writer]
}

// Write implements io.Writer.
func (m *masked) Write(p []byte) (int, error) {
	if w := m.by.Load(); w != nil {
		return (*w).Write(p)
	}
	return m.out.Write(p)
}

// use masks the values of s from now on.
func (m *masked) use(s *secrets.Store) {
	w := s.Writer(m.out)
	m.by.Store(&w)
}

// redact makes a request's path fit for logs.
func (n *Node) redact(path string) string {
	path = n.ring.Redact(path)
	if strings.Contains(path, "/") {
		path = n.secrets.Redact(path)
	}
	return path
}
