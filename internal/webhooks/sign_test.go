package webhooks_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/webhooks"
)

// The example of the standard's own libraries.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTimestamp = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

const rawSecret = "an-old-secret-of-forty-bytes-or-about-so"

// private and public are a pair of Ed25519.
const (
	private = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
	public  = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

func TestVector(t *testing.T) {
	t.Parallel()
	at := time.Unix(vectorTimestamp, 0)
	got, err := webhooks.Sign(vectorSecret, vectorID, at, []byte(vectorBody))
	if err != nil || got != vectorSignature {
		t.Errorf("%s, %v", got, err)
	}
	v, err := webhooks.Verify(vectorSecret, headers(vectorID, at, got), []byte(vectorBody), at)
	if err != nil || v.ID != vectorID || !v.At.Equal(at) {
		t.Errorf("%+v, %v", v, err)
	}
}

func headers(id string, at time.Time, signature string) http.Header {
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)}, "Webhook-Signature": {signature}}
}

// TestRotation: what was signed with any of the sender's keys is known by any of
// the receiver's.
func TestRotation(t *testing.T) {
	t.Parallel()
	now, body := time.Now(), []byte("{}")
	for _, tt := range []struct {
		sign, verify string
		ok           bool
	}{
		{rawSecret[:16], rawSecret[:16], true},
		{vectorSecret, strings.TrimRight(vectorSecret, "="), true},
		{vectorSecret + " " + private, vectorSecret, true},
		{vectorSecret + "\n" + private + "\n", public, true},
		{private, private, true},
		{private, vectorSecret, false},
		{vectorSecret, public + " " + vectorSecret, true},
		{"another-secret-of-the-sender " + vectorSecret, "0123456789abcdef-new " + vectorSecret, true},
		{"another-secret-of-the-sender", vectorSecret, false},
		// The public key of v1a is no secret: it must not work as one of v1.
		{strings.TrimPrefix(public, "whpk_"), public, false},
		{"whsec_" + strings.TrimPrefix(public, "whpk_"), public, false},
	} {
		signature, err := webhooks.Sign(tt.sign, "msg_1", now, body)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Fields(tt.sign)); strings.Count(signature, ",") != n {
			t.Errorf("%d keys made %s", n, signature)
		}
		if _, err = webhooks.Verify(tt.verify, headers("msg_1", now, signature), body, now); (err == nil) != tt.ok {
			t.Errorf("%s for %s: %v", tt.sign, tt.verify, err)
		}
	}
}

