package edge

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// newErrorLog brings net/http's complaints into the node's log. Those that any
// stranger can cause at will are for debugging only.
func newErrorLog(logger *slog.Logger) *log.Logger {
	return log.New(complaints{logger}, "", 0)
}

type complaints struct{ logger *slog.Logger }

// Write implements io.Writer; p is one line.
func (c complaints) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	level := slog.LevelWarn
	for _, common := range [...]string{"TLS handshake error", "http2: server: error reading preface", "http2: received GOAWAY", "http2: server connection error"} {
		if strings.Contains(line, common) {
			level = slog.LevelDebug
		}
	}
	c.logger.LogAttrs(context.Background(), level, "listener", slog.String("message", line))
	return len(p), nil
}
