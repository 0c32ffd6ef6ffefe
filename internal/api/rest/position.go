package rest

import (
	"strconv"

	"github.com/pandobase/pando/internal/engine"
)

// positionName is the header, and the cookie, in which an answer to a write
// says where in the store's history it is, and a read says what it has to see.
const positionName = "Pando-Consistency"

// tellPosition puts a write's position into the answer: for clients that keep
// it themselves, and for browsers, which give the cookie back by themselves.
func (q *request) tellPosition(position string) {
	if position == "" {
		return
	}
	h := q.w.Header()
	h.Set(positionName, position)
	cookie := positionName + "=" + position + "; Path=/; Max-Age=" + strconv.Itoa(int(engine.PositionLife.Seconds())) + "; HttpOnly; SameSite=Lax"
	if q.secure || q.r.TLS != nil {
		cookie += "; Secure"
	}
	h.Add("Set-Cookie", cookie)
}

// after is the position that a read has to be behind; the header goes before
// the cookie.
func (q *request) after() string {
	if h := q.r.Header[positionName]; len(h) > 0 {
		return h[0]
	}
	if q.r.Header["Cookie"] == nil {
		return ""
	}
	c, err := q.r.Cookie(positionName)
	if err != nil {
		return ""
	}
	return c.Value
}
