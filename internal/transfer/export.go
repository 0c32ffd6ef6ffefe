package transfer

import (
	"context"
	"io"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// ExportOptions say what is exported, and how. Target, Format and Writer are
// required.
type ExportOptions struct {
	Target query.Target
	Format Format
	Writer io.Writer
	Select []query.Item // default: every visible field
	Where  query.Expr   // default: every row
}

// Export writes rows in the order of the primary key and returns how many. It
// sees one state of the data and takes the same memory for any number of rows.
// Hidden fields are left out, as everywhere. Errors are *fault.Error; what was
// written before one is a part of the rows.
func Export(ctx context.Context, e *engine.Engine, id policy.Identity, opt ExportOptions) (int, error) {
	format, err := opt.Format.format()
	if err != nil {
		return 0, err
	}
	q := &query.Read{Target: opt.Target, Node: query.Node{Select: opt.Select, Where: opt.Where}, Format: format, Unbounded: true}
	out := &output{w: opt.Writer}
	res, err := e.Read(ctx, id, q, engine.ReadOptions{Stream: out})
	if err == nil && format == query.JSON {
		_, err = out.Write([]byte{'\n'})
	}
	switch {
	case out.err != nil:
		return 0, fault.Wrap(out.err, fault.BadRequest, "the rows could not be written").WithDetails("%s", out.err)
	case err != nil:
		return 0, fault.From(err)
	}
	return res.Rows, nil
}

// output remembers why writing failed: to the store it is only the end of a
// read.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.err = err
	}
	return n, err
}
