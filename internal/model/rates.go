package model

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of auth.access_token.
const (
	minAccessToken     = time.Minute
	defaultAccessToken = time.Hour
)

// DefaultRates are the rates of the identity door, by what they bound: each
// counts by the caller's network, account by one account's address and mail
// by both.
func DefaultRates() map[string]Rate {
	return map[string]Rate{
		"sign_in":   {30, 5 * time.Minute},
		"sign_up":   {30, 5 * time.Minute},
		"anonymous": {30, time.Hour},
		"refresh":   {150, 5 * time.Minute},
		"verify":    {30, 5 * time.Minute},
		"mfa":       {15, time.Minute},
		"account":   {30, 15 * time.Minute},
		"mail":      {30, time.Hour},
		"resend":    {1, time.Minute},
		"admin":     {3000, 5 * time.Minute},
		"other":     {300, 5 * time.Minute},
	}
}

func rateNames() []string { return slices.Sorted(maps.Keys(DefaultRates())) }

// rate reads a checked rate like 30/5m.
func rate(text string) Rate {
	count, per, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	if err != nil {
		return Rate{}
	}
	if per[0] > '9' {
		per = "1" + per
	}
	d, err := time.ParseDuration(per)
	if err != nil {
		return Rate{}
	}
	return Rate{Count: n, Per: d}
}
