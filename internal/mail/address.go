package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/pandobase/pando/internal/fault"
)

const (
	maxAddress = 254 // RFC 5321 section 4.5.3.1.3, without the angle brackets
	maxLocal   = 64  // RFC 5321 section 4.5.3.1.1
	maxTyped   = 320 // bytes of an address as it was typed; what is longer is not looked at
)

// Address returns the one form of an e-mail address that accounts are found by:
// without spaces around it, in lower case, ASCII, the domain as it stands in the
// DNS (internationalised ones in Punycode).
//
// It refuses what could be taken for another address or is none: other
// characters than ASCII before the @, characters that Unicode has as another
// spelling of others (full-width, ligatures) or does not show, domains that are
// not valid under IDNA 2008 (RFC 5891), quotes, comments, routes, address
// literals, domains of one label. Nothing is mapped but case, so that two
// addresses are equal only if a person would type them alike. The error is
// [fault.AuthValidation]; it does not repeat the address.
func Address(text string) (string, error) {
	address, err := normalize(text)
	if err != nil {
		return "", fault.Wrap(err, fault.AuthValidation, "Unable to validate email address: invalid format").WithDetails("%v", err)
	}
	return address, nil
}

func normalize(text string) (string, error) {
	if len(text) > maxTyped {
		return "", fmt.Errorf("it is longer than %d bytes", maxAddress)
	}
	text = strings.Trim(text, " ")
	local, domain, found := strings.Cut(text, "@")
	switch {
	case !found || local == "" || domain == "":
		return "", errors.New("it needs a name, @ and a domain")
	case strings.Contains(domain, "@"):
		return "", errors.New("it has more than one @")
	}
	if err := checkLocal(local); err != nil {
		return "", err
	}
	domain, err := normalizeDomain(domain)
	if err != nil {
		return "", err
	}
	address := strings.ToLower(local) + "@" + domain
	if len(address) > maxAddress {
		return "", fmt.Errorf("it is longer than %d bytes", maxAddress)
	}
	return address, nil
}

// checkLocal accepts RFC 5322's dot-atom.
func checkLocal(local string) error {
	const specials = "!#$%&'*+/=?^_`{|}~-."
	for _, c := range []byte(local) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune(specials, rune(c)) {
			return errors.New("before the @ only letters from a to z, digits and " + specials + " are possible")
		}
	}
	switch {
	case len(local) > maxLocal:
		return fmt.Errorf("before the @ are more than %d characters", maxLocal)
	case local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, ".."):
		return errors.New("before the @ a dot stands between other characters")
	}
	return nil
}

func normalizeDomain(domain string) (string, error) {
	// Before case is folded: that would turn the Kelvin sign into a k.
	if !utf8.ValidString(domain) || norm.NFKC.String(domain) != domain {
		return "", errors.New("its domain has characters that are another spelling of others")
	}
	domain = strings.ToLower(domain)
	if strings.ContainsFunc(domain, notInDomain) {
		return "", errors.New("its domain has other characters than letters, digits, hyphens and dots")
	}
	// For registration: this profile refuses what the one for lookup maps.
	ascii, err := idna.New(idna.ValidateForRegistration(), idna.BidiRule()).ToASCII(domain)
	if err != nil || strings.ContainsFunc(ascii, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", errors.New("its domain is not valid") // idna's error repeats it
	}
	labels := strings.Split(ascii, ".")
	last := labels[len(labels)-1]
	switch {
	case len(labels) < 2:
		return "", errors.New("its domain has one label only")
	case last == "" || strings.Trim(last, "0123456789") == "":
		return "", errors.New("its domain ends with no name")
	}
	return ascii, nil
}

// notInDomain finds signs, emoji and invisible characters, which UTS 46 lets pass
// in part and IDNA 2008 does not.
func notInDomain(r rune) bool {
	if r <= unicode.MaxASCII {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	}
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
}

// party is who a mail is from.
type party struct{ name, address string }

// maxName bounds the name before an address and the subject, in bytes.
const maxName = 200

// parseFrom reads "Name <address>" or an address.
func parseFrom(text string) (party, error) {
	if err := oneLine(text); err != nil {
		return party{}, err
	}
	parsed, err := netmail.ParseAddress(text)
	if err != nil {
		return party{}, errors.New(`it must be an address or "Name <address>"`)
	}
	address, err := normalize(parsed.Address)
	if err != nil {
		return party{}, err
	}
	if len(parsed.Name) > maxName || oneLine(parsed.Name) != nil {
		return party{}, fmt.Errorf("the name must be one line of at most %d bytes", maxName)
	}
	return party{parsed.Name, address}, nil
}

// oneLine refuses what could end a header's line or hide in it.
func oneLine(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("it is not valid UTF-8")
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' {
			return errors.New("it has line breaks or control characters")
		}
	}
	return nil
}
