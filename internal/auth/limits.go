package auth

import (
	"context"
	"math"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// keyFactor is how many networks' worth of requests one API key may make. A
// publishable key is everybody's: the bound is for floods that come from many
// networks, far above what users do.
const keyFactor = 1000

// limit takes one from the named rate of pando.yaml, of the caller's network
// and key, and when an account is given (an address or a user's id) of that
// account as seen from the network, so that no stranger can use it up for its
// owner; only mails to one address are counted wherever they were asked for. A
// service is bounded by its key alone, by the rate admin: it asks for many users
// from one network. The fault is [fault.AuthRateLimit], or
// [fault.AuthEmailRateLimit] for the rates mail and resend; it says when to try again.
func (a *Auth) limit(ctx context.Context, id *policy.Identity, rate, account string) error {
	rates := a.settings().Rates
	if id.Role == policy.Service {
		return a.take(ctx, rate, "admin k "+id.Key, rates["admin"])
	}
	r, network := rates[rate], networkOf(id)
	mails := rate == "mail" || rate == "resend"
	if rate != "resend" { // once a minute is for one address, not for an office
		if err := a.take(ctx, rate, rate+" n "+network, r); err != nil {
			return err
		}
		all := model.Rate{Count: r.Count * keyFactor, Per: r.Per}
		if err := a.take(ctx, rate, rate+" k "+id.Key, all); err != nil {
			return err
		}
	}
	switch {
	case account == "":
		return nil
	case rate == "mail":
		return a.take(ctx, rate, "mail a "+account, r)
	case mails:
		return a.take(ctx, rate, rate+" a "+network+" "+account, r)
	}
	return a.take(ctx, rate, rate+" a "+network+" "+account, rates["account"])
}

func (a *Auth) take(ctx context.Context, rate, key string, r model.Rate) error {
	ok, retry, err := a.cfg.Limits.Take(ctx, key, limit.Rate{Count: r.Count, Per: r.Per})
	if err != nil {
		return fault.Wrap(err, fault.Overloaded, "requests cannot be counted at the moment").WithHint("try again later")
	}
	if ok {
		return nil
	}
	return tooMany(rate, retry)
}

func tooMany(rate string, retry time.Duration) error {
	f := fault.New(fault.AuthRateLimit, "Request rate limit reached")
	if rate == "mail" || rate == "resend" {
		f = fault.New(fault.AuthEmailRateLimit, "For security purposes, you can only request this after %d seconds.", int(math.Ceil(retry.Seconds())))
	}
	f.RetryAfter = retry
	return f
}

// networkOf is the network that a caller asks from.
func networkOf(id *policy.Identity) string {
	if id.Request == nil {
		return limit.Network("")
	}
	return limit.Network(id.Request.IP)
}

// slow refuses a try on an account while the network's failures on it are
// fresh. The wait is the network's own: see [limit.Attempts].
func (a *Auth) slow(id *policy.Identity, account string) error {
	if wait := a.attempts.Delay(networkOf(id), account); wait > 0 {
		return tooMany("sign_in", wait)
	}
	return nil
}
