package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/value"
)

// Outcome is whether what was asked for was done.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
)

// MaxKeys is the most rows that one record names.
const MaxKeys = 500

// maxText bounds each text of a record, in bytes: callers choose some of them.
const maxText = 1024

// Record is one thing that was done or refused.
type Record struct {
	// ID is given by the store and grows with time; some are never used.
	ID   int64     `json:"id"`
	Time time.Time `json:"time"` // default: now; microseconds

	Role     string `json:"role,omitempty"`
	UID      string `json:"uid,omitempty"`
	Key      string `json:"key,omitempty"` // the id of the API key, never its text
	Session  string `json:"session,omitempty"`
	OnBehalf string `json:"on_behalf_of,omitempty"`
	// Service tells that no rule was asked: the application itself acted.
	Service bool `json:"service,omitempty"`

	Action  string   `json:"action"` // create, update, delete, read, auth.sign_in, ...
	Entity  string   `json:"entity,omitempty"`
	Keys    []string `json:"keys,omitempty"` // primary keys, at most MaxKeys
	Fields  []string `json:"fields,omitempty"`
	Rows    int      `json:"rows,omitempty"`
	Outcome Outcome  `json:"outcome"` // default: Allowed
	Rule    string   `json:"rule,omitempty"`

	Door      string `json:"door,omitempty"`
	Method    string `json:"method,omitempty"`
	Operation string `json:"operation,omitempty"`
	Request   string `json:"request,omitempty"`

	Detail map[string]string `json:"detail,omitempty"`

	// The rest is encrypted under the key of Subject; Values, of their own
	// subjects. Of Detail, so are the members that personal names.
	IP        string   `json:"ip,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Values    []Values `json:"values,omitempty"`
	// Subject is whose key hides the personal values. Default: UID, or else the
	// day, as "day:2026-01-02".
	Subject string `json:"subject,omitempty"`
	// Erased tells that personal values were there whose key was deleted. Only
	// records that were read have it.
	Erased bool `json:"erased,omitempty"`
	// Damaged tells that the stored record cannot be read as a whole: somebody
	// has changed it, and Verify says so.
	Damaged bool `json:"damaged,omitempty"`
}

// Values are new values of one row.
type Values struct {
	// Subject is the user whom the row is about. Default: the record's.
	Subject string          `json:"subject,omitempty"`
	Key     string          `json:"key,omitempty"` // the row's primary key
	Data    json.RawMessage `json:"data,omitempty"`
}

// personal are the members of Detail that tell about a person.
func personal(name string) bool {
	switch name {
	case "email", "new_email", "phone", "name", "address":
		return true
	}
	return false
}

// FromIdentity begins a record with who asks and through what.
func FromIdentity(id *policy.Identity) Record {
	r := Record{
		Role: string(id.Role), UID: id.UID, Key: id.Key, Session: id.Session, OnBehalf: id.OnBehalf,
		Service: id.Role == policy.Service, Outcome: Allowed,
	}
	if q := id.Request; q != nil {
		r.Door, r.Method, r.Operation, r.IP, r.UserAgent, r.Request = q.Door, q.Method, q.Operation, q.IP, q.UserAgent, q.ID
	}
	return r
}

// actor is the column by which a caller's records are found.
func (r *Record) actor() string {
	if r.UID != "" {
		return r.UID
	}
	return r.Key
}

// row is the column by which a row's records are found.
func (r *Record) row() string {
	if len(r.Keys) == 1 {
		return r.Keys[0]
	}
	return ""
}

func (r *Record) subject() string {
	switch {
	case r.Subject != "":
		return r.Subject
	case r.UID != "":
		return r.UID
	}
	return "day:" + r.Time.UTC().Format(time.DateOnly)
}

// line is a record as its table holds it. Only the body's members beside the
// columns are in the body.
type line struct {
	id                                        int64
	at                                        int64 // microseconds since 1970
	actor, entity, key, action, outcome, body string
	hash                                      [sha256.Size]byte
}

// recordTag separates the hashes of records from all others.
const recordTag = "pando.audit.record.v1"

// sum is the hash of a line: all columns but the id, each behind its length.
// The seals bind the hashes to ids.
func (n *line) sum(buf []byte) ([sha256.Size]byte, []byte) {
	buf = append(buf[:0], recordTag...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(n.at)) //nolint:gosec // the same bits
	for _, s := range [...]string{n.actor, n.entity, n.key, n.action, n.outcome, n.body} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return sha256.Sum256(buf), buf
}

// additional binds a ciphertext to its record.
func (n *line) additional(buf []byte, subject string) []byte {
	buf = append(buf[:0], recordTag...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(n.at)) //nolint:gosec // the same bits
	for _, s := range [...]string{n.actor, n.entity, n.key, n.action, subject} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return buf
}

// body is the JSON of what has no column. It is written by hand, in this order
// and without empty members, since every write waits for it.
type body struct {
	V         int               `json:"v"`
	Role      string            `json:"role"`
	UID       bool              `json:"uid"` // the actor is a user
	Key       string            `json:"credential"`
	Session   string            `json:"session"`
	OnBehalf  string            `json:"on_behalf_of"`
	Service   bool              `json:"service"`
	Keys      []string          `json:"keys"`
	Fields    []string          `json:"fields"`
	Rows      int               `json:"rows"`
	Rule      string            `json:"rule"`
	Door      string            `json:"door"`
	Method    string            `json:"method"`
	Operation string            `json:"operation"`
	Request   string            `json:"request"`
	Detail    map[string]string `json:"detail"`
	Subject   string            `json:"subject"`
	Personal  []byte            `json:"personal"` // nonce and ciphertext of a secret
	Values    []sealedValues    `json:"values"`
}

// sealedValues are Values under their subject's key.
type sealedValues struct {
	Subject string `json:"subject"`
	Key     string `json:"key"`
	Data    []byte `json:"data"`
}

// secret is the plain text of a body's Personal.
type secret struct {
	IP        string            `json:"ip,omitempty"`
	UserAgent string            `json:"user_agent,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

// cut shortens a text to what a record holds of it.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) { // no store takes half of a character
		n--
	}
	return s[:n] + "..."
}

