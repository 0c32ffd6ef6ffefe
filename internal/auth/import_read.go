package auth

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pandobase/pando/internal/fault"
)

// ImportFormat is where users come from.
type ImportFormat string

// The formats.
const (
	// ImportSupabase is the table auth.users as CSV with a header.
	ImportSupabase ImportFormat = "supabase"
	// ImportPocketBase are the rows of a collection of users with their
	// hashes, as its database gives them: CSV with a header, a JSON array, the
	// API's {"items": [...]}, or one JSON object a line.
	ImportPocketBase ImportFormat = "pocketbase"
)

// maxImportRow bounds the bytes of one row, so that a file that is none of
// these formats is not read into memory as one row.
const maxImportRow = 1 << 20

// importRow is a user to be.
type importRow struct {
	line     int
	id       string // a UUID
	sourceID string // what the id was, where that is no UUID
	email    string
	phone    string
	password string // an encoded hash

	confirmed, lastSignIn, invited, banned, created, updated *time.Time

	appData, userData map[string]any
	anonymous         bool
}

// rowError is what is wrong with one row; the next ones can be read.
type rowError struct {
	line   int
	reason string
}

func (e *rowError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.reason) }

// userReader reads the users of a file one by one.
type userReader struct {
	records recordSource
	convert func(*fieldsOf) importRow
	known   map[string]bool // columns: true is taken over, false known to be of no use
	unknown map[string]bool // columns that were seen and are not known
}

// recordSource gives records as columns and values: text (or null) of CSV,
// anything of JSON. It ends with io.EOF.
type recordSource interface {
	next() (line int, record map[string]any, err error)
}

// newUserReader finds out whether the text is CSV or JSON. What it cannot read
// at all is a [fault.AuthValidation].
func newUserReader(r io.Reader, format ImportFormat) (*userReader, error) {
	u := &userReader{unknown: map[string]bool{}}
	b := &budget{r: r}
	in := bufio.NewReader(b)
	b.left = maxImportRow
	start, err := in.Peek(3)
	if bytes.Equal(start, []byte("\xef\xbb\xbf")) { // the mark that some programs put before UTF-8
		_, err = in.Discard(3)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.Wrap(err, fault.AuthValidation, "the file cannot be read")
	}
	isJSON := false
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		if err != nil {
			break
		}
		if c := head[n-1]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			isJSON = c == '[' || c == '{'
			break
		}
	}
	switch format {
	case ImportSupabase:
		u.convert, u.known = supabaseRow, supabaseColumns()
		if isJSON {
			return nil, fault.New(fault.AuthValidation, "this is JSON").WithHint(`export auth.users as CSV: \copy auth.users to 'users.csv' csv header`)
		}
	case ImportPocketBase:
		u.convert, u.known = pocketBaseRow, pocketBaseColumns()
	default:
		return nil, fault.New(fault.AuthValidation, "users cannot be imported from %q", format).WithHint("the formats are %s and %s", ImportSupabase, ImportPocketBase)
	}
	if isJSON {
		u.records = newJSONRecords(in, b)
		return u, nil
	}
	u.records, err = newCSVRecords(in, b, u)
	return u, err
}

// see notes the columns of a record.
func (u *userReader) see(names ...string) {
	for _, n := range names {
		if _, ok := u.known[n]; !ok {
			u.unknown[n] = true
		}
	}
}

// next returns the next user, io.EOF after the last, a *rowError for a row
// that is no user; any other error ends the file.
func (u *userReader) next() (*importRow, error) {
	line, record, err := u.records.next()
	if err != nil {
		return nil, err
	}
	u.see(slices.Collect(maps.Keys(record))...)
	f := &fieldsOf{record: record}
	row := u.convert(f)
	row.line = line
	if f.err != "" {
		return nil, &rowError{line, f.err}
	}
	return &row, nil
}

// ignored lists the columns that were seen and not known, sorted.
func (u *userReader) ignored() []string { return slices.Sorted(maps.Keys(u.unknown)) }

