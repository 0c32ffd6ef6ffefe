package password

import (
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// Check returns why a new password is not good enough: [fault.AuthValidation]
// if it is none at all (see [Hasher.Hash]), [fault.AuthWeakPassword] if it has
// fewer than least characters (in NFC) or is easy to guess. about are texts that
// a guesser would try first: the parts of the user's e-mail address, the
// application's name. There are no rules about kinds of characters (NIST SP
// 800-63B-4, section 3.1.1).
//
// The fault's member weak_password has GoTrue's shape, which its clients read:
// a message, and the reasons "length" and "pwned".
func Check(pw string, least int, about ...string) error {
	if err := valid(pw); err != nil {
		return err
	}
	pw = normal(pw)
	var reasons []string
	message := ""
	if utf8.RuneCountInString(pw) < least {
		reasons = append(reasons, "length")
		message = fault.New(fault.AuthWeakPassword, "The password must have at least %d characters.", least).Message
	}
	if guessable(pw, about) {
		reasons = append(reasons, "pwned")
		if message != "" {
			message += " "
		}
		message += "The password is easy to guess."
	}
	if len(reasons) == 0 {
		return nil
	}
	err := fault.New(fault.AuthWeakPassword, "%s", message).WithHint("several words that do not belong together make a good password")
	err.Extra = map[string]any{"weak_password": map[string]any{"message": message, "reasons": reasons}}
	return err
}
