package auth

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// clean is a text of a caller as the store takes it: valid, NFC, without NUL,
// and of at most so many bytes.
func clean(s string, most int) string {
	s = norm.NFC.String(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), ""))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

func joined(list []string) string { return strings.Join(list, " ") }
