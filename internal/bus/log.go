package bus

import (
	"fmt"
	"log/slog"
)

// serverLog carries the embedded server's log lines. Its notices are about its
// own start and stop, which jethook reports itself, so they are debug lines.
type serverLog struct {
	logger *slog.Logger
	gaveUp chan<- error // what it cannot go on after
}

func (l serverLog) Noticef(format string, v ...any) {
	l.logger.Debug("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Warnf(format string, v ...any) {
	l.logger.Warn("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Errorf(format string, v ...any) {
	l.logger.Error("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Fatalf(format string, v ...any) {
	l.Errorf(format, v...)
	select {
	case l.gaveUp <- fmt.Errorf(format, v...):
	default: // the first says why
	}
}
func (l serverLog) Debugf(format string, v ...any) {
	l.logger.Debug("nats: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Tracef(format string, v ...any) {
	l.logger.Debug("nats: " + fmt.Sprintf(format, v...))
}
