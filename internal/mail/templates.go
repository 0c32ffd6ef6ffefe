package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/pandobase/pando/internal/fault"
)

// Kind is what a mail is for; its templates are mails/KIND.txt and
// mails/KIND.html.
type Kind string

// The kinds of mails.
const (
	Confirmation     Kind = "confirmation"     // is this address yours? after a sign-up
	Recovery         Kind = "recovery"         // sign in to set a new password
	MagicLink        Kind = "magic_link"       // sign in
	Invite           Kind = "invite"           // you were invited
	EmailChange      Kind = "email_change"     // is the new address yours?
	Reauthentication Kind = "reauthentication" // the code that a change needs
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Confirmation, Recovery, MagicLink, Invite, EmailChange, Reauthentication}
}

// Data is what templates can show. Texts hold no control characters.
type Data struct {
	SiteURL  string // where the application is
	URL      string // the link that does it; "" if there is none
	Code     string // to type instead of following the link; "" if there is none
	Email    string // the account's address
	NewEmail string // the one it changes to, in email_change
	App      string // the application's name
}

// maxTemplate bounds a template's file, maxMail what one renders to, in bytes.
const (
	maxTemplate = 256 << 10
	maxMail     = 1 << 20
)

//go:embed builtin/*.txt builtin/*.html
var builtin embed.FS

// Templates are the mails of an application. They are safe for concurrent use.
type Templates struct{ kinds map[Kind]pair }

type pair struct {
	text *texttemplate.Template
	html *htmltemplate.Template // nil: the mail is text only
}

// LoadTemplates reads the templates of the application whose folder is fsys; nil
// has none of its own. mails/KIND.txt starts with a line "Subject: ..."; the rest
// is the text. mails/KIND.html is the same mail in HTML; where only the .txt
// is replaced, the mail has no HTML. Templates are Go's (text/template and
// html/template) over [Data].
//
// Each template is tried out: what is wrong is told at once, all of it, with
// file and line, as [fault.ConfigInvalid].
func LoadTemplates(fsys fs.FS) (*Templates, error) {
	t := &Templates{kinds: map[Kind]pair{}}
	problems := unknownFiles(fsys)
	for _, kind := range Kinds() {
		p, err := load(fsys, kind)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		t.kinds[kind] = p
		if err := p.try(); err != nil {
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the templates of mails are not valid").WithDetails("%v", err).
			WithHint("{{.URL}}, {{.Code}}, {{.Email}}, {{.NewEmail}}, {{.SiteURL}} and {{.App}} can be shown")
	}
	return t, nil
}

// unknownFiles finds templates that would never be used.
func unknownFiles(fsys fs.FS) (problems []error) {
	if fsys == nil {
		return nil
	}
	entries, err := fs.ReadDir(fsys, "mails")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []error{fmt.Errorf("mails: %w", err)}
	}
	var known []string
	for _, kind := range Kinds() {
		known = append(known, string(kind))
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext)
		if ext != ".txt" && ext != ".html" || slices.Contains(known, name) {
			continue
		}
		hint := "it must be one of " + strings.Join(known, ", ")
		if near := fault.Nearest(name, known); near != "" {
			hint = "is it " + near + ext + "?"
		}
		problems = append(problems, fmt.Errorf("mails/%s: there is no such mail; %s", e.Name(), hint))
	}
	return problems
}

func load(fsys fs.FS, kind Kind) (p pair, err error) {
	text, textName, ownText, err := source(fsys, kind, ".txt")
	if err != nil {
		return p, err
	}
	html, htmlName, ownHTML, err := source(fsys, kind, ".html")
	if err != nil {
		return p, err
	}
	if !strings.HasPrefix(text, subjectLine) {
		return p, fmt.Errorf("%s:1: the first line must be %q and the subject", textName, strings.TrimSpace(subjectLine))
	}
	if p.text, err = texttemplate.New(textName).Parse(text); err != nil {
		return p, err
	}
	if ownText && !ownHTML {
		return p, nil
	}
	p.html, err = htmltemplate.New(htmlName).Parse(html)
	return p, err
}

const subjectLine = "Subject: "

// source returns a template's text and the name that errors tell.
func source(fsys fs.FS, kind Kind, ext string) (text, name string, own bool, err error) {
	name = "mails/" + string(kind) + ext
	if fsys != nil {
		data, err := readFile(fsys, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return strings.ReplaceAll(string(data), "\r\n", "\n"), name, true, err
		}
	}
	name = "builtin/" + string(kind) + ext
	data, err := builtin.ReadFile(name)
	return string(data), name, false, err
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxTemplate {
		return nil, fmt.Errorf("%s: it is larger than %d bytes", name, maxTemplate)
	}
	return data, nil
}

// try renders a mail with everything and one with as little as there can be.
func (p pair) try() error {
	full := Data{SiteURL: "https://app.example", URL: "https://app.example/verify?token=x", Code: "123456", Email: "a@app.example", NewEmail: "b@app.example", App: "App"}
	for _, d := range []Data{full, {SiteURL: full.SiteURL, Code: full.Code, Email: full.Email, App: full.App}, {SiteURL: full.SiteURL, URL: full.URL, Email: full.Email}} {
		if _, err := p.render(d); err != nil {
			return err
		}
	}
	return nil
}

// Render makes the mail of a kind to d.Email, or to d.NewEmail if there is one
// and the kind is email_change: a caller that also asks the old address changes
// To. Data that cannot stand in a mail is [fault.Internal].
func (t *Templates) Render(kind Kind, d Data) (*Message, error) {
	p, ok := t.kinds[kind]
	if !ok {
		return nil, refused("the kind", fmt.Errorf("%q is none", kind))
	}
	if err := d.check(); err != nil {
		return nil, refused("the data", err)
	}
	m, err := p.render(d)
	if err != nil {
		return nil, fault.Wrap(fmt.Errorf("render the mail %s: %w", kind, err), fault.Internal, "the mail could not be made")
	}
	m.To = d.Email
	if kind == EmailChange && d.NewEmail != "" {
		m.To = d.NewEmail
	}
	return m, nil
}

// check refuses values that would make further lines, and links that lead to
// something else than a web page.
func (d Data) check() error {
	for _, text := range []string{d.SiteURL, d.URL, d.Code, d.Email, d.NewEmail, d.App} {
		if err := oneLine(text); err != nil {
			return err
		}
	}
	for _, link := range []string{d.URL, d.SiteURL} {
		if link == "" {
			continue
		}
		if u, err := url.Parse(link); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return errors.New("a link is no http or https URL")
		}
	}
	return nil
}

func (p pair) render(d Data) (*Message, error) {
	text := bounded{name: p.text.Name(), left: maxMail}
	if err := p.text.Execute(&text, d); err != nil {
		return nil, err
	}
	head, body, _ := strings.Cut(text.String(), "\n")
	m := &Message{
		Subject: strings.TrimSpace(strings.TrimPrefix(head, subjectLine)),
		Text:    strings.TrimSpace(body) + "\n",
	}
	if m.Subject == "" || m.Text == "\n" {
		return nil, fmt.Errorf("%s: subject and text must not be empty", p.text.Name())
	}
	if p.html != nil {
		html := bounded{name: p.html.Name(), left: maxMail}
		if err := p.html.Execute(&html, d); err != nil {
			return nil, err
		}
		m.HTML = html.String()
	}
	return m, nil
}

// bounded is a builder that ends a template which renders without end.
type bounded struct {
	strings.Builder
	name string // the template's
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("%s: the mail is larger than %d bytes", b.name, maxMail)
	}
	return b.Builder.Write(p)
}
