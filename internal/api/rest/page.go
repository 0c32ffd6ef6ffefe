package rest

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// rangeHeader narrows the root's page to the Range header, as PostgREST does:
// the rows that limit and offset and the header all name. A range in another
// unit than items, or of another form, is ignored (RFC 9110, 14.2).
func (p *params) rangeHeader(h http.Header) error {
	text := h.Get("Range")
	if text == "" {
		return nil
	}
	if u := h.Get("Range-Unit"); u != "" && !strings.EqualFold(u, "items") {
		return nil
	}
	text = strings.TrimPrefix(text, "items=")
	lowText, highText, ok := strings.Cut(text, "-")
	low, lowOK := digits(lowText)
	high, highOK := digits(highText)
	if !ok || !lowOK || (highText != "" && !highOK) {
		return nil
	}
	if highText == "" {
		high = math.MaxInt64 - 1
	}
	if high < low {
		return fault.New(fault.InvalidRange, "Requested range not satisfiable").
			WithDetails("The lower boundary must be lower than or equal to the upper boundary in the Range header.")
	}
	page := &p.node.Page
	end := high // the last row, inclusive
	if page.Limit != nil && page.Offset <= math.MaxInt64-*page.Limit {
		end = min(end, page.Offset+*page.Limit-1)
	}
	page.Offset = max(page.Offset, low)
	if low > 0 && p.cursor != "" {
		return fault.New(fault.Parse, "cursor and a Range that does not begin at 0 cannot be combined")
	}
	if highText == "" && page.Limit == nil {
		return nil
	}
	if end < page.Offset && (page.Limit == nil || *page.Limit > 0) {
		return fault.New(fault.InvalidRange, "Requested range not satisfiable").
			WithDetails("The Range header and the parameters limit and offset have no row in common.")
	}
	p.limit = max(0, end-page.Offset+1)
	page.Limit = &p.limit
	return nil
}

// digits reads an unsigned number.
func digits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n < math.MaxInt64
}

// contentRange appends "first-last/total" of a page; the range is * where no
// rows are answered or their position is not known (low < 0), the total is *
// where it was not asked for (total < 0).
func contentRange(dst []byte, low, rows, total int64) []byte {
	if rows > 0 && low >= 0 {
		dst = strconv.AppendInt(dst, low, 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, low+rows-1, 10)
	} else {
		dst = append(dst, '*')
	}
	dst = append(dst, '/')
	if total < 0 {
		return append(dst, '*')
	}
	return strconv.AppendInt(dst, total, 10)
}

// pageStatus is the status of a page: 206 when it is known that there is more
// than it. The page may lie wholly behind the end: that is a fault.
func pageStatus(low, rows, total int64) (int, error) {
	switch {
	case total < 0:
		return http.StatusOK, nil
	case low > total:
		return 0, fault.New(fault.InvalidRange, "Requested range not satisfiable").
			WithDetails("An offset of %d was requested, but there are only %d rows.", low, total)
	case rows < total:
		return http.StatusPartialContent, nil
	}
	return http.StatusOK, nil
}

// links returns the Link header (RFC 8288) that leads to the neighbouring
// pages: the request's own URL with another cursor. A limit that came in the
// Range header becomes a parameter, because the header will not be repeated.
func links(u *url.URL, page query.Page, next, prev string) string {
	if next == "" && prev == "" {
		return ""
	}
	var b strings.Builder
	base := keepParams(u, page)
	link := func(cursor, rel string) {
		if cursor == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('<')
		b.WriteString(base)
		b.WriteString("cursor=")
		b.WriteString(url.QueryEscape(cursor))
		b.WriteString(`>; rel="`)
		b.WriteString(rel)
		b.WriteByte('"')
	}
	link(next, "next")
	link(prev, "prev")
	return b.String()
}

// keepParams is the URL with its parameters but cursor and offset, ready for
// one more parameter.
func keepParams(u *url.URL, page query.Page) string {
	var b strings.Builder
	b.WriteString(u.EscapedPath())
	b.WriteByte('?')
	limited := false
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil || part == "" || key == "cursor" || key == "offset" {
			continue
		}
		limited = limited || key == "limit"
		for i := range len(part) { // what RFC 3986 forbids in a URL would break the header apart
			if c := part[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`<>"\^{}|`+"`", c) >= 0 {
				b.WriteByte('%')
				b.WriteString(strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
			} else {
				b.WriteByte(c)
			}
		}
		b.WriteByte('&')
	}
	if !limited && page.Limit != nil {
		b.WriteString("limit=")
		b.WriteString(strconv.FormatInt(*page.Limit, 10))
		b.WriteByte('&')
	}
	return b.String()
}
