package graphql

import (
	"math"
	"net/http"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
)

// reply is the answer to one request.
type reply struct {
	*door
	w     http.ResponseWriter
	r     *http.Request
	media media
}

// result is what one operation answers.
type result struct {
	*answer
	// cost and limit are the extension cost; limit 0: it was not executed.
	cost, limit int
}

func (r *result) release() {
	if r.free != nil {
		r.free()
	}
}

// refused is the result of an operation that is not executed.
func (p *reply) refused(errs ...error) *result {
	a := &answer{}
	for _, err := range errs {
		a.errs = append(a.errs, p.errorOf(p.r.Context(), err, nil, nil))
	}
	return &result{answer: a}
}

// refuse answers a request that was not understood, or whose caller is not let
// in: its status is the fault's, whatever the representation.
func (p *reply) refuse(err error) {
	f := fault.From(err)
	h := p.w.Header()
	if s := int64(math.Ceil(f.RetryAfter.Seconds())); s > 0 {
		h.Set("Retry-After", strconv.FormatInt(s, 10))
	}
	status := f.HTTPStatus()
	switch {
	case status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="pando"`)
	case status == http.StatusServiceUnavailable && h.Get("Retry-After") == "":
		h.Set("Retry-After", "1")
	}
	p.send(status, p.refused(err))
}

func (p *reply) methodNotAllowed(format string, args ...any) error {
	p.w.Header().Set("Allow", methods)
	return fault.New(fault.MethodNotAllowed, format, args...).WithHint("send a POST with a JSON body, or a query with GET")
}

// status is the status of an operation's answer. Once it was executed, the
// request was a success, and errors tell of what it did not get. Of one that was
// not, application/json says that it was understood nevertheless, unless the
// server or who the caller is are to blame.
func (p *reply) status(r *result) int {
	if r.data != nil || len(r.errs) == 0 {
		return http.StatusOK
	}
	status := http.StatusBadRequest
	if f := r.errs[0].fault; f != nil {
		status = f.HTTPStatus()
	}
	theirs := status < http.StatusInternalServerError
	if theirs && status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests {
		if p.media == mediaJSON {
			return http.StatusOK
		}
		return status
	}
	return status
}

// send answers one operation.
func (p *reply) send(status int, r *result) {
	p.write(status, r.append(make([]byte, 0, len(r.data)+1<<8)))
}

// sendAll answers a list of operations: each says for itself how it went.
func (p *reply) sendAll(results []*result) {
	var b []byte
	for i, r := range results {
		b = r.append(append(b, ",["[max(0, 1-i)]))
	}
	p.write(http.StatusOK, append(b, ']'))
}

func (p *reply) write(status int, body []byte) {
	h := p.w.Header()
	h.Set("Content-Type", p.media.contentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	p.w.WriteHeader(status)
	_, _ = p.w.Write(body) // the client may be gone; there is nobody left to tell
}

// append appends the result as JSON, the errors first, as the specification likes
// it (section 7.1.2). Without errors there is data, if only null.
func (r *result) append(b []byte) []byte {
	open := len(b)
	if len(r.errs) > 0 {
		errs, err := marshal(r.errs)
		if err != nil {
			panic(err) // texts, numbers, and maps and lists of them
		}
		b = append(append(b, `,"errors":`...), errs...)
	}
	if r.data != nil {
		b = append(append(b, `,"data":`...), r.data...)
	}
	if r.limit > 0 {
		b = strconv.AppendInt(append(b, `,"extensions":{"cost":{"limit":`...), int64(r.limit), 10)
		b = append(strconv.AppendInt(append(b, `,"requested":`...), int64(r.cost), 10), "}}"...)
	}
	if len(b) == open {
		return append(b, "{}"...)
	}
	b[open] = '{' // each member starts with a comma
	return append(b, '}')
}
