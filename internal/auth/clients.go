package auth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// clientLife is how long a machine's token lives. It cannot be renewed: the
// machine asks for another one, and a revoked client gets none.
const clientLife = 60 * time.Second

// The bounds of clients.
const (
	maxClientName = 128
	maxAudiences  = 32
	maxAudience   = 256
)

// Client is a machine that gets tokens of its own (RFC 6749, section 4.4). It
// is never the service: it may do what its roles may.
type Client struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Roles []string `json:"roles"` // of the application
	// Audiences are whom its tokens may be for beside the application itself.
	Audiences []string  `json:"audiences"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// NewClient is a client that was made. Its secret is shown this once.
type NewClient struct {
	Client
	Secret string `json:"secret"`
}

// CreateClient makes a machine's identity. Only the service may.
func (a *Auth) CreateClient(ctx context.Context, id *Caller, in Client) (*NewClient, error) {
	if err := admin(id); err != nil {
		return nil, err
	}
	if in.Name == "" || !printable(in.Name, maxClientName) {
		return nil, fault.New(fault.AuthValidation, "a client needs a name of at most %d printable characters", maxClientName)
	}
	known := a.live.Load().app.Config.Roles
	for _, r := range in.Roles {
		if _, ok := known[r]; !ok {
			return nil, fault.New(fault.AuthValidation, "unknown role %q", r).WithHint("pando.yaml lists the roles")
		}
	}
	if len(in.Audiences) > maxAudiences || slices.ContainsFunc(in.Audiences, func(s string) bool { return s == "" || !printable(s, maxAudience) }) {
		return nil, fault.New(fault.AuthValidation, "an audience is empty, too long or not printable, or there are more than %d", maxAudiences)
	}
	out := &NewClient{
		Client: Client{ID: a.newID(), Name: in.Name, Roles: union(in.Roles, nil), Audiences: union(in.Audiences, nil), CreatedAt: a.now().UTC().Truncate(time.Microsecond)},
		Secret: a.newToken(),
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(a.flows.clientInsert, args(text(out.ID), text(out.Name), text(hash(out.Secret)), texts(out.Roles), texts(out.Audiences), value.Null(), at(out.CreatedAt)))
		if err != nil {
			return err
		}
		return a.record(tx, id, "admin.client.create", "", a.detail("client", out.ID, "name", out.Name))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// texts is a JSON list.
func texts(list []string) value.Value {
	raw, err := json.Marshal(append([]string{}, list...))
	if err != nil {
		panic(err) // texts always encode
	}
	canonical, err := value.CanonicalJSON(string(raw))
	if err != nil {
		panic(err)
	}
	return value.OfText(canonical)
}

// clientRow is a row of auth.clients.
type clientRow struct {
	Client
	hash string
}

func (s *scan) client() *clientRow {
	c := &clientRow{}
	c.ID, c.Name, c.hash = s.text(), s.text(), s.text()
	c.Roles, c.Audiences = s.texts(), s.texts()
	c.RevokedAt, c.CreatedAt = s.time(), s.time()
	return c
}

// texts reads a JSON list of texts; anything else is an empty one.
func (s *scan) texts() []string {
	var list []any
	if raw := s.json(); len(raw) > 0 && json.Unmarshal(raw, &list) != nil {
		return []string{}
	}
	return append([]string{}, stringList(list)...)
}

// Clients are all machines, the oldest first, the revoked ones among them.
// Only the service may ask.
func (a *Auth) Clients(ctx context.Context, id *Caller) ([]Client, error) {
	if err := admin(id); err != nil {
		return nil, err
	}
	out := []Client{}
	err := a.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		return all(r, a.flows.clients, nil, func(s *scan) { out = append(out, s.client().Client) })
	})
	return out, err
}

// RevokeClient ends a client: it gets no further token, and those that it has
// are refused within 5 s on every node. Only the service may.
func (a *Auth) RevokeClient(ctx context.Context, id *Caller, clientID string) error {
	if err := admin(id); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		n := int64(0)
		if isUUID(clientID) {
			var err error
			if n, err = tx.Exec(a.flows.clientRevoke, args(text(clientID), at(a.now()))); err != nil {
				return err
			}
		}
		if n == 0 {
			return fault.New(fault.NotFound, "there is no such client, or it was revoked before").WithHint("`pando keys client list` shows them")
		}
		return a.record(tx, id, "admin.client.revoke", "", a.detail("client", clientID))
	})
	if err == nil {
		a.forget(clientID)
	}
	return err
}

// ClientCredentials is grant_type=client_credentials: a token of 60 s for a
// client that knows its secret. It is for the application itself, or for one
// of the client's audiences, which must refuse it when it is not meant: the
// application refuses a token for anybody else.
//
// An unknown or revoked client and a wrong secret are the same
// [fault.AuthInvalidCredentials], after the same work.
func (a *Auth) ClientCredentials(ctx context.Context, id *Caller, clientID, secret, aud string) (*Grant, error) {
	if err := a.limit(ctx, id, "sign_in", clean(clientID, 64)); err != nil {
		return nil, err
	}
	var c *clientRow
	if isUUID(clientID) {
		err := a.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			_, err := one(r, a.flows.clientByID, args(text(clientID)), func(s *scan) { c = s.client() })
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	want := hash("")
	if c != nil {
		want = c.hash
	}
	if len(secret) > maxToken {
		secret = ""
	}
	same := subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(want)) == 1
	if c == nil || !same || secret == "" || !c.RevokedAt.IsZero() {
		wrong := fault.New(fault.AuthInvalidCredentials, "Invalid client credentials")
		a.cfg.Audit.Count("", "auth.client.token")
		if c != nil {
			a.refuseLater(id, "auth.client.token", c.ID, "", a.detail("client", c.ID))
		}
		return nil, wrong
	}
	if aud == "" {
		aud = audience
	}
	if aud != audience && !slices.Contains(c.Audiences, aud) {
		return nil, fault.New(fault.AuthValidation, "the client has no such audience").WithHint("make a client with it: `pando keys client create --audience NAME`")
	}
	if err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		return a.record(tx, id, "auth.client.token", "", a.detail("client", c.ID, "audience", aud))
	}); err != nil {
		return nil, err
	}
	now := a.now()
	expires := now.Add(clientLife)
	access, err := a.sign(map[string]any{
		"sub": c.ID, "client_id": c.ID, "aud": aud, "role": audience, "roles": c.Roles, "iat": now.Unix(), "exp": expires.Unix(), "jti": a.newID(),
	})
	if err != nil {
		return nil, err
	}
	return &Grant{AccessToken: access, TokenType: "bearer", ExpiresIn: int64(clientLife / time.Second), ExpiresAt: expires.Unix()}, nil
}
