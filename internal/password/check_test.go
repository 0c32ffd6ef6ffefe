package password

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// reasons returns what Check says of a password, as a client reads it.
func reasons(t *testing.T, pw string, least int, about ...string) []string {
	t.Helper()
	err := Check(pw, least, about...)
	if err == nil {
		return nil
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != fault.AuthWeakPassword || f.Message == "" || pw != "password" && strings.Contains(f.Error(), pw) {
		t.Fatalf("%q: %v", pw, err)
	}
	weak, ok := f.Extra["weak_password"].(map[string]any)
	if !ok || weak["message"] != f.Message {
		t.Fatalf("%q: the member weak_password is %v", pw, f.Extra)
	}
	list, ok := weak["reasons"].([]string)
	if !ok || len(list) == 0 {
		t.Fatalf("%q: the reasons are %v", pw, weak["reasons"])
	}
	return list
}

func TestCheckRefusesGuessable(t *testing.T) {
	t.Parallel()
	about := []string{"alice.smith@shop.example", "Pando Shop"}
	for _, pw := range []string{
		"password", "Password1!", "P@ssw0rd2024", "password2024!!!", "passwordpassword", "PASSWORDPASSWORDPASSWORD", "p455w0rdp455w0rd",
		"123456789012345", "987654321098765", "111111111111111", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababab", "abc123abc123abc123",
		"abcdefghijklmnop", "zyxwvutsrqponmlk", "qwertyuiopasdfgh", "qwertzuiopasdfghjkl", "1qaz2wsx3edc4rfv", "1q2w3e4r5t6y7u8i", "qazwsxedcrfvtgb",
		"iloveyouiloveyou", "iloveyouforever!", "letmeinletmein123", "welcome123456789", "Welcome2Summer2025", "sunshine!sunshine", "administrator2026",
		"correcthorsebatterystaple", "thequickbrownfox", "changeme12345678", "!QAZ2wsx",
		"alice.smith2026!", "AliceSmith123456", "PandoSummer2026!", "pandoshop1234567", "5m1th-alice-2020",
		"\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4\u00c4",
	} {
		if got := reasons(t, pw, 8, about...); !slices.Contains(got, "pwned") {
			t.Errorf("%q is accepted: %v", pw, got)
		}
	}
	if got := reasons(t, "alicesmith123456", 8); got != nil {
		t.Errorf("a name of nobody in question is refused: %v", got)
	}
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	about := []string{"alice.smith@shop.example", "Pando Shop", "", "a"}
	for _, pw := range []string{
		"correct horse battery staple", "violet tractor hums quietly", "x7Kq9mZ2", "sYb3#kd9", "4f8a1c9e7b2d6035", "tr0ub4dor&3-plinth",
		"the summer my dragon moved out", "mein Fahrrad rostet im Garten", "\u79c1\u306e\u732b\u306f\u9b5a\u304c\u5927\u597d\u304d\u3067\u3059\u3088\u306d\u3048\u672c\u5f53", "839201746529183",
		"alice walked over gravel", strings.Repeat("long words without end ", 40) + "x", "  spaces count too  ", "tab\there is fine",
	} {
		if err := Check(pw, 8, about...); err != nil {
			t.Errorf("%q: %v", pw, err)
		}
	}
}

func TestCheckLength(t *testing.T) {
	t.Parallel()
	if got := reasons(t, "vX4#mq9Zk2!pLw", 15); !slices.Equal(got, []string{"length"}) {
		t.Errorf("14 characters of 15: %v", got)
	}
	if err := Check("vX4#mq9Zk2!pLwe", 15); err != nil {
		t.Errorf("15 characters of 15: %v", err)
	}
	// Characters, not bytes; composed, not as they were sent.
	if got := reasons(t, "\u00e9\u00e8\u00ea\u00eb\u00e0\u00e2", 7); !slices.Contains(got, "length") {
		t.Errorf("6 characters in 12 bytes: %v", got)
	}
	if got := reasons(t, "Xe\u0301q9", 5); !slices.Equal(got, []string{"length"}) {
		t.Errorf("4 characters, one of them in two parts: %v", got)
	}
	if got := reasons(t, "password", 15); !slices.Equal(got, []string{"length", "pwned"}) {
		t.Errorf("short and known: %v", got)
	}
	for name, pw := range map[string]string{"empty": "", "1 MiB": strings.Repeat("x", 1<<20), "1025 bytes": strings.Repeat("x", 1025), "no UTF-8": "\xff\xfe\xfd and some more"} {
		if err := Check(pw, 1); !fault.Is(err, fault.AuthValidation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(strings.Repeat("8fK2#", 3)+strings.Repeat("longer than any word ", 48), 15); err != nil {
		t.Errorf("1023 bytes: %v", err)
	}
}

func BenchmarkCheckLongest(b *testing.B) {
	pw := strings.Repeat("p4ssw0rd-and-qwerty-", 7)[:longestCheap-1] + "x"
	for b.Loop() {
		_ = Check(pw, 15, "alice@shop.example")
	}
}
