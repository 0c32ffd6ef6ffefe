// Package position is where in the store's history an answer to a write is, as
// the doors tell it and take it back: a read that gives it sees the write.
package position

import (
	"net/http"
	"strconv"

	"github.com/pandobase/pando/internal/engine"
)

// Name is the header, and the cookie, of a position.
const Name = "Pando-Consistency"

// Tell puts a write's position into an answer: for clients that keep it
// themselves, and for browsers, which give the cookie back by themselves. Of a
// store without replicas it is empty, and nothing is told. secure says that the
// client came over TLS.
func Tell(h http.Header, position string, secure bool) {
	if position == "" {
		return
	}
	h.Set(Name, position)
	cookie := Name + "=" + position + "; Path=/; Max-Age=" + strconv.Itoa(int(engine.PositionLife.Seconds())) + "; HttpOnly; SameSite=Lax"
	if secure {
		cookie += "; Secure"
	}
	h.Add("Set-Cookie", cookie)
}

// Of is the position that a read has to be behind; empty: there is none. The
// header goes before the cookie.
func Of(r *http.Request) string {
	if h := r.Header[Name]; len(h) > 0 {
		return h[0]
	}
	if r.Header["Cookie"] == nil {
		return ""
	}
	c, err := r.Cookie(Name)
	if err != nil {
		return ""
	}
	return c.Value
}
