package auth

import (
	"crypto/subtle"
	"fmt"
	"image/color"
	"io"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// The parameters of a TOTP factor (RFC 6238). They are those that every
// authenticator understands: many ignore others and then show wrong codes.
const (
	totpPeriod = 30 // seconds
	totpDigits = 6
	totpSecret = 20 // bytes; RFC 4226, section 4: at least 16, better 20
	// totpSkew is how many steps a code may be early or late (RFC 6238, 5.2:
	// one at most).
	totpSkew = 1
)

// totpKey is a new TOTP secret and how an authenticator takes it over.
type totpKey struct {
	Secret string // base32 without padding
	URI    string // otpauth://totp/...
	SVG    string // the URI as a QR code
}

// newTOTP makes a secret. issuer and account are what an authenticator shows;
// a colon parts the two in the URI and is therefore taken out of either.
func newTOTP(random io.Reader, issuer, account string) (totpKey, error) {
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: strings.ReplaceAll(issuer, ":", " "), AccountName: strings.ReplaceAll(account, ":", " "),
		Period: totpPeriod, SecretSize: totpSecret, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1, Rand: random,
	})
	if err != nil {
		return totpKey{}, err
	}
	svg, err := qrSVG(key.URL())
	return totpKey{Secret: key.Secret(), URI: key.URL(), SVG: svg}, err
}

// totpStep returns the time step of now.
func totpStep(now time.Time) int64 { return now.Unix() / totpPeriod }

// checkTOTP returns the time step whose code was given, and false when it is
// no code of the secret around now or one of a step up to last: RFC 6238,
// section 5.2, a code is accepted once. It takes the same time wherever a
// wrong code differs.
func checkTOTP(secret, code string, now time.Time, last int64) (step int64, ok bool) {
	if len(code) != totpDigits {
		return 0, false
	}
	for d := int64(-totpSkew); d <= totpSkew; d++ {
		s := totpStep(now) + d
		if s <= last || s < 0 {
			continue
		}
		want, err := hotp.GenerateCodeCustom(secret, uint64(s), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// qrSVG draws a text as a QR code: one path, a unit for each module, and the
// quiet zone of four modules that readers need. It holds no '#', which would
// end a data: URL, since clients put the text after "data:image/svg+xml;utf-8,".
func qrSVG(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	const quiet = 4
	size := code.Bounds().Dx()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="white" d="M0 0h%dv%dH0z"/><path d="`,
		size+2*quiet, size+2*quiet, size+2*quiet, size+2*quiet)
	for y := range size {
		for x := 0; x < size; x++ {
			run := 0
			for x+run < size && code.At(x+run, y) == color.Black {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