// errTooLong ends a file with a row beyond maxImportRow.
var errTooLong = fmt.Errorf("a row is longer than %d bytes", maxImportRow)

// budget bounds what is read for one row.
type budget struct {
	r    io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// csvRecords reads CSV (RFC 4180) with a header.
type csvRecords struct {
	r       *csv.Reader
	b       *budget
	columns []string
}

func newCSVRecords(in io.Reader, b *budget, u *userReader) (*csvRecords, error) {
	c := &csvRecords{r: csv.NewReader(in), b: b}
	c.r.FieldsPerRecord = -1 // counted here, so that one bad row does not end the file
	header, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, fault.New(fault.AuthValidation, "the file is empty").WithHint("the first line names the columns")
	}
	if err != nil {
		return nil, csvFault(err)
	}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if slices.Contains(c.columns, name) {
			return nil, fault.New(fault.AuthValidation, "the column %q stands twice in the first line", name)
		}
		header[i] = name
		c.columns = append(c.columns, name)
	}
	for _, need := range []string{"id", "email"} {
		if !slices.Contains(c.columns, need) {
			return nil, fault.New(fault.AuthValidation, "the first line names no column %s", need).WithHint("export the table with its header")
		}
	}
	u.see(c.columns...)
	return c, nil
}

func csvFault(err error) error {
	if errors.Is(err, errTooLong) {
		return fault.New(fault.AuthValidation, "%s", errTooLong).WithHint("a quote may be missing")
	}
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return fault.New(fault.AuthValidation, "line %d is no CSV", parse.Line).WithDetails("%s", parse.Err)
	}
	return err
}

func (c *csvRecords) next() (int, map[string]any, error) {
	c.b.left = maxImportRow
	fields, err := c.r.Read()
	if errors.Is(err, io.EOF) {
		return 0, nil, io.EOF
	}
	if err != nil {
		return 0, nil, csvFault(err)
	}
	line, _ := c.r.FieldPos(0)
	if len(fields) != len(c.columns) {
		return 0, nil, &rowError{line, fmt.Sprintf("%d values for %d columns", len(fields), len(c.columns))}
	}
	record := make(map[string]any, len(fields))
	for i, v := range fields {
		if v != "" {
			record[c.columns[i]] = v
		}
	}
	return line, record, nil
}

// jsonRecords reads objects: of one array, of the member items of an object,
// or one after the other.
type jsonRecords struct {
	dec    *json.Decoder
	b      *budget
	lines  *lineReader
	inside bool // an array is open
	first  bool // nothing was read yet
}

func newJSONRecords(in io.Reader, b *budget) *jsonRecords {
	lines := &lineReader{r: in, line: 1}
	j := &jsonRecords{dec: json.NewDecoder(lines), b: b, lines: lines, first: true}
	j.dec.UseNumber()
	return j
}

func (j *jsonRecords) fault(err error) error {
	if errors.Is(err, errTooLong) {
		return fault.New(fault.AuthValidation, "%s", errTooLong)
	}
	line := j.lines.at(j.dec.InputOffset())
	return fault.New(fault.AuthValidation, "near line %d: no JSON", line).WithDetails("%s", err)
}

func (j *jsonRecords) next() (int, map[string]any, error) {
	j.b.left = maxImportRow
	if j.first {
		j.first = false
		if err := j.open(); err != nil {
			return 0, nil, err
		}
	}
	if j.inside && !j.dec.More() {
		if _, err := j.dec.Token(); err != nil { // the end of the array; what follows it is of no use
			return 0, nil, j.fault(err)
		}
		return 0, nil, io.EOF
	}
	var raw json.RawMessage
	switch err := j.dec.Decode(&raw); {
	case errors.Is(err, io.EOF):
		return 0, nil, io.EOF
	case err != nil:
		return 0, nil, j.fault(err)
	}
	line := j.lines.at(j.dec.InputOffset() - int64(len(raw)))
	var record map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&record); err != nil || record == nil {
		return 0, nil, &rowError{line, "no JSON object"}
	}
	return line, record, nil
}

