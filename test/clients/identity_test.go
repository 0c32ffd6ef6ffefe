package clients_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const publishable = "pando_pub_0123456789abcdefghijklmnopqrstuvwxyz0123456"

// notesModule is what the tests of row policies work on.
const notesModule = `
module: notes
entities:
  notes:
    fields:
      owner_id: { ref: auth.users, default: auth.uid, on_delete: cascade, as: owner }
      text:     { type: text, max: 500 }
    policy:
      read:   "row.owner_id == auth.uid || 'staff' in auth.roles"
      create: "row.owner_id == auth.uid"
      update: "row.owner_id == auth.uid"
      delete: "row.owner_id == auth.uid"
`

// identityConfig is pando.yaml; its verb is where mail goes and the provider.
// The rates let one address do what many people do.
const identityConfig = `
app: notes
mail: %s
roles: { staff: {}, admin: { inherits: [staff] } }
auth:
  anonymous: true
  linking: true
  sender: Notes <no-reply@notes.example>
  redirects: ["http://127.0.0.1:9/after"]
  providers: { example: { client_id: notes, client_secret: a-secret-of-the-notes-client, issuer: %q } }
  rates: { %s }
`

// TestIdentity uses the identity door through supabase-js, with a provider and
// an SMTP server from npm.
func TestIdentity(t *testing.T) {
	node := findNode(t)
	bin := build(t)
	idp := "http://" + freePort(t)
	smtp := freePort(t)
	url, data := serveNotes(t, bin, "mailbox://", idp)
	second, _ := serveNotes(t, bin, "smtp://"+smtp, idp)
	play(t, node, "identity/*.test.mjs",
		"PANDO_URL="+url, "PANDO_KEY="+key, "PANDO_PUBLISHABLE="+publishable, "PANDO_DATA="+data, "PANDO_IDP="+idp,
		"PANDO_SMTP_URL="+second, "PANDO_SMTP_PORT="+smtp[strings.LastIndex(smtp, ":")+1:])
}

func serveNotes(t *testing.T, bin, mail, idp string) (url, data string) {
	t.Helper()
	app := t.TempDir()
	data = filepath.Join(app, "data")
	var rates []string
	for _, name := range []string{"sign_in", "sign_up", "anonymous", "refresh", "verify", "mfa", "account", "mail", "resend", "admin", "other"} {
		rates = append(rates, name+": 100000/1m")
	}
	files := map[string]string{
		"pando.yaml":         fmt.Sprintf(identityConfig, mail, idp, strings.Join(rates, ", ")),
		"modules/notes.yaml": notesModule,
	}
	for name, text := range files {
		path := filepath.Join(app, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serve(t, bin, app, "PANDO_SECRET_KEY="+key, "PANDO_PUBLISHABLE_KEY="+publishable), data
}

// freePort is an address on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
