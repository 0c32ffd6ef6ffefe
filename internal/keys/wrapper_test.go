package keys_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
)

func openWrapper(t testing.TB, dir string) *keys.Wrapper {
	t.Helper()
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wrap(t testing.TB, w *keys.Wrapper, plain, context string) []byte {
	t.Helper()
	out, err := w.Wrap([]byte(plain), []byte(context))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWrap(t *testing.T) {
	dir := t.TempDir()
	w := openWrapper(t, dir)
	for _, plain := range []string{"", "x", strings.Repeat("secret", 1000)} {
		out := wrap(t, w, plain, "factor/1")
		if len(plain) > 1 && bytes.Contains(out, []byte(plain)) { // one letter can stand there by chance
			t.Error("the wrapped value shows the plain one")
		}
		for _, opener := range []*keys.Wrapper{w, openWrapper(t, dir)} {
			got, err := opener.Unwrap(out, []byte("factor/1"))
			if err != nil || string(got) != plain {
				t.Errorf("unwrapped %q, %v", got, err)
			}
		}
	}
	if bytes.Equal(wrap(t, w, "same", "c"), wrap(t, w, "same", "c")) {
		t.Error("two wrappings of one value are equal")
	}
	_, err := w.Wrap(make([]byte, keys.MaxWrapped+1), nil)
	wantFault(t, err, fault.Internal, "too many")
}

func TestUnwrapRefuses(t *testing.T) {
	w := openWrapper(t, t.TempDir())
	out := wrap(t, w, "secret", "factor/1")
	refused := func(name string, w *keys.Wrapper, wrapped []byte, context string) {
		t.Helper()
		plain, err := w.Unwrap(wrapped, []byte(context))
		if plain != nil {
			t.Errorf("%s: opened", name)
		}
		wantFault(t, err, fault.ConfigInvalid, "cannot be opened")
	}
	refused("another context", w, out, "factor/2")
	refused("no context", w, out, "")
	refused("another master key", openWrapper(t, t.TempDir()), out, "factor/1")
	for i := range out {
		changed := bytes.Clone(out)
		changed[i] ^= 1
		refused("a changed byte", w, changed, "factor/1")
		refused("a cut value", w, out[:i], "factor/1")
	}
	refused("a longer value", w, append(bytes.Clone(out), 0), "factor/1")
}

func TestMasterKeyFile(t *testing.T) {
	dir := t.TempDir()
	openWrapper(t, dir)
	path := filepath.Join(dir, "keys", "master")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = keys.OpenWrapper(dir)
	wantFault(t, err, fault.ConfigInvalid, "can be read by others")
	for name, text := range map[string]string{"empty": "", "short": "abcd\n", "no hex": strings.Repeat("zz", 32), "long": strings.Repeat("ab", 33)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = keys.OpenWrapper(dir)
		if !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			t.Errorf("%s: the damaged file was touched", name)
		}
	}
}

// Processes that start at once share one master key.
func TestOpenWrapperConcurrently(t *testing.T) {
	dir := t.TempDir()
	wrappers := make([]*keys.Wrapper, 8)
	var wg sync.WaitGroup
	for i := range wrappers {
		wg.Go(func() {
			w, err := keys.OpenWrapper(dir)
			if err != nil {
				t.Error(err)
			}
			wrappers[i] = w
		})
	}
	wg.Wait()
	out := wrap(t, wrappers[0], "x", "c")
	for _, w := range wrappers {
		if _, err := w.Unwrap(out, []byte("c")); err != nil {
			t.Error(err)
		}
	}
}
