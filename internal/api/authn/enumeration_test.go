package authn_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// Nobody learns from an answer whether an address has an account: for a known
// and an unknown one the status, the headers and the shape are the same.
func TestAnswersDoNotTellAccounts(t *testing.T) {
	d := newDoor(t)
	d.member(t, "known@example.com")
	n := 0
	for name, c := range map[string]struct{ path, body string }{
		"sign-in":          {"/auth/v1/token?grant_type=password", `{"email":"ADDRESS","password":"not the password at all"}`},
		"sign-up":          {"/auth/v1/signup", `{"email":"ADDRESS","password":"another long password","data":{"a":1}}`},
		"recover":          {"/auth/v1/recover", `{"email":"ADDRESS"}`},
		"otp":              {"/auth/v1/otp", `{"email":"ADDRESS","create_user":false}`},
		"magic link":       {"/auth/v1/magiclink", `{"email":"ADDRESS"}`},
		"resend":           {"/auth/v1/resend", `{"email":"ADDRESS","type":"signup"}`},
		"resend change":    {"/auth/v1/resend", `{"email":"ADDRESS","type":"email_change"}`},
		"verify":           {"/auth/v1/verify", `{"email":"ADDRESS","type":"email","token":"123456"}`},
		"verify signup":    {"/auth/v1/verify", `{"email":"ADDRESS","type":"signup","token":"123456"}`},
		"verify recovery":  {"/auth/v1/verify", `{"email":"ADDRESS","type":"recovery","token":"123456"}`},
		"with a verifier":  {"/auth/v1/otp", `{"email":"ADDRESS","create_user":false,"code_challenge":"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM","code_challenge_method":"s256"}`},
		"recover, PKCE":    {"/auth/v1/recover", `{"email":"ADDRESS","code_challenge":"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM","code_challenge_method":"s256"}`},
		"case of letters":  {"/auth/v1/recover", `{"email":"ADDRESS"}`},
		"weak at sign-up":  {"/auth/v1/signup", `{"email":"ADDRESS","password":"short"}`},
		"verify, a hash":   {"/auth/v1/verify", `{"type":"recovery","token_hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`},
		"sign-in, no case": {"/auth/v1/token?grant_type=password", `{"email":"ADDRESS","password":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			d.clock.Advance(10 * time.Minute) // past every rate
			n++
			unknown := fmt.Sprintf("u%04d@example.com", n) // as long as the known one
			known := d.call(t, http.MethodPost, c.path, strings.ReplaceAll(c.body, "ADDRESS", "known@example.com"))
			other := d.call(t, http.MethodPost, c.path, strings.ReplaceAll(c.body, "ADDRESS", unknown))
			if diff := gocmp.Diff(shape(known, "known@example.com"), shape(other, unknown)); diff != "" {
				t.Errorf("a known address (-) and an unknown one (+):\n%s", diff)
			}
		})
	}
}

// shape is what can be seen of an answer without its accident.
func shape(r *reply, email string) string {
	r.header.Del("Date")
	body := strings.ReplaceAll(r.body, email, "ADDRESS")
	body = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(body, "UUID")
	body = regexp.MustCompile(`2026-03-01T\d\d:\d\d:\d\d(\.\d+)?Z`).ReplaceAllString(body, "TIME")
	var headers strings.Builder
	if err := r.header.Write(&headers); err != nil {
		return err.Error()
	}
	return http.StatusText(r.status) + "\n" + headers.String() + "\n" + body
}