// open steps into the array of records, when there is one.
func (j *jsonRecords) open() error {
	head, err := j.lines.peek()
	if err != nil {
		return j.fault(err)
	}
	if head == '[' {
		_, err = j.dec.Token()
		j.inside = true
		return err
	}
	// An object is a record, or a page of the API that holds them. Its members
	// before items are short; a record's first member is never called so.
	page, err := j.lines.isPage()
	if err != nil || !page {
		return err
	}
	for {
		t, err := j.dec.Token()
		if err != nil {
			return j.fault(err)
		}
		if t == "items" {
			break
		}
	}
	t, err := j.dec.Token()
	if err != nil {
		return j.fault(err)
	}
	if t != json.Delim('[') {
		return fault.New(fault.AuthValidation, "items is no array")
	}
	j.inside = true
	return nil
}

// lineReader counts lines of what passes through it.
type lineReader struct {
	r      io.Reader
	head   []byte  // read ahead by peek
	offset int64   // of the end of what was read
	breaks []int64 // offsets of line breaks from line on
	line   int
}

func (l *lineReader) Read(p []byte) (int, error) {
	var n int
	var err error
	if len(l.head) > 0 {
		n = copy(p, l.head)
		l.head = l.head[n:]
	} else {
		n, err = l.r.Read(p)
	}
	for i, c := range p[:n] {
		if c == '\n' {
			l.breaks = append(l.breaks, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at returns the line of an offset; offsets only grow.
func (l *lineReader) at(offset int64) int {
	n := 0
	for n < len(l.breaks) && l.breaks[n] < offset {
		n++
	}
	l.breaks, l.line = l.breaks[n:], l.line+n
	return l.line
}

// peek returns the first character that is no space.
func (l *lineReader) peek() (byte, error) {
	if err := l.fill(); err != nil {
		return 0, err
	}
	head := bytes.TrimLeft(l.head, " \t\r\n")
	if len(head) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return head[0], nil
}

// isPage reports whether the text begins like a page of PocketBase's API.
func (l *lineReader) isPage() (bool, error) {
	if err := l.fill(); err != nil {
		return false, err
	}
	dec := json.NewDecoder(bytes.NewReader(l.head))
	if _, err := dec.Token(); err != nil {
		return false, nil //nolint:nilerr // the reader of records says what is wrong, with the line
	}
	key, err := dec.Token()
	return err == nil && (key == "items" || key == "page" || key == "perPage" || key == "totalItems"), nil
}

// fill reads enough to tell the forms apart.
func (l *lineReader) fill() error {
	if len(l.head) > 0 {
		return nil
	}
	buf := make([]byte, 4096)
	n, err := io.ReadFull(l.r, buf)
	l.head = buf[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// fieldsOf reads the values of a record and keeps the first mistake.
type fieldsOf struct {
	record map[string]any
	err    string
}

func (f *fieldsOf) fail(name, why string) {
	if f.err == "" {
		f.err = name + ": " + why
	}
}

// text is the value as text; "" when there is none.
func (f *fieldsOf) text(name string) string {
	switch v := f.record[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		f.fail(name, "no text")
		return ""
	}
}

// time reads the forms that PostgreSQL and PocketBase write.
func (f *fieldsOf) time(name string) *time.Time {
	s := f.text(name)
	if s == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07", "2006-01-02T15:04:05.999999999-07", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil && at.Year() >= 1 && at.Year() <= 9999 {
			at = at.UTC()
			return &at
		}
	}
	f.fail(name, "no time")
	return nil
}

func (f *fieldsOf) bool(name string) bool {
	if b, ok := f.record[name].(bool); ok {
		return b
	}
	switch strings.ToLower(f.text(name)) {
	case "", "f", "false", "0":
		return false
	case "t", "true", "1":
		return true
	}
	f.fail(name, "neither true nor false")
	return false
}

// object reads a JSON object, or a text that holds one.
func (f *fieldsOf) object(name string) map[string]any {
	if o, ok := f.record[name].(map[string]any); ok {
		return o
	}
	s := f.text(name)
	if s == "" || s == "null" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil || d.More() {
		f.fail(name, "no JSON object")
	}
	return o
}

func supabaseColumns() map[string]bool {
	known := map[string]bool{}
	for _, n := range []string{"id", "email", "encrypted_password", "email_confirmed_at", "confirmed_at", "invited_at", "last_sign_in_at", "raw_app_meta_data", "raw_user_meta_data", "created_at", "updated_at", "banned_until", "is_anonymous", "phone", "deleted_at", "is_sso_user"} {
		known[n] = true
	}
	// What mailed codes were made of, and what PostgreSQL's roles were: neither
	// means anything here.
	for _, n := range []string{"instance_id", "aud", "role", "confirmation_token", "confirmation_sent_at", "recovery_token", "recovery_sent_at", "email_change", "email_change_token_new", "email_change_token_current", "email_change_sent_at", "email_change_confirm_status", "is_super_admin", "phone_confirmed_at", "phone_change", "phone_change_token", "phone_change_sent_at", "reauthentication_token", "reauthentication_sent_at"} {
		known[n] = false
	}
	return known
}

func supabaseRow(f *fieldsOf) importRow {
	row := importRow{
		id: f.text("id"), email: f.text("email"), phone: f.text("phone"), password: f.text("encrypted_password"),
		confirmed: f.time("email_confirmed_at"), lastSignIn: f.time("last_sign_in_at"), invited: f.time("invited_at"),
		banned: f.time("banned_until"), created: f.time("created_at"), updated: f.time("updated_at"),
		appData: f.object("raw_app_meta_data"), userData: f.object("raw_user_meta_data"), anonymous: f.bool("is_anonymous"),
	}
	if row.confirmed == nil && row.email != "" && row.phone == "" {
		row.confirmed = f.time("confirmed_at") // of older exports; the later of e-mail's and phone's in newer ones
	}
	switch id, ok := canonicalUUID(row.id); {
	case !ok:
		f.fail("id", "no UUID")
	case f.text("deleted_at") != "":
		f.fail("deleted_at", "the user was deleted")
	case f.bool("is_sso_user"):
		f.fail("is_sso_user", "the user signs in through SAML, which this build does not have")
	default:
		row.id = id
	}
	return row
}

func pocketBaseColumns() map[string]bool {
	known := map[string]bool{}
	for _, n := range []string{"id", "email", "verified", "password", "passwordHash", "created", "updated", "name", "username", "avatar"} {
		known[n] = true
	}
	for _, n := range []string{"tokenKey", "emailVisibility", "collectionId", "collectionName", "lastResetSentAt", "lastVerificationSentAt", "lastLoginAlertSentAt", "expand"} {
		known[n] = false
	}
	return known
}

// pocketBaseIDs is the namespace of the ids that PocketBase's become: a
// constant, so that a second import finds the users of the first.
var pocketBaseIDs = uuid.MustParse("5f0c1d0e-3f6b-5c7a-9a63-6d0f8f3b7a21") //nolint:gochecknoglobals // a constant

func pocketBaseRow(f *fieldsOf) importRow {
	row := importRow{
		email: f.text("email"), password: f.text("passwordHash"),
		created: f.time("created"), updated: f.time("updated"), userData: map[string]any{},
	}
	if row.password == "" {
		row.password = f.text("password") // its name in the database since 0.23
	}
	for _, n := range []string{"name", "username", "avatar"} {
		if v := f.text(n); v != "" {
			row.userData[n] = v
		}
	}
	if f.bool("verified") {
		row.confirmed = row.created
		if row.confirmed == nil {
			row.confirmed = new(time.Time) // of the import
		}
	}
	switch id := f.text("id"); {
	case id == "" || len(id) > 255:
		f.fail("id", "missing or too long")
	default:
		var ok bool
		if row.id, ok = canonicalUUID(id); !ok {
			row.id, row.sourceID = uuid.NewSHA1(pocketBaseIDs, []byte(id)).String(), id
		}
	}
	return row
}

// canonicalUUID returns a UUID in its canonical form.
func canonicalUUID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	id, err := uuid.Parse(s)
	return id.String(), err == nil
}
