package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
	"github.com/pandobase/pando/internal/surface"
)

const (
	diffTimeout = 30 * time.Second
	maxDocument = 256 << 20 // bytes of a server's description
)

func (r *root) diffCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Tell what a change does to the clients of the API", Args: cobra.ExactArgs(2),
		Long: "Compares what clients see, in each version and on every door: REST, GraphQL and gRPC. OLD and NEW are\n" +
			"each a folder, a git revision of the application's folder (HEAD~1, main; or REVISION:PATH), or the URL\n" +
			"of a running server, whose key is --key or PANDO_API_KEY. Exits 1 when a version that OLD has would break:\n" +
			"a breaking change belongs into a new one. Exits 2 when one of them cannot be read.",
		Example: "  pando diff main .\n  pando diff https://api.example.com . --key $KEY",
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, kv := range r.env {
				if v, ok := strings.CutPrefix(kv, "PANDO_API_KEY="); ok && key == "" {
					key = v
				}
			}
			old, err := r.surfaceOf(cmd.Context(), args[0], key)
			if err != nil {
				return usageError{err, hintOf(err)}
			}
			now, err := r.surfaceOf(cmd.Context(), args[1], key)
			if err != nil {
				return usageError{err, hintOf(err)}
			}
			return r.diff(surface.Compare(old, now))
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the API key of a running server; default: PANDO_API_KEY")
	return cmd
}

func hintOf(err error) string { return fault.From(err).Hint }

func (r *root) diff(changes []surface.Change) error {
	breaks := surface.Breaks(changes)
	if r.json {
		if changes == nil {
			changes = []surface.Change{}
		}
		if err := r.printJSON(struct {
			Breaking bool             `json:"breaking"`
			Changes  []surface.Change `json:"changes"`
		}{breaks, changes}); err != nil {
			return err
		}
	} else {
		for _, c := range changes {
			fmt.Fprintln(r.out, c)
		}
		if len(changes) == 0 {
			fmt.Fprintln(r.out, "no client sees a difference")
		}
	}
	if breaks {
		return silentError{errors.New("clients of a version that is there would break")}
	}
	return nil
}

// surfaceOf reads what clients see of a folder, of a git revision or of a server.
func (r *root) surfaceOf(ctx context.Context, name, key string) (surface.Surface, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return r.servedSurface(ctx, name, key)
	}
	fsys, err := r.files(ctx, name)
	if err != nil {
		return surface.Surface{}, err
	}
	// What the environment sets is of this machine, not of the application.
	app, problems := model.Load(fsys, nil, server.Features())
	if len(problems) > 0 {
		return surface.Surface{}, fault.Wrap(&server.InvalidError{Problems: problems}, fault.ConfigInvalid, "%s does not load: %s", name, &server.InvalidError{Problems: problems})
	}
	return surface.Of(app), nil
}

// files are the files of a folder that holds an application, or of a revision.
func (r *root) files(ctx context.Context, name string) (fs.FS, error) {
	if _, err := os.Stat(filepath.Join(name, model.ConfigFile)); err == nil {
		return os.DirFS(name), nil
	}
	tree := name
	if !strings.Contains(name, ":") {
		prefix, err := git(ctx, r.dir, "rev-parse", "--show-prefix")
		if err != nil {
			return nil, fault.New(fault.ConfigInvalid, "%s is no folder with a %s, and %s lies in no git repository", name, model.ConfigFile, r.dir)
		}
		tree = name + ":" + strings.TrimSpace(string(prefix))
	}
	id, err := git(ctx, r.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", tree)
	if err != nil {
		return nil, fault.New(fault.ConfigInvalid, "%s is no folder with a %s, and no revision of git that has one", name, model.ConfigFile).
			WithHint("a revision is like HEAD~1, main, or v1.2:path; -C DIR names the application's folder")
	}
	archive, err := git(ctx, r.dir, "archive", "--format=zip", strings.TrimSpace(string(id)))
	if err != nil {
		return nil, fault.New(fault.ConfigInvalid, "git cannot show %s", name).WithDetails("%s", err)
	}
	return zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
}

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...) //nolint:gosec // it is the user's own git
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// servedSurface asks a running server: each of its descriptions has the surface of
// all versions.
func (r *root) servedSurface(ctx context.Context, base, key string) (surface.Surface, error) {
	base = strings.TrimSuffix(base, "/")
	ctx, cancel := context.WithTimeout(ctx, diffTimeout)
	defer cancel()
	var there struct {
		Versions []string `json:"versions"`
	}
	if err := fetch(ctx, base+openapi.PagePath+"/versions.json", "", &there); err != nil {
		return surface.Surface{}, err
	}
	if len(there.Versions) == 0 {
		return surface.Surface{}, notPando(base)
	}
	var doc map[string]json.RawMessage
	if err := fetch(ctx, base+"/rest/"+there.Versions[len(there.Versions)-1]+"/", key, &doc); err != nil {
		return surface.Surface{}, err
	}
	var s surface.Surface
	if err := json.Unmarshal(doc[openapi.SurfaceKey], &s); err != nil {
		return surface.Surface{}, notPando(base)
	}
	return s, nil
}

func notPando(base string) error {
	return fault.New(fault.ConfigInvalid, "%s does not tell what its API has", base).WithHint("it has to be a server of a Pando that has `pando diff`")
}

// fetch reads JSON from a server.
func fetch(ctx context.Context, url, key string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fault.New(fault.ConfigInvalid, "%s is no URL", url)
	}
	req.Header.Set("Accept", openapi.MediaType+", application/json")
	if key != "" {
		req.Header.Set("Apikey", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.New(fault.ConfigInvalid, "%s does not answer", url).WithDetails("%s", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument))
	if err != nil {
		return fault.New(fault.ConfigInvalid, "%s does not answer to the end", url).WithDetails("%s", err)
	}
	if res.StatusCode != http.StatusOK {
		return fault.New(fault.ConfigInvalid, "%s answers %d", url, res.StatusCode).WithHint("--key, or PANDO_API_KEY, is one of the server's API keys")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.ConfigInvalid, "%s does not answer what a server of Pando does", url)
	}
	return nil
}
