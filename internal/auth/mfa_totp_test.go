package auth

import (
	"crypto/rand"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"
	"time"
)

// rfcSecret is the secret of RFC 6238, appendix B: "12345678901234567890".
const rfcSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestTOTPVectors(t *testing.T) {
	// RFC 6238, appendix B, SHA-1; the last six of its eight digits.
	for at, code := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		step, ok := checkTOTP(rfcSecret, code, time.Unix(at, 0), 0)
		if !ok || step != at/30 {
			t.Errorf("at %d: %s is step %d, %v", at, code, step, ok)
		}
	}
}

func TestTOTPWindow(t *testing.T) {
	at := time.Unix(1234567890, 0)
	const code = "005924" // of the step of at
	for _, c := range []struct {
		shift time.Duration
		last  int64
		ok    bool
	}{
		{0, 0, true},
		{30 * time.Second, 0, true},
		{-30 * time.Second, 0, true},
		{60 * time.Second, 0, false},
		{-60 * time.Second, 0, false},
		{0, totpStep(at), false},
		{0, totpStep(at) + 1, false},
		{0, totpStep(at) - 1, true},
		{30 * time.Second, totpStep(at), false},
		{-30 * time.Second, totpStep(at), false},
	} {
		if _, ok := checkTOTP(rfcSecret, code, at.Add(c.shift), c.last); ok != c.ok {
			t.Errorf("shift %s, last %d: %v", c.shift, c.last, ok)
		}
	}
	for _, bad := range []string{"", "5924", "0059240", "00592x", "005925", " 05924", "00592\x00", strings.Repeat("9", 1<<20), "٠٠٥٩٢٤"} {
		if _, ok := checkTOTP(rfcSecret, bad, at, 0); ok {
			t.Errorf("%.20q is accepted", bad)
		}
	}
}

func TestNewTOTP(t *testing.T) {
	key, err := newTOTP(rand.Reader, "Shop: more", "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(key.Secret) != 32 {
		t.Errorf("a secret of %d characters, want 32 (20 bytes)", len(key.Secret))
	}
	u, err := url.Parse(key.URI)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Shop  more:ann@example.com" || u.Query().Get("secret") != key.Secret ||
		u.Query().Get("issuer") != "Shop  more" || u.Query().Get("digits") != "6" || u.Query().Get("period") != "30" {
		t.Errorf("URI %s", key.URI)
	}
	var svg struct {
		XMLName xml.Name `xml:"svg"`
		Path    []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(key.SVG), &svg); err != nil || len(svg.Path) != 2 || len(svg.Path[1].D) < 1000 {
		t.Errorf("the QR code is no SVG: %v", err)
	}
	if strings.Contains(key.SVG, "#") {
		t.Error("a # ends the data: URL that clients make of the SVG")
	}
	// The three corners' finder patterns, each row of 7 modules.
	if n := strings.Count(svg.Path[1].D, "h7v1h-7z"); n < 6 {
		t.Errorf("%d rows of finder patterns, want 6", n)
	}
	other, err := newTOTP(rand.Reader, "Shop", "ann@example.com")
	if err != nil || other.Secret == key.Secret {
		t.Error("two factors share a secret")
	}
	if _, err := newTOTP(rand.Reader, strings.Repeat("x", 4000), "a"); err == nil {
		t.Error("a text beyond the size of a QR code makes no error")
	}
}
