package keys

import "strings"

// redacted stands for a key in what is logged.
const redacted = "[key]"

// Redact returns a request's path with every segment masked that is a key of
// the ring, or that looks like one of Pando's: of another application, or
// revoked. A path without either comes back as it is, without an allocation.
func (r *Ring) Redact(path string) string {
	if len(path) < minKey {
		return path
	}
	var out strings.Builder
	done := 0 // what out has of path
	for begin := 0; begin <= len(path); {
		end := begin + strings.IndexByte(path[begin:], '/')
		if end < begin {
			end = len(path)
		}
		if segment := path[begin:end]; len(segment) >= minKey && r.isKey(segment) {
			out.WriteString(path[done:begin])
			out.WriteString(redacted)
			done = end
		}
		begin = end + 1
	}
	if done == 0 {
		return path
	}
	out.WriteString(path[done:])
	return out.String()
}

func (r *Ring) isKey(text string) bool {
	for _, k := range [...]Kind{Publishable, Secret} {
		if strings.Contains(text, k.prefix()) {
			return true
		}
	}
	_, _, ok := r.Lookup(text)
	return ok
}
