package model

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lifespan is the part of the API's history that a thing is there, see [View].
type Lifespan struct {
	Since      string // the first version that has it, or has it by this name
	Until      string // the last version that has it
	Deprecated *Deprecated
	Was        string // its name before; also the rename of a migration
}

// Deprecated says since when and until when a thing is there, and what to use.
// Days begin in UTC.
type Deprecated struct {
	Since  string // a version or a day
	Sunset string // the day on which it goes; empty: no day is set
	Grace  string // how long after the sunset it is still answered: 30d, 2w, 6mo, 1y
	Use    string // what to use instead
}

// Day is the day since which it is deprecated; false: it is told by a version.
func (d *Deprecated) Day() (time.Time, bool) { return dayOf(d.Since) }

// SunsetDay is the day on which it goes; false: none is set.
func (d *Deprecated) SunsetDay() (time.Time, bool) { return dayOf(d.Sunset) }

// End is when it is answered no more: at its sunset, or after the grace. false:
// it is for ever.
func (d *Deprecated) End() (time.Time, bool) {
	end, ok := d.SunsetDay()
	if !ok || d.Grace == "" {
		return end, ok
	}
	unit := strings.TrimLeft(d.Grace, "0123456789")
	n, err := strconv.Atoi(strings.TrimSuffix(d.Grace, unit))
	if err != nil {
		return end, true
	}
	switch unit {
	case "w":
		return end.AddDate(0, 0, 7*n), true
	case "mo":
		return end.AddDate(0, n, 0), true
	case "y":
		return end.AddDate(n, 0, 0), true
	}
	return end.AddDate(0, 0, n), true
}

// Gone reports whether it is answered no more. Nothing that is not deprecated is
// gone.
func (d *Deprecated) Gone(now time.Time) bool {
	if d == nil || d.Sunset == "" {
		return false
	}
	end, ok := d.End()
	return ok && !now.Before(end)
}

func dayOf(text string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, text)
	return t, err == nil
}

// inOrder checks the days of a deprecation.
func (d *Deprecated) inOrder(f *moduleFile, raw *rawDeprecated) {
	sunset, ends := d.SunsetDay()
	since, begins := d.Day()
	if ends && begins && sunset.Before(since) {
		f.problem(raw.sunset.n, "RFC 8594 and RFC 9745 want the sunset behind the deprecation", "the sunset %s is before the deprecation, %s", d.Sunset, d.Since)
	}
	if raw.grace.given() && !raw.sunset.given() {
		f.problem(raw.grace.n, "add sunset: a day", "a grace counts from the sunset, and there is none")
	}
}

// versionNumber is the number of a version like v2.
func versionNumber(v string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(v, "v"))
	if err != nil {
		return 0
	}
	return n
}

// lifespan checks what a thing says about versions. taken holds the names of
// its siblings.
func (l *loader) lifespan(f *moduleFile, name string, raw *rawLifespan, taken func(string) *Lifespan) Lifespan {
	out := Lifespan{Since: raw.since.v, Until: raw.until.v, Was: raw.was.v}
	l.knownVersion(f, raw.since)
	l.knownVersion(f, raw.until)
	if dep := raw.deprecated; dep.given() {
		out.Deprecated = &Deprecated{Since: dep.v.since.v, Sunset: dep.v.sunset.v, Grace: dep.v.grace.v, Use: dep.v.use.v}
		if since := dep.v.since; since.ok && strings.HasPrefix(since.v, "v") {
			l.knownVersion(f, since)
		} else {
			l.realDay(f, since)
		}
		l.realDay(f, dep.v.sunset)
		out.Deprecated.inOrder(f, &dep.v)
	}
	if raw.since.ok && raw.until.ok && versionNumber(out.Until) < versionNumber(out.Since) {
		f.problem(raw.until.n, "until is the last version that has it, since the first", "%s ends with %s, before it begins with %s", name, out.Until, out.Since)
	}
	if was := raw.was; was.ok {
		switch other := taken(was.v); {
		case was.v == name:
			f.problem(was.n, "leave was out", "%s was never called anything else", name)
		case other != nil && other.Since == "":
			f.problem(was.n, "an older version would have two of this name; give the new one since:", "%q is still there", was.v)
		}
	}
	return out
}

func (l *loader) knownVersion(f *moduleFile, v at[string]) {
	if v.ok && !slices.Contains(l.app.Config.Versions, v.v) {
		f.problem(v.n, nearest(v.v, l.app.Config.Versions)+"; pando.yaml lists the versions", "unknown version %s", quote(v.v))
	}
}

func (l *loader) realDay(f *moduleFile, v at[string]) {
	if _, err := time.Parse(time.DateOnly, v.v); v.ok && err != nil {
		f.problem(v.n, "", "%s is no day of the calendar", v.v)
	}
}
