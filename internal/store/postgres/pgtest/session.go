package pgtest

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

// Session is a connection beside those of the code under test.
type Session struct{ c *pgconn.PgConn }

// Connect opens a session.
func Connect(ctx context.Context, url string) (*Session, error) {
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	return &Session{c}, nil
}

// Run runs SQL, one command or more, and returns the first cell of the last
// one's answer.
func (s *Session) Run(ctx context.Context, sql string) (string, error) {
	results, err := s.c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	if rows := results[len(results)-1].Rows; len(rows) > 0 {
		return string(rows[0][0]), nil
	}
	return "", nil
}

// Copy runs a COPY ... FROM STDIN on what r holds.
func (s *Session) Copy(ctx context.Context, r io.Reader, sql string) error {
	_, err := s.c.CopyFrom(ctx, r, sql)
	return err
}

// Close ends the session.
func (s *Session) Close(ctx context.Context) error { return s.c.Close(ctx) }
