package pando

import (
	"context"
	"encoding/json"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/operations"
)

// Function registers the code of a function, which answers requests behind
// /functions/v1. It is given the request, and its answer is taken, as functions in
// files are and theirs is: as JSON.
func Function[In, Out any](app *App, name string, fn func(ctx context.Context, request In) (Out, error)) {
	app.add(function, name, func(ctx context.Context, s *operations.Scope, input []byte) ([]byte, error) {
		in, err := decodeInput[In](name, input)
		if err != nil {
			return nil, err
		}
		out, err := fn(with(ctx, &actor{scope: s}), in)
		if err != nil {
			return nil, thrown(name, err)
		}
		raw, err := json.Marshal(out)
		if err != nil {
			return nil, fault.Wrap(err, fault.InvalidOutput, "what %s answers cannot be written", name)
		}
		return raw, nil
	})
}
