package mail

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/pandobase/pando/internal/fault"
)

// maxKept is how many mails a mailbox holds; older ones are removed.
const maxKept = 1000

// mailbox keeps mails as files NAME.eml (RFC 5322), readable by their owner
// alone: they hold links that sign in. The names sort by time.
type mailbox struct {
	dir  string
	from party
	note func(string)
	now  func() time.Time

	mu   sync.Mutex
	last time.Time // of the newest mail, so that no two have one name
	kept int       // files since they were last counted; 0: not yet
}

func openMailbox(cfg Config, u *url.URL, from party) (Sender, error) {
	if u.Host != "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, invalid("mail: mailbox:// takes nothing more").WithHint("mails are kept in the data folder")
	}
	if cfg.Dir == "" {
		return nil, invalid("mail: mailbox:// has no folder")
	}
	return &mailbox{dir: cfg.Dir, from: from, note: cfg.Note, now: cfg.Now}, nil
}

// Send implements [Sender]. A mail is there as a whole or not at all.
func (b *mailbox) Send(ctx context.Context, m *Message) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.QueryCanceled, "the request ended before the mail was sent")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().UTC()
	msg, err := compose(m, b.from, now)
	if err != nil {
		return err
	}
	if !now.After(b.last) {
		now = b.last.Add(time.Nanosecond)
	}
	b.last = now
	if err := b.write(now.Format(nameFormat), msg); err != nil {
		return fault.Wrap(fmt.Errorf("keep a mail: %w", err), fault.StoreIO, "the mail could not be kept").
			WithHint("is the data folder writable, the disk full?")
	}
	if b.note != nil {
		b.note(noteOf(m))
	}
	return nil
}

// nameFormat makes names that sort by time.
const nameFormat = "20060102T150405.000000000Z.eml"

func (b *mailbox) write(name string, msg *gomail.Msg) (err error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(b.dir, ".new.*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error is the one to tell
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := msg.WriteTo(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(b.dir, name)); err != nil {
		return err
	}
	return b.prune()
}

// prune removes the oldest mails beyond maxKept. It lists the folder only when
// there may be that many.
func (b *mailbox) prune() error {
	b.kept++
	if b.kept > 1 && b.kept <= maxKept {
		return nil
	}
	names, err := names(b.dir)
	if err != nil {
		return err
	}
	for len(names) > maxKept {
		if err := os.Remove(filepath.Join(b.dir, names[0])); err != nil && !os.IsNotExist(err) {
			return err
		}
		names = names[1:]
	}
	b.kept = len(names)
	return nil
}

// Kept is one mail of a mailbox.
type Kept struct {
	Name    string // its file's
	Time    time.Time
	From    string
	To      string
	Subject string
	Text    string
	HTML    string
	Link    string // the first on a line of its own, else the first; "" if there is none
	Code    string // the first line of the text that is one; "" if there is none
}

// List returns the mails of the mailbox in dir, the newest last, at most limit
// of them, counted from the newest; 0: all. A folder that is not there is empty.
func List(dir string, limit int) ([]*Kept, error) {
	names, err := names(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	if limit > 0 && len(names) > limit {
		names = names[len(names)-limit:]
	}
	list := make([]*Kept, 0, len(names))
	for _, name := range names {
		k, err := Read(dir, name)
		switch {
		case fault.Is(err, fault.NotFound): // removed meanwhile
		case err != nil:
			return nil, err
		default:
			list = append(list, k)
		}
	}
	return list, nil
}

// Read returns one mail of the mailbox in dir by the name that [List] gave; the
// error of another name is [fault.NotFound].
func Read(dir, name string) (*Kept, error) {
	at, err := time.Parse(nameFormat, name)
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no mail of that name")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = root.Close() }() // it was only read from
	f, err := root.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	const longest = 4 << 20
	msg, err := gomail.EMLToMsgFromReader(io.LimitReader(f, longest))
	if err != nil {
		return nil, fault.Wrap(err, fault.StoreIO, "the mail %s cannot be read", name).WithDetails("it is no e-mail")
	}
	k := &Kept{Name: name, Time: at.UTC(), From: first(msg.GetFromString()), To: first(msg.GetToString())}
	if subject := msg.GetGenHeader(gomail.HeaderSubject); len(subject) > 0 {
		k.Subject = subject[0]
		if decoded, err := new(mime.WordDecoder).DecodeHeader(subject[0]); err == nil {
			k.Subject = decoded
		}
	}
	for _, part := range msg.GetParts() {
		content, err := part.GetContent()
		if err != nil {
			return nil, fault.Wrap(err, fault.StoreIO, "the mail %s cannot be read", name)
		}
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		if part.GetContentType() == gomail.TypeTextHTML {
			k.HTML = text
		} else {
			k.Text = text
		}
	}
	k.Link, k.Code = linkOf(k.Text), codeOf(k.Text)
	return k, nil
}

func unreadable(err error) error {
	if os.IsNotExist(err) {
		return fault.Wrap(err, fault.NotFound, "there is no mail of that name")
	}
	return fault.Wrap(err, fault.StoreIO, "the mailbox cannot be read")
}

// names returns the files of mails in dir, the oldest first.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		_, err := time.Parse(nameFormat, e.Name())
		return err != nil || !e.Type().IsRegular()
	})
	list := make([]string, len(entries))
	for i, e := range entries { // sorted by name
		list[i] = e.Name()
	}
	return list, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// noteOf is the line that tells of a mail: to whom, what, and what to click or
// type.
func noteOf(m *Message) string {
	parts := []string{"mail to " + m.To + ": " + m.Subject}
	for _, what := range []string{linkOf(m.Text), codeOf(m.Text)} {
		if what != "" {
			parts = append(parts, what)
		}
	}
	return strings.Join(parts, "  ")
}

// linkOf finds the first link on a line of its own, else the first at all.
func linkOf(text string) string {
	if line := regexp.MustCompile(`(?m)^[ \t]*https?://\S+[ \t\r]*$`).FindString(text); line != "" {
		return strings.TrimSpace(line)
	}
	return regexp.MustCompile(`https?://\S+`).FindString(text)
}

// codeOf finds a code on a line of its own: digits, or letters and digits.
func codeOf(text string) string {
	return strings.TrimSpace(regexp.MustCompile(`(?m)^[ \t]*(?:[0-9]{4,12}|[A-Z0-9]{6,12})[ \t\r]*$`).FindString(text))
}
