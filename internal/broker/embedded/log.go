package embedded

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// logger gives the server's lines to the node's log: what went wrong, and for
// those who look for it, the rest.
type logger struct{ to *slog.Logger }

var _ server.Logger = logger{}

func (l logger) Noticef(format string, v ...any) { l.to.Debug("broker: " + fmt.Sprintf(format, v...)) }

func (l logger) Warnf(format string, v ...any) { l.to.Warn("broker: " + fmt.Sprintf(format, v...)) }

func (l logger) Fatalf(format string, v ...any) { l.to.Error("broker: " + fmt.Sprintf(format, v...)) }

func (l logger) Errorf(format string, v ...any) { l.to.Error("broker: " + fmt.Sprintf(format, v...)) }
func (l logger) Debugf(string, ...any)          {}
func (l logger) Tracef(string, ...any)          {}
