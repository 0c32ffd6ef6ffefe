package functions

import "context"

// Host is what a call can reach outside of its isolate: the caller of [Invoke]
// implements it, with the rights of whom the call runs for. The methods and their
// bodies are listed in the package's comment.
//
// Call is used by many goroutines at a time; it has to return soon once ctx
// is done, since a call's end waits for it. Its answer is JSON. Its error is
// thrown in the function as a PandoError: the public side of a fault, "an
// internal error occurred" for anything else.
type Host interface {
	Call(ctx context.Context, method string, body []byte) ([]byte, error)
}