func member(dst []byte, name, s string) []byte { return memberWhole(dst, name, cut(s)) }

// memberWhole is member for what must not be cut: whose key hides a value.
func memberWhole(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(append(append(dst, ',', '"'), name...), '"', ':')
	return value.AppendQuoted(dst, s)
}

func memberList(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(append(append(dst, ',', '"'), name...), '"', ':', '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = value.AppendQuoted(dst, cut(s))
	}
	return append(dst, ']')
}

func memberMap(dst []byte, name string, m map[string]string, want func(string) bool) []byte {
	first := true
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !want(k) {
			continue
		}
		if first {
			dst = append(append(append(dst, ',', '"'), name...), '"', ':', '{')
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = append(value.AppendQuoted(dst, cut(k)), ':')
		dst = value.AppendQuoted(dst, cut(m[k]))
	}
	if first {
		return dst
	}
	return append(dst, '}')
}

func memberBytes(dst []byte, name string, b []byte) []byte {
	dst = append(append(append(dst, ',', '"'), name...), '"', ':', '"')
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// appendPlain writes the body without its end and its encrypted members.
func (r *Record) appendPlain(dst []byte, subject string) []byte {
	dst = append(dst, `{"v":1`...)
	dst = member(dst, "role", r.Role)
	if r.UID != "" {
		dst = append(dst, `,"uid":true`...)
	}
	dst = member(dst, "credential", r.Key)
	dst = member(dst, "session", r.Session)
	dst = member(dst, "on_behalf_of", r.OnBehalf)
	if r.Service {
		dst = append(dst, `,"service":true`...)
	}
	if len(r.Keys) > 1 {
		dst = memberList(dst, "keys", r.Keys)
	}
	dst = memberList(dst, "fields", r.Fields)
	if r.Rows != 0 {
		dst = strconv.AppendInt(append(dst, `,"rows":`...), int64(r.Rows), 10)
	}
	dst = member(dst, "rule", r.Rule)
	dst = member(dst, "door", r.Door)
	dst = member(dst, "method", r.Method)
	dst = member(dst, "operation", r.Operation)
	dst = member(dst, "request", r.Request)
	dst = memberMap(dst, "detail", r.Detail, func(k string) bool { return !personal(k) })
	if subject != storable(cut(r.UID)) {
		dst = memberWhole(dst, "subject", subject)
	}
	return dst
}

// appendSecret writes what is encrypted under the subject's key; nothing where
// there is nothing.
func (r *Record) appendSecret(dst []byte) []byte {
	at := len(dst)
	dst = member(dst, "ip", r.IP)
	dst = member(dst, "user_agent", r.UserAgent)
	dst = memberMap(dst, "detail", r.Detail, personal)
	if len(dst) == at {
		return dst
	}
	dst[at] = '{' // in place of the first comma
	return append(dst, '}')
}

// record reads a line. open decrypts; false: the key is gone.
func (n *line) record(open opener) *Record {
	var b body
	damaged := json.Unmarshal([]byte(n.body), &b) != nil
	r := &Record{
		Damaged: damaged,
		ID:      n.id, Time: time.UnixMicro(n.at).UTC(), Role: b.Role, Key: b.Key, Session: b.Session, OnBehalf: b.OnBehalf, Service: b.Service,
		Action: n.action, Entity: n.entity, Keys: b.Keys, Fields: b.Fields, Rows: b.Rows, Outcome: Outcome(n.outcome), Rule: b.Rule,
		Door: b.Door, Method: b.Method, Operation: b.Operation, Request: b.Request, Detail: b.Detail, Subject: b.Subject,
	}
	if b.UID {
		r.UID = n.actor
	}
	if n.key != "" {
		r.Keys = []string{n.key}
	}
	if r.Subject == "" {
		r.Subject = r.UID
	}
	if len(b.Personal) > 0 {
		var s secret
		if plain, ok := open(r.Subject, b.Personal, n.additional(nil, r.Subject)); !ok {
			r.Erased = true
		} else if err := json.Unmarshal(plain, &s); err != nil {
			r.Damaged = true
		}
		r.IP, r.UserAgent = s.IP, s.UserAgent
		for k, v := range s.Detail {
			if r.Detail == nil {
				r.Detail = map[string]string{}
			}
			r.Detail[k] = v
		}
	}
	for _, v := range b.Values {
		out := Values{Subject: v.Subject, Key: v.Key}
		if out.Subject == "" {
			out.Subject = r.Subject
		}
		plain, ok := open(out.Subject, v.Data, n.additional(nil, out.Subject))
		if !ok {
			r.Erased = true
		} else {
			out.Data = plain
		}
		r.Values = append(r.Values, out)
	}
	return r
}
