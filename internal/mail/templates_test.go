package mail

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/fault"
)

func data() Data {
	return Data{
		SiteURL: "https://shop.example", URL: "https://shop.example/auth/v1/verify?token=abc&type=signup", Code: "123456",
		Email: "alice@shop.example", NewEmail: "alice@new.example", App: "Shop",
	}
}

func load0(t *testing.T, files map[string]string) (*Templates, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return LoadTemplates(fsys)
}

func TestBuiltinTemplates(t *testing.T) {
	t.Parallel()
	templates, err := LoadTemplates(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds() {
		m, err := templates.Render(kind, data())
		if err != nil {
			t.Fatal(err)
		}
		want := "alice@shop.example"
		if kind == EmailChange {
			want = "alice@new.example"
		}
		if m.To != want {
			t.Errorf("%s goes to %s, want %s", kind, m.To, want)
		}
		if m.Subject == "" || strings.Contains(m.Subject, "Subject") || !strings.Contains(m.Subject, "Shop") {
			t.Errorf("%s has the subject %q", kind, m.Subject)
		}
		if linkOf(m.Text) != data().URL || codeOf(m.Text) != "123456" {
			t.Errorf("%s: link %q and code %q in\n%s", kind, linkOf(m.Text), codeOf(m.Text), m.Text)
		}
		if !strings.Contains(m.HTML, "123456") || !strings.Contains(m.HTML, `href="https://shop.example/auth/v1/verify?token=abc&amp;type=signup"`) {
			t.Errorf("%s has no link or code in\n%s", kind, m.HTML)
		}
		codeOnly := data()
		codeOnly.URL = ""
		if m, err = templates.Render(kind, codeOnly); err != nil || codeOf(m.Text) != "123456" || strings.Contains(m.HTML, "href") {
			t.Errorf("%s without a link: %v\n%s", kind, err, m.Text)
		}
	}
}

func TestApplicationTemplates(t *testing.T) {
	t.Parallel()
	templates, err := load0(t, map[string]string{
		"mails/recovery.txt":    "Subject: Hello {{.Email}}\r\nGo to {{.URL}}\r\n",
		"mails/magic_link.html": `<b>{{.App}}</b><a href="{{.URL}}">x</a>`,
		"mails/readme.md":       "not a template",
	})
	if err != nil {
		t.Fatal(err)
	}
	d := data()
	d.App = `<script>alert("1")</script>`
	m, err := templates.Render(Recovery, d)
	if err != nil || m.Subject != "Hello alice@shop.example" || m.Text != "Go to "+d.URL+"\n" || m.HTML != "" {
		t.Errorf("%v %+v", err, m)
	}
	m, err = templates.Render(MagicLink, d)
	if err != nil || !strings.HasPrefix(m.HTML, "<b>&lt;script&gt;") || !strings.Contains(m.Text, d.URL) {
		t.Errorf("%v %+v", err, m)
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, text, want string }{
		"syntax":        {"mails/recovery.txt", "Subject: x\nhello\n{{.URL", "mails/recovery.txt:3"},
		"unknown field": {"mails/recovery.txt", "Subject: x\n\n{{.Token}}", "mails/recovery.txt:3"},
		"html syntax":   {"mails/invite.html", "<p>\n{{if .URL}}", "mails/invite.html:2"},
		"html field":    {"mails/invite.html", "<p>\n{{.Confirm}}", "mails/invite.html:2"},
		"html context":  {"mails/invite.html", "<p>\n<a href='{{if .URL}}x'{{end}}>", "mails/invite.html:2"},
		"no subject":    {"mails/invite.txt", "Hello", "mails/invite.txt:1"},
		"empty text":    {"mails/invite.txt", "Subject: x\n", "mails/invite.txt"},
		"empty subject": {"mails/invite.txt", "Subject: {{.NewEmail}}\nx", "mails/invite.txt"},
		"wrong name":    {"mails/recover.txt", "Subject: x\nx", "recovery.txt"},
		"too large":     {"mails/invite.txt", "Subject: x\n" + strings.Repeat("x", maxTemplate), "mails/invite.txt"},
		"endless":       {"mails/invite.txt", "Subject: x\n{{define \"a\"}}" + strings.Repeat("x", 1000) + "{{template \"a\"}}{{end}}{{template \"a\"}}", "mails/invite.txt"},
	} {
		_, err := load0(t, map[string]string{c.file: c.text})
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != fault.ConfigInvalid || !strings.Contains(f.Details, c.want) {
			t.Errorf("%s: %v, want %s in the details", name, err, c.want)
		}
	}
	_, err := load0(t, map[string]string{"mails/invite.txt": "x", "mails/recovery.txt": "x"})
	if f, ok := errors.AsType[*fault.Error](err); !ok || !strings.Contains(f.Details, "invite.txt") || !strings.Contains(f.Details, "recovery.txt") {
		t.Errorf("two wrong templates: %v", err)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	templates, err := LoadTemplates(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Data){
		"line break in the app":  func(d *Data) { d.App = "Shop\nBcc: x@evil.example" },
		"carriage return":        func(d *Data) { d.Email = "a@b.example\rX: y" },
		"line separator":         func(d *Data) { d.App = "a\u2028b" },
		"NUL":                    func(d *Data) { d.Code = "1\x00" },
		"no UTF-8":               func(d *Data) { d.App = "\xff" },
		"javascript":             func(d *Data) { d.URL = "javascript:alert(1)" },
		"relative link":          func(d *Data) { d.URL = "/verify" },
		"link without host":      func(d *Data) { d.URL = "https:///verify" },
		"site that is no web":    func(d *Data) { d.SiteURL = "data:text/html,x" },
		"scheme with upper case": func(d *Data) { d.URL = "JavaScript:alert(1)" },
	} {
		d := data()
		change(&d)
		if m, err := templates.Render(Confirmation, d); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v %+v", name, err, m)
		}
	}
	if _, err := templates.Render("other", data()); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
}
