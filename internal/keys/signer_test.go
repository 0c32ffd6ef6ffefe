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

func openSigner(t testing.TB, dir string) *keys.Signer {
	t.Helper()
	s, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignAndVerify(t *testing.T) {
	dir := t.TempDir()
	s := openSigner(t, dir)
	payload := []byte("page 2")
	out := s.Sign([]byte("kept"), "cursor", payload)
	if !bytes.HasPrefix(out, []byte("kept")) || len(out) != len("kept")+keys.TagSize {
		t.Fatalf("signed %x", out)
	}
	tag := out[len("kept"):]
	if !s.Verify("cursor", payload, tag) || !openSigner(t, dir).Verify("cursor", payload, tag) {
		t.Error("an own signature is not recognised")
	}
	if openSigner(t, t.TempDir()).Verify("cursor", payload, tag) {
		t.Error("another node's signature is recognised")
	}
	for i := range tag {
		forged := bytes.Clone(tag)
		forged[i] ^= 1
		if s.Verify("cursor", payload, forged) {
			t.Errorf("byte %d does not count", i)
		}
	}
	for name, ok := range map[string]bool{
		"another purpose": s.Verify("token", payload, tag),
		"another payload": s.Verify("cursor", []byte("page 3"), tag),
		"moved border":    s.Verify("cursorp", []byte("age 2"), tag),
		"short":           s.Verify("cursor", payload, tag[:15]),
		"empty":           s.Verify("cursor", payload, nil),
		"long":            s.Verify("cursor", payload, append(bytes.Clone(tag), 0)),
	} {
		if ok {
			t.Errorf("%s is recognised", name)
		}
	}
	long := strings.Repeat("p", 200)
	if !s.Verify(long, payload, s.Sign(nil, long, payload)) {
		t.Error("a long purpose is not recognised")
	}
}

func TestSignerFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	openSigner(t, dir)
	path := filepath.Join(dir, "keys", "signing")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || folder.Mode().Perm() != 0o700 {
		t.Errorf("modes %v %v", info.Mode(), folder.Mode())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = keys.OpenSigner(keys.SignerConfig{Dir: dir})
	wantFault(t, err, fault.ConfigInvalid, "can be read by others")
}

func TestSignerRotation(t *testing.T) {
	dir := t.TempDir()
	s, other := openSigner(t, dir), openSigner(t, dir)
	payload := []byte("x")
	first := s.Sign(nil, "p", payload)
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	second := s.Sign(nil, "p", payload)
	if bytes.Equal(first, second) {
		t.Error("the key did not change")
	}
	if !s.Verify("p", payload, first) || !s.Verify("p", payload, second) {
		t.Error("current or previous are not recognised")
	}
	if other.Verify("p", payload, second) {
		t.Error("recognised before it was reloaded")
	}
	if err := other.Reload(); err != nil {
		t.Fatal(err)
	}
	if !other.Verify("p", payload, second) || !bytes.Equal(other.Sign(nil, "p", payload), second) {
		t.Error("the reload did not take")
	}
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	if s.Verify("p", payload, first) || !s.Verify("p", payload, second) {
		t.Error("only the previous key may live on")
	}
}

func TestSignerRefusesDamage(t *testing.T) {
	line := strings.Repeat("ab", 32) + "\n"
	for name, text := range map[string]string{
		"empty": "", "short": "abcd\n", "no hex": strings.Repeat("zz", 32), "three": line + line + line, "half": line + "ab\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSigner(t, dir)
			tag := s.Sign(nil, "p", nil)
			if err := os.WriteFile(filepath.Join(dir, "keys", "signing"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
			wantFault(t, err, fault.ConfigInvalid, "damaged")
			wantFault(t, s.Reload(), fault.ConfigInvalid, "damaged")
			if !s.Verify("p", nil, tag) {
				t.Error("the running signer lost its key")
			}
		})
	}
}

func TestSignerConcurrently(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	signers := make([]*keys.Signer, 8)
	for i := range signers {
		wg.Go(func() {
			s, err := keys.OpenSigner(keys.SignerConfig{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			signers[i] = s
		})
	}
	wg.Wait()
	tag := signers[0].Sign(nil, "p", []byte("x"))
	for _, s := range signers {
		wg.Go(func() {
			for range 200 {
				if !s.Verify("p", []byte("x"), tag) {
					t.Error("not recognised")
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkSign(b *testing.B) {
	s := openSigner(b, b.TempDir())
	payload := make([]byte, 100)
	buf := make([]byte, 0, keys.TagSize)
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(buf, "cursor", payload)
	}
}
