package rest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// answer is what a write answers with (Prefer: return).
type answer uint8

const (
	answerUnset answer = iota
	answerMinimal
	answerHeaders
	answerRows
)

// missing is what an absent field of a listed column takes (Prefer: missing).
type missing uint8

const (
	missingUnset missing = iota // as default
	missingDefault
	missingNull
)

// age is how old the rows of a read may be (Prefer: consistency).
type age uint8

const (
	ageUnset age = iota // as bounded
	ageBounded
	ageStrong
	ageEventual
)

// consistency is the engine's word for it.
func (a age) consistency() query.Consistency {
	return [...]query.Consistency{query.Bounded, query.Bounded, query.Strong, query.Eventual}[a]
}

// preferences are the request's Prefer headers (RFC 7240). Of a preference
// that is given twice the first counts.
type preferences struct {
	answer      answer
	count       query.Count
	resolution  query.Resolution
	missing     missing
	strict      bool
	lenient     bool
	maxAffected int64 // -1: not given
	rollback    bool  // Prefer: tx=rollback
	age         age
	strangeAge  string // a consistency that there is not
	invalid     []string
}

// parsePrefer reads the Prefer headers. With handling=strict a preference that
// is unknown, or that Pando cannot honour, is a fault; otherwise it is left
// out of Preference-Applied. tx=rollback is always a fault.
func parsePrefer(headers []string) (preferences, error) {
	p := preferences{maxAffected: -1}
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			if part = strings.TrimSpace(part); part != "" {
				p.add(part)
			}
		}
	}
	return p, p.check()
}

// check is the fault of handling=strict, of a trial run and of an unknown
// consistency: to leave those preferences out would write what was not to be
// written, or answer rows that are older than the caller can use.
func (p *preferences) check() error {
	switch {
	case p.strict && len(p.invalid) > 0:
		return fault.New(fault.InvalidPreference, "Invalid preferences given with handling=strict").
			WithDetails("Invalid preferences: %s", shorten(strings.Join(p.invalid, ", "))).
			WithHint("the preferences are return, count, resolution, missing, max-affected, consistency and handling")
	case p.rollback:
		return fault.New(fault.NotImplemented, "Prefer: tx=rollback is not supported").
			WithHint("every write that succeeds is kept; leave the preference out")
	case p.strangeAge != "":
		return fault.New(fault.InvalidPreference, "there is no consistency %s", shorten(p.strangeAge)).
			WithHint("it is strong, bounded or eventual")
	}
	return nil
}

// refuse marks a preference as one that this request cannot honour.
func (p *preferences) refuse(text string) error {
	p.invalid = append(p.invalid, text)
	return p.check()
}

func (p *preferences) add(text string) {
	name, val, _ := strings.Cut(text, "=")
	val = strings.Trim(strings.TrimSpace(val), `"`)
	ok := false
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "return":
		ok = choose(&p.answer, val, "minimal", answerMinimal, "headers-only", answerHeaders, "representation", answerRows)
	case "count":
		ok = choose(&p.count, val, "exact", query.CountExact, "planned", query.CountPlanned, "estimated", query.CountEstimated)
	case "resolution":
		ok = choose(&p.resolution, val, "merge-duplicates", query.Merge, "ignore-duplicates", query.Ignore, "", 0)
	case "missing":
		ok = choose(&p.missing, val, "default", missingDefault, "null", missingNull, "", 0)
	case "handling":
		first := !p.strict && !p.lenient
		ok = val == "strict" || val == "lenient"
		if first {
			p.strict, p.lenient = val == "strict", val == "lenient"
		}
	case "max-affected":
		n, err := strconv.ParseInt(val, 10, 64)
		ok = err == nil && n >= 0
		if ok && p.maxAffected < 0 {
			p.maxAffected = n
		}
	case "consistency":
		ok = choose(&p.age, val, "bounded", ageBounded, "strong", ageStrong, "eventual", ageEventual)
		if !ok {
			p.strangeAge = cmp.Or(val, "''")
			return
		}
	case "tx":
		p.rollback = p.rollback || val == "rollback"
	}
	if !ok {
		p.invalid = append(p.invalid, text)
	}
}

// choose sets *to, unless it is set already, to what val stands for.
func choose[T ~uint8](to *T, val string, a string, av T, b string, bv T, c string, cv T) bool {
	var v T
	switch val {
	case "":
		return false
	case a:
		v = av
	case b:
		v = bv
	case c:
		v = cv
	default:
		return false
	}
	if *to == 0 {
		*to = v
	}
	return true
}

// applied is which preferences a kind of request honours.
type applied struct{ answer, resolution, missing, maxAffected, age bool }

// apply sets Preference-Applied, in PostgREST's order.
func (p *preferences) apply(h http.Header, a applied) {
	if p.answer == 0 && p.count == 0 && p.resolution == 0 && p.missing == 0 && p.age == 0 && !p.strict && !p.lenient {
		return
	}
	var out []string
	if a.resolution && p.resolution != query.Fail {
		out = append(out, [...]string{"", "resolution=merge-duplicates", "resolution=ignore-duplicates"}[p.resolution])
	}
	if a.missing && p.missing != missingUnset {
		out = append(out, [...]string{"", "missing=default", "missing=null"}[p.missing])
	}
	if a.answer && p.answer != answerUnset {
		out = append(out, [...]string{"", "return=minimal", "return=headers-only", "return=representation"}[p.answer])
	}
	if p.count != query.CountNone {
		out = append(out, [...]string{"", "count=exact", "count=planned", "count=estimated"}[p.count])
	}
	switch {
	case p.strict:
		out = append(out, "handling=strict")
	case p.lenient:
		out = append(out, "handling=lenient")
	}
	if a.maxAffected && p.strict && p.maxAffected >= 0 {
		out = append(out, "max-affected="+strconv.FormatInt(p.maxAffected, 10))
	}
	if a.age && p.age != ageUnset {
		out = append(out, [...]string{"", "consistency=bounded", "consistency=strong", "consistency=eventual"}[p.age])
	}
	if len(out) > 0 {
		h.Set("Preference-Applied", strings.Join(out, ", "))
	}
}
