package password

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	const pw = "violet tractor hums"
	encoded, err := h.Hash(t.Context(), pw)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") || !Importable(encoded) {
		t.Fatalf("the hash is %s", encoded)
	}
	other, err := h.Hash(t.Context(), pw)
	if err != nil || other == encoded {
		t.Fatalf("two hashes of one password: %v, equal %v", err, other == encoded)
	}
	for text, want := range map[string]bool{pw: true, pw + " ": false, pw[:len(pw)-1]: false, strings.ToUpper(pw): false, "": false} {
		ok, rehash, err := h.Verify(t.Context(), encoded, text)
		if ok != want || rehash || err != nil {
			t.Errorf("%q: %v %v %v", text, ok, rehash, err)
		}
	}
}

// All of a long password counts (attack 28), and one spelling of Unicode is the
// other.
func TestVerifyWholePassword(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	long := strings.Repeat("0123456789", 102) + "abcd" // 1024 bytes
	encoded, err := h.Hash(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(t.Context(), encoded, long); !ok || err != nil {
		t.Errorf("1024 bytes: %v %v", ok, err)
	}
	if ok, _, _ := h.Verify(t.Context(), encoded, long[:1023]+"x"); ok {
		t.Error("the last byte does not count")
	}
	if encoded, err = h.Hash(t.Context(), "caf\u00e9 au lait, s'il"); err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(t.Context(), encoded, "cafe\u0301 au lait, s'il"); !ok || err != nil {
		t.Errorf("decomposed: %v %v", ok, err)
	}
	for _, other := range []string{"cafe au lait, s'il", "caf\u00e9 au lait, s'\uff49l"} {
		if ok, _, _ := h.Verify(t.Context(), encoded, other); ok {
			t.Errorf("%q is another password", other)
		}
	}
}

// What cannot be a password is refused before any work, the same for known and
// unknown accounts: here all turns are taken, and nobody waits.
func TestImpossiblePasswordsCostNothing(t *testing.T) {
	t.Parallel()
	h := New(Config{Concurrency: 1, Queue: 1, Wait: time.Hour})
	encoded, err := h.Hash(t.Context(), "violet tractor hums")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.turns.take(t.Context(), h.turns.whole); err != nil {
		t.Fatal(err)
	}
	for name, pw := range map[string]string{"empty": "", "1 MiB": strings.Repeat("x", 1<<20), "1025 bytes": strings.Repeat("x", MaxBytes+1), "no UTF-8": "\xc3\x28 and some more"} {
		if _, err := h.Hash(t.Context(), pw); !fault.Is(err, fault.AuthValidation) {
			t.Errorf("Hash %s: %v", name, err)
		}
		if ok, rehash, err := h.Verify(t.Context(), encoded, pw); ok || rehash || err != nil {
			t.Errorf("Verify %s: %v %v %v", name, ok, rehash, err)
		}
		if err := h.Dummy(t.Context(), pw); err != nil {
			t.Errorf("Dummy %s: %v", name, err)
		}
	}
}

// Known and unknown accounts, and accounts without password, wait in the same
// queue for the same resources.
func TestEveryoneQueues(t *testing.T) {
	t.Parallel()
	h := New(Config{Concurrency: 1, Queue: 1, Wait: 20 * time.Millisecond})
	encoded, err := h.Hash(t.Context(), "violet tractor hums")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.turns.take(t.Context(), h.turns.whole); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"Hash":            func() error { _, err := h.Hash(t.Context(), "x"); return err },
		"Verify":          func() error { _, _, err := h.Verify(t.Context(), encoded, "x"); return err },
		"without a hash":  func() error { _, _, err := h.Verify(t.Context(), "", "x"); return err },
		"an imported one": func() error { _, _, err := h.Verify(t.Context(), foreign()["bcrypt"], "x"); return err },
		"Dummy":           func() error { return h.Dummy(t.Context(), "x") },
	} {
		if err := do(); !fault.Is(err, fault.Overloaded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.turns.give(h.turns.whole)
	if ok, rehash, err := h.Verify(t.Context(), "", "x"); ok || rehash || err != nil {
		t.Errorf("an account without password: %v %v %v", ok, rehash, err)
	}
	if h.turns.free != h.turns.whole {
		t.Errorf("%v of %v is free", h.turns.free, h.turns.whole)
	}
}

// Dummy does the work of a Verify with one of our hashes: the parameters decide
// about it, so that no clock is needed to compare.
func TestDummyIsAVerify(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	encoded, err := h.Hash(t.Context(), "violet tractor hums")
	if err != nil {
		t.Fatal(err)
	}
	own, err := parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	work := func(h hash) string {
		a, ok := h.(*argon2Hash)
		if !ok {
			t.Fatalf("%T", h)
		}
		return fmt.Sprintf("argon2id %v m=%d t=%d p=%d salt %d sum %d", a.id, a.memory, a.passes, a.lanes, len(a.salt), len(a.sum))
	}
	if got, want := work(dummy()), work(own); got != want {
		t.Errorf("a dummy is %s, a hash %s", got, want)
	}
}

// foreign are hashes of "user1password" made by other systems: bcrypt by
// libxcrypt, scrypt and PBKDF2 by Python's hashlib (OpenSSL), Firebase's by its
// own documentation, argon2 by the reference implementation's tests.
func foreign() map[string]string {
	return map[string]string{
		"bcrypt":    "$2b$05$abcdefghijklmnopqrstuuzwGzMsJiHnC0bclquCqnk4cYoQFvaMK",
		"bcrypt 2a": "$2a$05$abcdefghijklmnopqrstuuzwGzMsJiHnC0bclquCqnk4cYoQFvaMK",
		"bcrypt 2y": "$2y$05$abcdefghijklmnopqrstuuzwGzMsJiHnC0bclquCqnk4cYoQFvaMK",
		"scrypt":    "$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$rXs2+RwIkjSVdiKEIYn4tEZUfHmboI4RAmXjtCzyFdc",
		"Firebase": "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==" +
			"$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
		"PBKDF2":     "$pbkdf2-sha256$i=10000,l=32$c2FsdHNhbHRzYWx0c2FsdA$eSJ0KjzRJapCn4vxtKYl30mRRuh/XyE7ldjxAMb0ByE",
		"passlib":    "$pbkdf2-sha256$10000$c2FsdHNhbHRzYWx0c2FsdA$eSJ0KjzRJapCn4vxtKYl30mRRuh/XyE7ldjxAMb0ByE",
		"PBKDF2 512": "$pbkdf2-sha512$i=10000$c2FsdHNhbHRzYWx0c2FsdA$dHnhW8skHnyNMUr3Euuifz28GKK9lrOIRtJKyi8TC0B0CLpeAnGpLhzMDqC8e6qJMGhjmpl1+GVyQAkmf4EHGA",
		"Django":     "pbkdf2_sha256$10000$saltsalt1234$84eimtaEinFaktBdwUUP77YGJfaytkKZ5l/ICrY1Dvo=",
	}
}

func TestVerifyForeign(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	check := func(name, encoded, pw string) {
		t.Helper()
		if !Importable(encoded) {
			t.Errorf("%s is not importable", name)
		}
		if ok, rehash, err := h.Verify(t.Context(), encoded, pw); !ok || !rehash || err != nil {
			t.Errorf("%s: %v %v %v", name, ok, rehash, err)
		}
		if ok, rehash, err := h.Verify(t.Context(), encoded, pw[1:]); ok || rehash || err != nil {
			t.Errorf("%s with another password: %v %v %v", name, ok, rehash, err)
		}
	}
	for name, encoded := range foreign() {
		check(name, encoded, "user1password")
	}
	check("argon2id", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password")
	check("argon2i", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password")

	// bcrypt knows the first 72 bytes: with more, anything would be right.
	const long = "$2b$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q"
	for n, want := range map[int]bool{100: false, 72: true, 73: false, 71: false} {
		if ok, _, err := h.Verify(t.Context(), long, strings.Repeat("x", n)); ok != want || err != nil {
			t.Errorf("bcrypt with %d bytes: %v %v", n, ok, err)
		}
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	for name, c := range map[string]struct {
		change func(*argon2Hash)
		want   bool
	}{
		"ours":          {func(*argon2Hash) {}, false},
		"stronger":      {func(a *argon2Hash) { a.memory, a.passes = 32<<10, 3 }, false},
		"more lanes":    {func(a *argon2Hash) { a.lanes = 4 }, false},
		"less memory":   {func(a *argon2Hash) { a.memory = 16 << 10 }, true},
		"fewer passes":  {func(a *argon2Hash) { a.passes = 1 }, true},
		"argon2i":       {func(a *argon2Hash) { a.id = false }, true},
		"shorter salt":  {func(a *argon2Hash) { a.salt = a.salt[:8] }, true},
		"shorter hash":  {func(a *argon2Hash) { a.sum = make([]byte, 16) }, true},
		"two and three": {func(a *argon2Hash) { a.memory, a.passes = 12<<10, 3 }, true},
	} {
		a := ownArgon2([]byte("0123456789abcdef"))
		a.sum = make([]byte, sumBytes)
		c.change(a)
		a.sum = a.derive("pw", uint32(len(a.sum)))
		if ok, rehash, err := h.Verify(t.Context(), a.String(), "pw"); !ok || rehash != c.want || err != nil {
			t.Errorf("%s: %v %v %v", name, ok, rehash, err)
		}
	}
}

// Hashes that are broken, unknown, or would eat the machine are neither imported
// nor computed, and no error shows any part of them.
func TestNotImportable(t *testing.T) {
	t.Parallel()
	const salt, sum = "c2FsdHNhbHRzYWx0c2FsdA", "eSJ0KjzRJapCn4vxtKYl30mRRuh/XyE7ldjxAMb0ByE"
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + sum }
	sc := func(params string) string { return "$scrypt$" + params + "$" + salt + "$" + sum }
	fb := func(params, salt, sum string) string { return "$fbscrypt$" + params + "$" + salt + "$" + sum }
	pb := func(params string) string { return "$pbkdf2-sha256$" + params + "$" + salt + "$" + sum }
	h := New(Config{})
	for _, encoded := range []string{
		"", "password", "$", "$$$$$$", "{SSHA}abc", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$abc$def", "$6$salt$hash", "$2x$05$abcdefghijklmnopqrstuuzwGzMsJiHnC0bclquCqnk4cYoQFvaMK",
		argon("m=131073,t=1,p=1"), argon("m=4294967295,t=1,p=1"), argon("m=18446744073709551617,t=1,p=1"), argon("m=131072,t=5,p=1"), argon("m=1024,t=17,p=1"), argon("m=1024,t=2147483647,p=1"),
		argon("m=1024,t=0,p=1"), argon("m=1024,t=1,p=0"), argon("m=1024,t=1,p=17"), argon("m=7,t=1,p=1"), argon("m=-1,t=1,p=1"), argon("m=1024,t=1"), argon("m=1024,t=1,p=1,m=8"),
		argon("m=1024,t=1,p=1,data=x"), argon("t=1,p=1"), argon(""), argon("m=,t=1,p=1"), argon("m=1024,t=1,p=1") + "$x",
		"$argon2id$v=16$m=1024,t=1,p=1$" + salt + "$" + sum, "$argon2id$m=1024,t=1,p=1$" + salt + "$" + sum, "$argon2d$v=19$m=1024,t=1,p=1$" + salt + "$" + sum,
		"$argon2id$v=19$m=1024,t=1,p=1$c2FsdA$" + sum, "$argon2id$v=19$m=1024,t=1,p=1$$" + sum, "$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$", "$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$!!!!",
		"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + strings.Repeat("A", 88), "$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + sum[:20] + "\n" + sum[20:],
		strings.Replace(foreign()["bcrypt"], "$05$", "$15$", 1), strings.Replace(foreign()["bcrypt"], "$05$", "$31$", 1), strings.Replace(foreign()["bcrypt"], "$05$", "$03$", 1),
		foreign()["bcrypt"] + "x", foreign()["bcrypt"][:59], strings.Replace(foreign()["bcrypt"], "zwGz", "zw z", 1), "$2b$05$", "$2a$",
		sc("ln=18,r=8,p=1"), sc("ln=63,r=8,p=1"), sc("ln=0,r=8,p=1"), sc("ln=14,r=0,p=1"), sc("ln=14,r=8,p=0"), sc("ln=14,r=1073741824,p=1"), sc("ln=14,r=8,p=33"), sc("ln=1,r=1,p=2147483647"), sc("ln=14,r=8"),
		fb("v=1,n=14,r=8,p=1,ss=Bw==", salt, sum), fb("v=2,n=14,r=8,p=1,sk="+sum, salt, sum), fb("v=1,n=20,r=8,p=1,sk="+sum, salt, sum), fb("v=1,n=14,r=8,p=1,sk="+sum+",sk="+sum, salt, sum),
		fb("v=1,n=14,r=8,p=1,sk="+sum, salt, sum[:22]), fb("v=1,n=14,r=8,p=1,ss=!,sk="+sum, salt, sum), fb("v=1,n=14,r=8,p=1,sk="+sum, "", sum),
		pb("i=4000001"), pb("i=0"), pb("i=9999999999"), pb("i=1000,l=31"), pb("i=1000,x=1"), pb(""), "$pbkdf2-sha256$i=1000$" + salt + "$" + strings.Repeat("A", 64), "$pbkdf2-md5$i=1000$" + salt + "$" + sum,
		"pbkdf2_sha256$$saltsalt$" + sum, "pbkdf2_sha256$4000001$saltsalt$" + sum, "pbkdf2_sha256$1000$salt$" + sum, "pbkdf2_sha256$1000$saltsalt", "pbkdf2_sha256$1000$saltsalt$abc",
		argon("m=1024,t=1,p=1") + strings.Repeat("A", 1<<20),
	} {
		short := encoded[:min(len(encoded), 90)]
		if Importable(encoded) {
			t.Errorf("%s is importable", short)
		}
		if encoded == "" {
			continue // an account without password
		}
		ok, rehash, err := h.Verify(t.Context(), encoded, "password")
		f, isFault := errors.AsType[*fault.Error](err)
		if ok || rehash || !isFault || f.Code != fault.Internal {
			t.Errorf("%s: %v %v %v", short, ok, rehash, err)
			continue
		}
		if told := f.Error() + f.Cause.Error(); strings.Contains(told, salt) || strings.Contains(told, sum) || len(encoded) > 20 && strings.Contains(told, encoded) {
			t.Errorf("%s: the error shows it: %s", short, told)
		}
	}
}

func TestHashNeedsRandomness(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	h := New(Config{Random: iotest.ErrReader(broken)})
	if encoded, err := h.Hash(t.Context(), "violet tractor hums"); !errors.Is(err, broken) || encoded != "" {
		t.Errorf("%q %v", encoded, err)
	}
	h = New(Config{Random: io.LimitReader(bytes.NewReader(make([]byte, 100)), saltBytes-1)})
	if _, err := h.Hash(t.Context(), "violet tractor hums"); err == nil {
		t.Error("a salt of 15 bytes is taken")
	}
	h = New(Config{Random: bytes.NewReader([]byte("0123456789abcdef"))})
	if encoded, err := h.Hash(t.Context(), "violet tractor hums"); err != nil || !strings.Contains(encoded, "$MDEyMzQ1Njc4OWFiY2RlZg$") {
		t.Errorf("%q %v", encoded, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	h := New(Config{})
	encoded, err := h.Hash(context.Background(), "violet tractor hums")
	if err != nil {
		b.Fatal(err)
	}
	all := foreign()
	all["own"] = encoded
	for name, encoded := range all {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := h.Verify(b.Context(), encoded, "another password"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, encoded := range foreign() {
		f.Add(encoded)
	}
	f.Add(fmt.Sprint(ownArgon2(make([]byte, saltBytes))))
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := parse(encoded)
		if err != nil {
			return
		}
		if c := h.cost(); c.memory < 0 || c.memory > 129<<20 || c.cpus < 1 || c.cpus > maxLanes {
			t.Errorf("%s costs %+v", encoded, c)
		}
	})
}
