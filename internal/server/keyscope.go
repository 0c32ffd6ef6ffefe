package server

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// SigningKey is the answer to `pando keys rotate signing`.
type SigningKey struct {
	Active string `json:"active"` // the id of the key that signs now
}

// cmdRotateSigning lets the next key sign access tokens.
func (n *Node) cmdRotateSigning(w http.ResponseWriter, r *http.Request) error {
	id := operator()
	if err := n.auth.RotateSigning(r.Context(), &id, r.URL.Query().Get("revoke") == "true"); err != nil {
		return err
	}
	return answer(w, SigningKey{Active: n.auth.SigningKey()})
}

// knownScope checks that the application has the roles and modules that a key
// is bounded to.
func knownScope(app *model.App, roles, modules []string) error {
	var names []string
	for _, m := range app.Modules {
		names = append(names, m.Name)
	}
	declared := slices.Sorted(maps.Keys(app.Config.Roles))
	for _, list := range []struct {
		what         string
		words, known []string
		where        string
	}{
		{"role", roles, declared, "roles are declared in pando.yaml"},
		{"module", modules, names, "a module is a file in the folder modules"},
	} {
		for _, word := range list.words {
			if slices.Contains(list.known, word) {
				continue
			}
			f := fault.New(fault.BadRequest, "the application has no %s %q", list.what, word).WithHint("%s", list.where)
			if near := fault.Nearest(word, list.known); near != "" {
				f = f.WithHint("did you mean %q?", near)
			}
			return f
		}
	}
	return nil
}

// parseLife reads how long a key lives: days (90d) or weeks (12w), or what
// time.ParseDuration reads.
func parseLife(text string) (time.Duration, error) {
	bad := fault.New(fault.BadRequest, "%q is no time that a key lives", text).WithHint("write it as 90d, 12w or 24h")
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		digits, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || n == 0 || n > uint64(math.MaxInt64/unit) {
			return 0, bad
		}
		return time.Duration(n) * unit, nil
	}
	life, err := time.ParseDuration(text)
	if err != nil || life <= 0 {
		return 0, bad
	}
	return life, nil
}
