package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// media is a representation that the door can answer with.
type media uint8

const (
	noMedia media = iota
	mediaJSON
	mediaArray  // application/vnd.pgrst.array+json
	mediaObject // application/vnd.pgrst.object+json: exactly one row
	mediaCSV
	mediaNDJSON
	mediaOpenAPI
)

// representation is a media type with its parameter.
type representation struct {
	media    media
	stripped bool // ;nulls=stripped
}

// contentType is the Content-Type of the representation.
func (r representation) contentType() string {
	switch r.media {
	case mediaArray:
		if r.stripped {
			return "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"
		}
		return "application/vnd.pgrst.array+json; charset=utf-8"
	case mediaObject:
		if r.stripped {
			return "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"
		}
		return "application/vnd.pgrst.object+json; charset=utf-8"
	case mediaCSV:
		return "text/csv; charset=utf-8"
	case mediaNDJSON:
		return "application/x-ndjson; charset=utf-8"
	case mediaOpenAPI:
		return "application/openapi+json; charset=utf-8"
	case mediaJSON, noMedia:
	}
	return "application/json; charset=utf-8"
}

func (r representation) format() query.Format {
	switch r.media {
	case mediaCSV:
		return query.CSV
	case mediaNDJSON:
		return query.NDJSON
	case mediaJSON, mediaArray, mediaObject, mediaOpenAPI, noMedia:
	}
	return query.JSON
}

// negotiate picks the representation for the Accept headers (RFC 9110, 12.5.1):
// the one with the greatest weight, of equal ones the first named. root tells
// the document's resource from the entities'.
func negotiate(accept []string, root bool) (representation, error) {
	if len(accept) == 0 || (len(accept) == 1 && (accept[0] == "*/*" || accept[0] == "application/json" || accept[0] == "")) {
		return representation{media: mediaJSON}, nil
	}
	best, bestWeight := representation{}, 0
	var excluded [mediaOpenAPI + 1]bool // named with q=0
	for pass := range 2 {
		for _, h := range accept {
			for part := range strings.SplitSeq(h, ",") {
				rep, weight := parseMedia(part, root)
				switch {
				case rep.media == noMedia:
				case pass == 0 && weight == 0 && !wildcard(part):
					excluded[rep.media] = true
				case pass == 1 && weight > bestWeight && !excluded[rep.media]:
					best, bestWeight = rep, weight
				}
			}
		}
	}
	if best.media == noMedia {
		return best, notAcceptable(strings.Join(accept, ", "), root)
	}
	return best, nil
}

func wildcard(part string) bool { return strings.Contains(part, "*") }

// parseMedia reads one media range. weight is in thousandths.
func parseMedia(part string, root bool) (rep representation, weight int) {
	name, params, _ := strings.Cut(part, ";")
	rep.media = mediaOf(strings.ToLower(strings.TrimSpace(name)), root)
	weight = 1000
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(k) {
		case "q":
			q, err := strconv.ParseFloat(v, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return representation{}, 0
			}
			weight = int(q * 1000)
		case "nulls":
			rep.stripped = strings.EqualFold(strings.Trim(v, `"`), "stripped") && (rep.media == mediaArray || rep.media == mediaObject)
		}
	}
	return rep, weight
}

func mediaOf(name string, root bool) media {
	if root {
		switch name {
		case "application/openapi+json", "application/vnd.oai.openapi+json":
			return mediaOpenAPI
		case "application/json", "*/*", "application/*":
			return mediaJSON
		}
		return noMedia
	}
	switch name {
	case "application/json", "*/*", "application/*":
		return mediaJSON
	case "application/vnd.pgrst.array+json", "application/vnd.pgrst.array":
		return mediaArray
	case "application/vnd.pgrst.object+json", "application/vnd.pgrst.object":
		return mediaObject
	case "text/csv", "text/*":
		return mediaCSV
	case "application/x-ndjson", "application/ndjson":
		return mediaNDJSON
	}
	return noMedia
}

func notAcceptable(accept string, root bool) *fault.Error {
	f := fault.New(fault.NotAcceptable, "None of these media types are available: %s", shorten(accept))
	switch {
	case root:
		return f.WithHint("this resource is available as application/openapi+json")
	case strings.Contains(accept, "geo+json"):
		f.Details = "application/geo+json is not supported: no field of an application is a geometry"
	case strings.Contains(accept, "pgrst.plan"):
		f.Details = "application/vnd.pgrst.plan is not supported: execution plans are not shown through the API"
	case strings.Contains(accept, "openapi+json"):
		f.Details = "the OpenAPI document is at the root of a version, such as " + Prefix + "/v1/"
	}
	return f.WithHint("rows are available as application/json, application/vnd.pgrst.object+json, " +
		"application/vnd.pgrst.array+json;nulls=stripped, text/csv and application/x-ndjson")
}

// defaultSchema is the profile that supabase-js sends unless it is told another.
const defaultSchema = "public"

// profile is the module that the request names, by Accept-Profile when it
// reads and by Content-Profile when it writes. The default schema of existing
// clients names none, unless the application has a module of that name.
func (h *handler) profile(r *http.Request) string {
	name := "Content-Profile"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		name = "Accept-Profile"
	}
	module := r.Header.Get(name)
	if module == defaultSchema && h.app.Module(defaultSchema) == nil {
		return ""
	}
	return module
}
