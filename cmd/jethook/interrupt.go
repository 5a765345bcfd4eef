package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jethook/jethook/config"
)

// interrupted is the cause of a context that a signal has ended.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return "ended by signal: " + i.signal.String() }

// interruption is the signal that has ended ctx, where err is that something was
// given up for it, and else err.
func interruption(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.As(err, new(interrupted))) {
		return context.Cause(ctx)
	}
	return err
}

// echo is how soon after the first signal another one is the same request:
// timeout(1) sends its signal to its child, and then to the group that has the
// child in it.
const echo = 100 * time.Millisecond

// interruptible returns a context that SIGINT or SIGTERM ends, with interrupted
// as its cause. A second signal, unless it is an echo, ends the process at once:
// whoever asks twice does not want to wait for the drain. stop gives the signals
// back.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var first time.Time
		for {
			select {
			case s := <-signals:
				switch {
				case first.IsZero():
					first = time.Now()
					cancel(interrupted{s})
				case time.Since(first) > echo:
					os.Exit(int(exitInterrupted))
				default:
					newLogger(config.Log{Format: "auto"}, os.Stderr).
						Info("a signal that follows another at once is ignored; send it again to end without draining", "signal", s.String())
				}
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		<-ended
		cancel(nil)
	}
}
