package functions

import (
	"encoding/json"
	"errors"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// sourceMap says which place of the author's files a place of a bundle came
// from (ECMA-426).
type sourceMap struct {
	sources []string
	lines   [][]segment // by the bundle's line, each in order of its columns
}

// segment maps what begins at a column; everything counts from 0.
type segment struct{ column, source, line, origin int }

var errSourceMap = errors.New("the source map of a bundle is not valid")

// readSourceMap reads a map; none at all maps nothing.
func readSourceMap(raw []byte) (*sourceMap, error) {
	m := &sourceMap{}
	if len(raw) == 0 {
		return m, nil
	}
	var doc struct {
		Sources  []string `json:"sources"`
		Mappings string   `json:"mappings"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errSourceMap
	}
	for _, s := range doc.Sources {
		s = strings.TrimPrefix(s, fromApp+":")
		if i := strings.LastIndex(s, "node_modules/"); i >= 0 {
			s = s[i:]
		}
		m.sources = append(m.sources, s)
	}
	var at segment
	for line := range strings.SplitSeq(doc.Mappings, ";") {
		at.column = 0
		var segments []segment
		for text := range strings.SplitSeq(line, ",") {
			if text == "" {
				continue
			}
			n, ok := vlq(text)
			if !ok {
				return nil, errSourceMap
			}
			at.column += n[0]
			if len(n) >= 4 {
				at.source, at.line, at.origin = at.source+n[1], at.line+n[2], at.origin+n[3]
				if at.source < 0 || at.source >= len(m.sources) {
					return nil, errSourceMap
				}
				segments = append(segments, at)
			}
		}
		m.lines = append(m.lines, segments)
	}
	return m, nil
}

// vlq reads the base64 VLQ numbers of one segment.
func vlq(text string) (numbers []int, ok bool) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	value, shift := 0, 0
	for _, c := range []byte(text) {
		d := strings.IndexByte(digits, c)
		if d < 0 || shift > 30 {
			return nil, false
		}
		value |= d & 31 << shift
		if shift += 5; d&32 != 0 {
			continue
		}
		if value&1 != 0 {
			value = -(value >> 1)
		} else {
			value >>= 1
		}
		numbers = append(numbers, value)
		value, shift = 0, 0
	}
	return numbers, shift == 0 && len(numbers) > 0
}

// place returns the file, line and column (from 1) of a bundle's line and
// column (from 1).
func (m *sourceMap) place(line, column int) (string, bool) {
	if line < 1 || line > len(m.lines) {
		return "", false
	}
	segments := m.lines[line-1]
	i := sort.Search(len(segments), func(i int) bool { return segments[i].column > column-1 })
	if i == 0 {
		return "", false
	}
	s := segments[i-1]
	return m.sources[s.source] + ":" + strconv.Itoa(s.line+1) + ":" + strconv.Itoa(s.origin+1), true
}

// rewrite replaces the places of a bundle in a text, and leaves the prelude's lines
// of a stack out.
func (m *sourceMap) rewrite(text, file string) string {
	if !strings.Contains(text, file) && !strings.Contains(text, preludeFile) {
		return text
	}
	at := regexp.MustCompile(regexp.QuoteMeta(file) + `:(\d+)(?::(\d+))?`)
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, "("+preludeFile) || strings.HasPrefix(strings.TrimSpace(line), "at "+preludeFile) {
			continue
		}
		out = append(out, at.ReplaceAllStringFunc(line, func(found string) string {
			parts := at.FindStringSubmatch(found)
			l, _ := strconv.Atoi(parts[1])
			c, _ := strconv.Atoi(parts[2])
			if place, ok := m.place(l, max(c, 1)); ok {
				return place
			}
			return strings.TrimPrefix(found, bundlePrefix)
		}))
	}
	return strings.Join(out, "\n")
}
