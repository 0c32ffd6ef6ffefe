package graphql

import (
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// media is a representation of answers. They differ in what a status says: of
// mediaResponse it tells whether the operation was executed, of mediaJSON only
// whether the request was understood, as clients of old expect.
type media uint8

const (
	noMedia       media = iota
	mediaJSON           // application/json
	mediaResponse       // application/graphql-response+json
)

func (m media) contentType() string {
	if m == mediaResponse {
		return "application/graphql-response+json; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// negotiate picks the representation for the Accept headers (RFC 9110, 12.5.1):
// the one with the greatest weight, of equal ones the first named. Whoever takes
// anything is a client of old.
func negotiate(accept []string) (media, error) {
	if len(accept) == 0 {
		return mediaJSON, nil
	}
	best, bestWeight := noMedia, 0
	excluded := map[media]bool{} // named with q=0
	for pass := range 2 {
		for _, h := range accept {
			for part := range strings.SplitSeq(h, ",") {
				m, weight := parseMedia(part)
				switch {
				case m == noMedia:
				case pass == 0:
					excluded[m] = excluded[m] || weight == 0 && !strings.Contains(part, "*")
				case weight > bestWeight && !excluded[m]:
					best, bestWeight = m, weight
				}
			}
		}
	}
	if best == noMedia && strings.TrimSpace(strings.Join(accept, "")) != "" {
		return noMedia, fault.New(fault.NotAcceptable, "None of these media types are available: %s", short(strings.Join(accept, ", "))).
			WithHint("this resource is available as application/graphql-response+json and application/json")
	}
	return max(best, mediaJSON), nil
}

// parseMedia reads one media range. weight is in thousandths.
func parseMedia(part string) (m media, weight int) {
	const whole = 1000
	name, params, _ := strings.Cut(part, ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "application/graphql-response+json":
		m = mediaResponse
	case "application/json", "application/*", "*/*":
		m = mediaJSON
	}
	weight = whole
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch v = strings.Trim(v, `"`); strings.ToLower(k) {
		case "q":
			q, err := strconv.ParseFloat(v, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return noMedia, 0
			}
			weight = int(q * whole)
		case "charset":
			if !strings.EqualFold(v, "utf-8") && !strings.EqualFold(v, "utf8") {
				return noMedia, 0 // all answers are UTF-8
			}
		}
	}
	return m, weight
}
