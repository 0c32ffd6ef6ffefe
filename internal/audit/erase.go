package audit

import (
	"context"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// erasuresMeta counts the erasures. A node that sees it change looks every key up
// again that it knows.
const erasuresMeta = "audit.erasures"

// erasure is a key that is to be deleted with the commit.
type erasure struct {
	subject string
	there   bool
}

// Erase deletes the data key of a subject, a user's id: the personal values of
// all records about them are lost for ever, and the chain stays whole. by is
// who asked for it, which is put on record. It reports whether there was a key.
func (l *Log) Erase(ctx context.Context, by Record, subject string) (bool, error) {
	if subject == "" {
		return false, fault.New(fault.BadRequest, "whose values are to be erased is not said").WithHint("name a user's id")
	}
	by.Action, by.Entity, by.Keys = "audit.erase", "auth.users", []string{subject}
	var e *erasure
	err := l.driver.Write(ctx, func(tx store.Tx) error {
		e = &erasure{subject: storable(subject)}
		tx.Keep(e)
		return l.Append(tx, &by)
	})
	return err == nil && e.there, err
}

// erase does so within the commit, where no other node makes or uses keys.
func (l *Log) erase(tx store.Tx, e *erasure) error {
	n, err := tx.Exec(l.st.eraseKey, []value.Value{value.OfText(e.subject)})
	if err != nil {
		return err
	}
	e.there = n > 0
	l.subjects.forget(e.subject)
	count, _ := strconv.ParseInt(l.chain.next.erasures, 10, 64) // none yet, or no number: it has to change, no more
	l.chain.next.erasures = strconv.FormatInt(count+1, 10)
	_, err = tx.Exec(l.st.setMeta, []value.Value{value.OfText(erasuresMeta), value.OfText(l.chain.next.erasures)})
	return err
}
