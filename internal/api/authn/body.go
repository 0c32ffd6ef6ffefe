package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// fields are the members of a request's body. Members that nobody asks for are
// ignored, as GoTrue does: its clients send what other servers or later
// versions of it know. A member of a wrong type is remembered in err, which
// names it and never shows its value, since it may be a password.
type fields struct {
	members map[string]json.RawMessage
	err     error
}

// body reads a body of JSON; without one it is a fault.
func (q *request) body() (*fields, error) {
	kind, err := mediaType(q.r)
	if err != nil {
		return nil, err
	}
	if kind != "application/json" {
		return nil, unsupportedMedia(kind, "application/json")
	}
	text, err := q.readBody()
	if err != nil {
		return nil, err
	}
	return parseObject(text)
}

// bodyOrForm is body for the endpoints that OAuth clients use too: those send
// a form (RFC 6749, section 4.4.2). Its values are texts.
func (q *request) bodyOrForm() (*fields, error) {
	kind, err := mediaType(q.r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "application/json":
		return q.body()
	case "application/x-www-form-urlencoded":
	default:
		return nil, unsupportedMedia(kind, "application/json or application/x-www-form-urlencoded")
	}
	form, err := q.form()
	if err != nil {
		return nil, err
	}
	f := &fields{members: make(map[string]json.RawMessage, len(form))}
	for name := range form {
		raw, err := json.Marshal(form.Get(name))
		if err != nil {
			return nil, err // a text cannot fail to encode
		}
		f.members[name] = raw
	}
	return f, nil
}

// form reads a body of form values, each name once.
func (q *request) form() (url.Values, error) {
	text, err := q.readBody()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, fault.New(fault.AuthValidation, "the body is no form: %s", "a value is not encoded as application/x-www-form-urlencoded wants it")
	}
	return form, once(form)
}

// once refuses a name that is given twice: of two values one is not the one
// that somebody checked.
func once(values url.Values) error {
	for name, list := range values {
		if len(list) > 1 {
			return fault.New(fault.AuthValidation, "%s is given %d times", shorten(name), len(list)).WithHint("give it once")
		}
		if !utf8.ValidString(list[0]) || strings.IndexByte(list[0], 0) >= 0 {
			return fault.New(fault.AuthValidation, "%s is not UTF-8 without NUL", shorten(name))
		}
	}
	return nil
}

func mediaType(r *http.Request) (string, error) {
	name, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
		name = "application/json"
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return "", fault.New(fault.UnsupportedMediaType, "a body in the encoding %s is not supported", shorten(enc)).
			WithHint("send the body without compression")
	}
	return name, nil
}

func unsupportedMedia(kind, want string) error {
	return fault.New(fault.UnsupportedMediaType, "Content-Type not acceptable: %s", shorten(kind)).WithHint("send %s", want)
}

func (q *request) readBody() (string, error) {
	if q.r.ContentLength > q.maxBody {
		return "", tooLarge(q.maxBody)
	}
	text, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, q.maxBody))
	if err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok { // the edge's own reader may have a reason
			return "", f
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", tooLarge(q.maxBody)
		}
		return "", fault.Wrap(err, fault.BadRequest, "the body could not be read to its end")
	}
	return string(text), nil
}

func tooLarge(limit int64) error {
	return fault.New(fault.BodyTooLarge, "the body is larger than %d bytes", limit)
}

// parseObject reads one JSON object. Two members of one name are refused at
// every depth, since readers differ in which of them counts.
func parseObject(text string) (*fields, error) {
	if _, err := value.CanonicalJSON(text); err != nil {
		f := fault.From(err)
		return nil, fault.New(fault.AuthBadJSON, "the body is no JSON that can be read").WithDetails("%s", f.Message)
	}
	f := &fields{}
	if err := json.Unmarshal([]byte(text), &f.members); err != nil || f.members == nil {
		return nil, fault.New(fault.AuthBadJSON, "the body is no JSON object")
	}
	if name, twice := duplicate(text); twice {
		return nil, fault.New(fault.AuthBadJSON, "the body names %s twice", shorten(name)).WithHint("give each member once")
	}
	return f, nil
}

// duplicate finds a name that one object of a valid JSON text has twice.
func duplicate(text string) (string, bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	type level struct {
		names map[string]bool // nil: an array
		name  bool            // a name is next
	}
	var stack []level
	for {
		token, err := dec.Token()
		if err != nil {
			return "", false // the end
		}
		top := len(stack) - 1
		if key, ok := token.(string); ok && top >= 0 && stack[top].name {
			if stack[top].names[key] {
				return key, true
			}
			stack[top].names[key] = true
			stack[top].name = false
			continue
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]bool{}, name: true})
			continue
		case json.Delim('['):
			stack = append(stack, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
			top--
		}
		if top >= 0 { // a value ended
			stack[top].name = stack[top].names != nil
		}
	}
}

// raw is a member, or nil when it is absent or null.
func (f *fields) raw(name string) json.RawMessage {
	if m := f.members[name]; !bytes.Equal(m, []byte("null")) {
		return m
	}
	return nil
}

func (f *fields) has(name string) bool { return f.raw(name) != nil }

// read decodes a member into target; an absent one leaves it as it is.
func read[T any](f *fields, name, want string) (out T, given bool) {
	raw := f.raw(name)
	if raw == nil {
		return out, false
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		if f.err == nil {
			f.err = fault.New(fault.AuthValidation, "%s must be %s, not %s", name, want, kindOf(raw))
		}
		var none T
		return none, false
	}
	return out, true
}

// text is a member that is a text; "" when it is absent or null.
func (f *fields) text(name string) string {
	s, _ := read[string](f, name, "a text")
	return s
}

// textPointer is text that tells absent from empty.
func (f *fields) textPointer(name string) *string {
	if s, given := read[string](f, name, "a text"); given {
		return &s
	}
	return nil
}

// flag is a member that is true or false; nil when it is absent or null.
func (f *fields) flag(name string) *bool {
	if b, given := read[bool](f, name, "true or false"); given {
		return &b
	}
	return nil
}

// object is a member that is an object; nil when it is absent or null. Its
// numbers are json.Number, so that none loses digits on its way.
func (f *fields) object(name string) map[string]any {
	raw := f.raw(name)
	if raw == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var out map[string]any
	if err := dec.Decode(&out); err != nil {
		if f.err == nil {
			f.err = fault.New(fault.AuthValidation, "%s must be an object, not %s", name, kindOf(raw))
		}
		return nil
	}
	return out
}

// required is text that must be there.
func (f *fields) required(name string) string {
	s := f.text(name)
	if s == "" && f.err == nil {
		f.err = fault.New(fault.AuthValidation, "%s is missing", name)
	}
	return s
}

// kindOf names what a JSON value is.
func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return string(raw)
	}
	return "a number"
}

// shorten bounds what a message repeats of a request.
func shorten(s string) string {
	const longest = 64 // bytes
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
