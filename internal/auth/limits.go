package auth

import (
	"context"

	"github.com/pandobase/pando/internal/policy"
)

// limit takes one from the named rate of pando.yaml, of the caller's network
// and key, and when an account is given (an address or a user's id) of that
// account as seen from the network. The fault is [fault.AuthRateLimit], or
// [fault.AuthEmailRateLimit] for the rates mail and resend; it says when to try again.
func (a *Auth) limit(ctx context.Context, id *policy.Identity, rate, account string) error {
	return nil
}
