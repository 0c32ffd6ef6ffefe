package authn_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"
)

//nolint:gochecknoglobals // a flag of the test binary
var update = flag.Bool("update", false, "write the answers into testdata/session.txt")

// TestSession plays testdata/session.txt against the whole stack, down to
// SQLite: lines that begin with > are requests (the method and path, headers,
// and after >| the body), the lines below each are its answer. What differs
// from run to run is written as $name, which a later request may use; "> mail"
// waits for the next mail, "> code" computes a factor's code, "> wait" moves
// the clock.
func TestSession(t *testing.T) {
	const file = "testdata/session.txt"
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{door: newDoor(t), vars: map[string]string{}}
	p.vars["$publishable"], p.vars["$secret"] = p.door.publishable, p.door.secret
	var out strings.Builder
	var block []string
	flush := func() {
		if len(block) > 0 {
			fmt.Fprintf(&out, "%s\n%s\n", strings.Join(block, "\n"), p.play(t, block))
			block = nil
		}
	}
	for line := range strings.Lines(string(in)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			block = append(block, line)
		case strings.HasPrefix(line, "#"):
			flush()
			fmt.Fprintf(&out, "%s\n\n", line)
		case line == "":
			flush()
		}
	}
	flush()
	got := strings.TrimSpace(out.String()) + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // a fixture, for everybody
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(string(in), got); diff != "" {
		t.Errorf("the answers changed (-want +got); run with -update when they should:\n%s", diff)
	}
}

// player sends requests and names what differs from run to run.
type player struct {
	door *door
	vars map[string]string // by their names, which begin with $
}

func (p *player) expand(text string) string {
	names := make([]string, 0, len(p.vars))
	for name := range p.vars {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) }) // $code2 before $code
	for _, name := range names {
		text = strings.ReplaceAll(text, name, p.vars[name])
	}
	return text
}

// mask is the reverse of expand.
func (p *player) mask(text string) string {
	names := make([]string, 0, len(p.vars))
	for name := range p.vars {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(len(p.vars[b])-len(p.vars[a]), strings.Compare(a, b))
	})
	for _, name := range names {
		if v := p.vars[name]; len(v) >= 6 {
			text = strings.ReplaceAll(text, v, name)
		}
	}
	text = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`).ReplaceAllString(text, "<jwt>")
	text = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(text, "<uuid>")
	text = regexp.MustCompile(`<svg.*?</svg>`).ReplaceAllString(text, "<svg>")
	text = regexp.MustCompile(`\b(refresh_token|code|secret)=[\w-]{20,}`).ReplaceAllString(text, "$1=…")
	text = regexp.MustCompile(`"(x|y|kid)":"[\w-]+"`).ReplaceAllString(text, `"$1":"…"`)
	return text
}

func (p *player) play(t *testing.T, block []string) string {
	t.Helper()
	verb, rest, _ := strings.Cut(strings.TrimPrefix(block[0], "> "), " ")
	switch verb {
	case "mail":
		return p.mail(t)
	case "code":
		code, err := totp.GenerateCode(p.vars["$totp"], p.door.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		p.vars["$code"] = code
		return "$code\n"
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatal(err)
		}
		p.door.clock.Advance(d)
		return p.door.clock.Now().Format(time.RFC3339) + "\n"
	}
	var body, headers []string
	for _, line := range block[1:] {
		if text, ok := strings.CutPrefix(line, ">| "); ok {
			body = append(body, p.expand(text))
			continue
		}
		k, v, _ := strings.Cut(strings.TrimPrefix(line, "> "), ": ")
		headers = append(headers, k, p.expand(v))
	}
	r := p.door.call(t, verb, p.expand(rest), strings.Join(body, "\n"), headers...)
	p.learn(r)
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", r.status)
	for _, k := range []string{"Content-Type", "Location", "Set-Cookie", "Link", "X-Total-Count", "Allow", "Www-Authenticate", "Retry-After"} {
		if v := r.header.Get(k); v != "" && v != "application/json" {
			fmt.Fprintf(&b, "%s: %s\n", k, p.mask(v))
		}
	}
	b.WriteString(p.mask(compact(r.body)))
	return cmp.Or(strings.TrimRight(b.String(), "\n"), "nothing") + "\n"
}

// learn names what an answer brings: the newest of each kind.
func (p *player) learn(r *reply) {
	if to, err := url.Parse(r.header.Get("Location")); err == nil && to.Query().Get("code") != "" {
		p.vars["$auth"] = to.Query().Get("code")
	}
	var v struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ID           string
		Type         string
		User         struct{ ID string }
		TOTP         struct{ Secret string }
		HashedToken  string `json:"hashed_token"`
		EmailOTP     string `json:"email_otp"`
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		return // no object
	}
	set := func(name, value string) {
		if value != "" {
			p.vars[name] = value
		}
	}
	if old := p.vars["$refresh"]; v.RefreshToken != "" && v.RefreshToken != old {
		set("$parent", old)
	}
	set("$access", v.AccessToken)
	set("$refresh", v.RefreshToken)
	set("$user", v.User.ID)
	set("$totp", v.TOTP.Secret)
	set("$hash", v.HashedToken)
	set("$code", v.EmailOTP)
	switch {
	case v.TOTP.Secret != "":
		set("$factor", v.ID)
	case v.Type == "totp":
		set("$challenge", v.ID)
	default:
		set("$user", v.ID)
	}
}

// mail waits for the next mail and names what it brings.
func (p *player) mail(t *testing.T) string {
	t.Helper()
	m := p.door.mails.next(t)
	if link := mailedLink.FindString(m.Text); link != "" {
		p.vars["$link"] = strings.TrimPrefix(link, "https://notes.example")
	}
	if code := mailedCode.FindString(m.Text); code != "" {
		p.vars["$code"] = code
	}
	return fmt.Sprintf("To: %s\nSubject: %s\n", m.To, m.Subject)
}
