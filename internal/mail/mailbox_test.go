package mail

import (
	"context"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

func openTest(t *testing.T, cfg Config) Sender {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message() *Message {
	return &Message{
		To: "alice@shop.example", Subject: "Gr\u00fc\u00dfe: sign in", Text: "Sign in:\n\nhttps://shop.example/verify?token=abc=def&x=1\n\nOr type\n\n123456\n.\nFrom here\n",
		HTML: `<p>Sign in: <a href="https://shop.example/">h\u00e9re</a></p>` + "\n",
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	var notes []string
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := openTest(t, Config{Dir: dir, Now: func() time.Time { return at }, Note: func(line string) { notes = append(notes, line) }})
	if list, err := List(dir, 0); err != nil || len(list) != 0 {
		t.Fatalf("before the first mail: %v %v", list, err)
	}
	m := message()
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	at = at.Add(-time.Hour) // the clock goes back: the newest is still the last
	second := message()
	second.Subject, second.HTML = "second", ""
	if err := s.Send(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	list, err := List(dir, 0)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	k := list[0]
	if k.To != "<"+m.To+">" && k.To != m.To || k.Subject != m.Subject || k.Text != m.Text || k.HTML != m.HTML || k.Code != "123456" || k.Link != "https://shop.example/verify?token=abc=def&x=1" || !k.Time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)) {
		t.Errorf("%+v", k)
	}
	if k := list[1]; k.Subject != "second" || k.HTML != "" || k.Text != m.Text {
		t.Errorf("%+v", k)
	}
	if newest, err := List(dir, 1); err != nil || len(newest) != 1 || newest[0].Name != list[1].Name {
		t.Errorf("%v %v", newest, err)
	}
	if want := "mail to alice@shop.example: " + m.Subject + "  https://shop.example/verify?token=abc=def&x=1  123456"; len(notes) != 2 || notes[0] != want {
		t.Errorf("notes: %q", notes)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, k.Name): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	f, err := os.Open(filepath.Join(dir, k.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	parsed, err := mail.ReadMessage(f)
	if err != nil || parsed.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasSuffix(parsed.Header.Get("Message-Id"), "@pando.invalid>") {
		t.Errorf("%v %v", parsed.Header, err)
	}
}

func TestMailboxIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxKept + 5 {
		name := old.Add(time.Duration(i)).Format(nameFormat)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("Subject: old\r\n\r\nx"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, Config{Dir: dir})
	for range 3 {
		if err := s.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		if list, err := names(dir); err != nil || len(list) != maxKept || list[maxKept-1] < "2021" {
			t.Fatalf("%d mails are kept, %v", len(list), err)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestMailboxRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, Config{Dir: dir, Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := s.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := List(dir, 0); err != nil || len(list) != 8 {
		t.Errorf("%d of 8 mails, %v", len(list), err)
	}
}

func TestReadOnlyMails(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "mail")
	s := openTest(t, Config{Dir: dir})
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	name := time.Unix(1, 0).UTC().Format(nameFormat)
	secret := filepath.Join(root, name)
	if err := os.WriteFile(secret, []byte("Subject: secret\r\n\r\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "..", "../" + name, secret, "x.eml", name + "/..", "20260102T030405.000000000Z.eml"} {
		if k, err := Read(dir, name); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v %v", name, k, err)
		}
	}
	if k, err := Read(dir, name); err == nil {
		t.Errorf("a link out of the mailbox is followed: %v", k)
	}
	if list, err := List(dir, 0); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
}

func TestSendRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, Config{Dir: dir})
	for name, change := range map[string]func(*Message){
		"header in the subject":    func(m *Message) { m.Subject = "x\r\nBcc: all@evil.example" },
		"line feed in the subject": func(m *Message) { m.Subject = "x\nBcc: all@evil.example" },
		"long subject":             func(m *Message) { m.Subject = strings.Repeat("x", maxName+1) },
		"header in the address":    func(m *Message) { m.To = "alice@shop.example\r\nBcc: all@evil.example" },
		"two addresses":            func(m *Message) { m.To = "alice@shop.example, bob@shop.example" },
		"no address":               func(m *Message) { m.To = "" },
		"not normal":               func(m *Message) { m.To = "Alice@shop.example" },
		"header in the sender":     func(m *Message) { m.From = "x\r\nBcc: all@evil.example <a@shop.example>" },
		"no sender":                func(m *Message) { m.From = "x" },
	} {
		m := message()
		change(m)
		if err := s.Send(t.Context(), m); !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, message()); !fault.Is(err, fault.QueryCanceled) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v %v", entries, err)
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, Config{Dir: blocked}).Send(t.Context(), message()); !fault.Is(err, fault.StoreIO) {
		t.Errorf("into a file: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-0f-th3-s3rv3r"
	for _, u := range []string{
		"http://mail.example", "mail.example:25", "mailbox://elsewhere", "mailbox:///path", "mailbox://?x=1", "smtp://", "smtp:///path", "smtp://mail.example/path", "smtp://mail.example:0", "smtp://mail.example:65536",
		"smtp://mail.example?tls=maybe", "smtp://mail.example?x=1", "smtp://mail.example?tls=off&x", "smtps://mail.example?tls=off", "smtp://mail.example?%zz",
		"smtp://user:" + secret + "@mail.example?tls=off", "smtp://user:" + secret + "@127.0.0.1?tls=off", "smtp://user@mail.example", "smtp://:" + secret + "@mail.example",
		"smtp://user:" + secret + "@mail.example:port", "smtp://user:" + secret + "%zz@mail.example", "smtp://user:" + secret + "@", "smtp://user:secret:MISSING@mail.example",
	} {
		s, err := Open(Config{URL: u, From: "a@shop.example", Dir: t.TempDir()})
		if s != nil || !fault.Is(err, fault.ConfigInvalid) {
			t.Errorf("%s: %v", u, err)
			continue
		}
		if told := fmt.Sprintf("%+v %v", fault.From(err), fault.From(err).Cause); strings.Contains(told, secret) {
			t.Errorf("%s: the error shows the password: %s", u, told)
		}
	}
	for name, cfg := range map[string]Config{
		"no folder": {URL: "mailbox://"}, "no sender": {URL: "smtp://mail.example"}, "bad sender": {URL: "smtp://mail.example", From: "Shop"}, "bad sender of a mailbox": {Dir: "x", From: "Shop\n <a@shop.example>"},
	} {
		if _, err := Open(cfg); !fault.Is(err, fault.ConfigInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