// badSecrets must neither sign nor verify anything.
func badSecrets() []string {
	return []string{
		"", " ", "\n", "short", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsk_c2hvcnQ=", "whpk_", "whsec", strings.Repeat("x ", 4), strings.Repeat("0123456789abcdef ", 9),
		vectorSecret + " short", strings.Repeat("x", 513),
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for _, secret := range append(badSecrets(), public) {
		got, err := webhooks.Sign(secret, "id", time.Now(), nil)
		if err == nil || secret != "" && len(secret) > 8 && strings.Contains(err.Error(), secret) {
			t.Errorf("%q signs %q: %v", secret, got, err)
		}
	}
	for _, id := range []string{"", "a.b", "a b", "a\nb", "ä", strings.Repeat("x", 257)} {
		if got, err := webhooks.Sign(vectorSecret, id, time.Now(), nil); err == nil {
			t.Errorf("%q is signed: %q", id, got)
		}
	}
}

// TestForgeries is attack class 34: what must not pass as signed.
func TestForgeries(t *testing.T) {
	t.Parallel()
	now, body := time.Unix(1_700_000_000, 0), []byte(`{"a":1}`)
	sign := func(secret, id string, at time.Time, body string) string {
		s, err := webhooks.Sign(secret, id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(vectorSecret, "m1", now, string(body))
	mac, _ := strings.CutPrefix(good, "v1,")
	data, _ := base64.StdEncoding.DecodeString(mac)
	type variant struct {
		secret string
		h      http.Header
		body   string
		now    time.Time
	}
	variants := map[string]variant{}
	for _, secret := range badSecrets() {
		variants["secret "+secret] = variant{secret, headers("m1", now, good), string(body), now}
	}
	with := func(name string, change func(v *variant)) {
		v := variant{vectorSecret, headers("m1", now, good), string(body), now}
		change(&v)
		variants[name] = v
	}
	with("another body", func(v *variant) { v.body = `{"a":2}` })
	with("a longer body", func(v *variant) { v.body += " " })
	with("no body", func(v *variant) { v.body = "" })
	with("another id", func(v *variant) { v.h["Webhook-Id"] = []string{"m2"} })
	with("another time", func(v *variant) { v.h["Webhook-Timestamp"] = []string{"1700000001"} })
	with("too late", func(v *variant) { v.now = now.Add(5*time.Minute + time.Second) })
	with("too early", func(v *variant) { v.now = now.Add(-5*time.Minute - time.Second) })
	for name, text := range map[string]string{"empty": "", "signed": "+1700000000", "spaced": " 1700000000", "fraction": "1700000000.0", "words": "now", "large": "99999999999999999999", "negative": "-1", "hex": "0x6553f100"} {
		with("timestamp "+name, func(v *variant) {
			v.h["Webhook-Timestamp"] = []string{text}
			v.h["Webhook-Signature"] = []string{good}
		})
	}
	for name, text := range map[string]string{
		"none": "", "empty": "v1,", "no scheme": mac, "another scheme": "v2," + mac, "none scheme": "none,", "half": "v1," + base64.StdEncoding.EncodeToString(data[:16]),
		"longer": "v1," + base64.StdEncoding.EncodeToString(append(append([]byte{}, data...), 0)), "as v1a": "v1a," + mac, "upper case": "V1," + mac, "hex": "v1,deadbeef", "with a comma": "v1=" + mac,
		"many":      strings.Repeat("v1,AAAA ", 20) + good,
		"empty key": "v1," + strings.TrimPrefix(sign("0000000000000000", "m1", now, string(body)), "v1,"),
	} {
		with("signature "+name, func(v *variant) { v.h["Webhook-Signature"] = []string{text} })
	}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		with("no "+name, func(v *variant) { delete(v.h, name) })
		with("twice "+name, func(v *variant) { v.h[name] = append(v.h[name], v.h[name]...) })
	}
	// id.timestamp.body must not be read in two ways: here the id takes a part over.
	inner := sign(vectorSecret, "m1", now, "1700000000."+string(body))
	with("a stop in the id", func(v *variant) {
		v.h = headers("m1.1700000000", now, inner)
	})
	for name, v := range variants {
		_, err := webhooks.Verify(v.secret, v.h, []byte(v.body), v.now)
		f := fault.From(err)
		if f == nil || f.Code != fault.InvalidSignature || f.Message != "the signature is not valid" || f.Details != "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if len(variants) < 40 {
		t.Errorf("only %d variants", len(variants))
	}
	if _, err := webhooks.Verify(vectorSecret, headers("m1", now, "v2,x v1,AAAA "+good), body, now.Add(-5*time.Minute)); err != nil {
		t.Errorf("the right signature among others: %v", err)
	}
}

// TestOfficialLibrary has what is signed here verified by the standard's own
// library for JavaScript, and the other way round.
func TestOfficialLibrary(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	const dir = "../../test/webhooks"
	if _, err := os.Stat(dir + "/node_modules/standardwebhooks"); err != nil {
		t.Skip("the library is not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/webhooks")
	}
	type message struct {
		Secret    string `json:"secret"`
		Format    string `json:"format,omitempty"`
		ID        string `json:"id"`
		Timestamp int64  `json:"timestamp"`
		Body      string `json:"body"`
		Signature string `json:"signature"`
	}
	var list []message
	now := time.Now()
	for i, body := range []string{`{}`, `{"a":"ä\u0000 €😀"}`, `[1, 2,  3]`, `""`} {
		for _, m := range []message{{Secret: vectorSecret}, {Secret: rawSecret[:30], Format: "raw"}} {

			m.ID, m.Timestamp, m.Body = "msg_"+strconv.Itoa(i), now.Unix(), body
			if m.Signature, err = webhooks.Sign("an-older-key-of-this-test "+m.Secret, m.ID, now, []byte(body)); err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
	}
	input, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "verify.mjs")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, strings.NewReader(string(input)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var answers []message
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(list) {
		t.Fatalf("%d answers: %v", len(answers), err)
	}
	for i, m := range answers {
		if _, err := webhooks.Verify(list[i].Secret, headers(m.ID, time.Unix(m.Timestamp, 0), m.Signature), []byte(m.Body), now); err != nil {
			t.Errorf("message %d of the library: %v", i, fault.From(err).Cause)
		}
	}
}
