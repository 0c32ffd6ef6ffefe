package move

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Role is which end of a move a store is.
type Role string

// The roles.
const (
	Source Role = "source"
	Target Role = "target"
)

// Step is how far a move is.
type Step string

// The steps, as the two stores remember them. Copying, Tailing and Frozen are
// the source's until it has Moved; Filling, Ready and Live the target's.
const (
	Preparing Step = "preparing"
	Copying   Step = "copying"   // changes are captured, rows are copied
	Indexing  Step = "indexing"  // the rows are there
	Tailing   Step = "tailing"   // what was captured is brought along
	Verifying Step = "verifying" // rows are compared
	Frozen    Step = "frozen"    // the source is fenced until the switch is decided or given up
	Moved     Step = "moved"     // decided: the source is fenced for good

	Filling  Step = "filling"
	Ready    Step = "ready"    // everything is there: the source decides
	Live     Step = "live"     // it is served from, and captures what is written for the way back
	Returned Step = "returned" // the move was taken back: fenced for good
)

// State is what a store remembers of a move.
type State struct {
	ID     string    `json:"id"`
	Role   Role      `json:"role"`
	Step   Step      `json:"step"`
	Epoch  int64     `json:"epoch"`  // grows with each switch; the higher one is right
	Peer   string    `json:"peer"`   // the other store, for people
	Tables []string  `json:"tables"` // numbered from 1, as the log of changes has them
	Began  time.Time `json:"began"`
	Done   bool      `json:"done,omitempty"` // the target's indexes are made
}

// stateKey is the row of the state in pando_move.
const stateKey = "move"

// Standing returns what a store remembers of a move; nil: nothing.
func Standing(ctx context.Context, d store.Driver) (*State, error) {
	var s *State
	err := d.Read(ctx, false, func(r store.Reader) (err error) {
		s, err = readState(r, d.Dialect())
		return err
	})
	return s, err
}

func readState(r store.Reader, d store.Dialect) (*State, error) {
	text, err := readNote(r, d, stateKey)
	if text == "" || err != nil {
		return nil, err
	}
	s := &State{}
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return nil, fault.Wrap(err, fault.StoreIO, "what the store remembers of a move cannot be read")
	}
	return s, nil
}

func (s *State) write(tx store.Tx, d store.Dialect) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fault.From(err)
	}
	return writeNote(tx, d, stateKey, string(text))
}

func readNote(r store.Reader, d store.Dialect, key string) (text string, err error) {
	st := &store.Statement{SQL: `SELECT "value" FROM "pando_move" WHERE "key"=` + d.Param(1)}
	err = r.Query(st, []value.Value{value.OfText(key)}, func(row store.Row) error {
		text = string(row.Append(nil, 0))
		return nil
	})
	return text, err
}

func writeNote(tx store.Tx, d store.Dialect, key, text string) error {
	st := &store.Statement{SQL: `INSERT INTO "pando_move" ("key","value") VALUES (` + d.Param(1) + "," + d.Param(2) + ")" +
		d.OnConflict([]string{`"key"`}, []string{`"value"`})}
	_, err := tx.Exec(st, []value.Value{value.OfText(key), value.OfText(text)})
	return err
}

// exec runs SQL texts in order.
func exec(tx store.Tx, lists ...[]string) error {
	for _, sqls := range lists {
		for _, sql := range sqls {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
