package server

import (
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

func TestParseLife(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "24h": 24 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := parseLife(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "90", "-1d", "-1h", "0d", "0h", "1.5d", "99999999999d", "2000000000w", "1y", "1d2h", "+1d"} {
		if got, err := parseLife(text); got != 0 || !fault.Is(err, fault.BadRequest) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
