package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/event"
)

// Defaults of Config.
const (
	defaultMaxInFlight = 1024
	defaultMaxBuffered = 256 << 20
	defaultTimeout     = 10 * time.Second
	defaultBodyTimeout = 10 * time.Second
)

// Publisher stores events. Publish returns without an error only when the
// event is stored as durably as the configuration promises, or was stored
// before. An error that wraps event.ErrFull means that there is no room; after
// any other the outcome is unknown, and the sender is asked to send again.
// Publish may keep the event and its data.
type Publisher interface {
	Publish(context.Context, *event.Event) (event.Receipt, error)
}

// Config is what a Handler works with.
type Config struct {
	// Publisher is the bus. Required.
	Publisher Publisher
	// TrustedProxies are the networks whose X-Forwarded-For, -Proto and -Host
	// and X-Request-Id are believed. Empty: nobody's are.
	TrustedProxies []netip.Prefix
	// Logger gets one line a request. Nil: nothing is logged.
	Logger *slog.Logger
	// Tracer makes a span of each request. Nil: no spans, and events carry the
	// trace context of a trace that nobody records.
	Tracer trace.Tracer
	// Meter gets the instruments. Nil: nothing is measured.
	Meter metric.Meter
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// MaxInFlight is how many verified requests may wait for the bus at once;
	// one more is answered 503. Zero: 1024.
	MaxInFlight int
	// MaxBuffered is how many bytes of bodies may be in memory at once,
	// verified or not; a request for which there is no room is answered 503.
	// Zero: 256 MiB.
	MaxBuffered int64
	// Timeout is how long a request waits for the bus. Zero: 10 seconds.
	Timeout time.Duration
	// BodyTimeout is how long a caller may take to send a body. Zero: 10 seconds.
	BodyTimeout time.Duration
}

// complete returns the configuration with its defaults filled in.
func (c Config) complete() (Config, error) {
	if c.Publisher == nil {
		return c, errors.New("a publisher is required")
	}
	if c.MaxInFlight < 0 || c.MaxBuffered < 0 || c.Timeout < 0 || c.BodyTimeout < 0 {
		return c, fmt.Errorf("limits must not be negative: %d in flight, %d bytes, %s for the bus, %s for a body",
			c.MaxInFlight, c.MaxBuffered, c.Timeout, c.BodyTimeout)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noop.Meter{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = defaultMaxBuffered
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = defaultBodyTimeout
	}
	c.TrustedProxies = caller.Normal(c.TrustedProxies)
	return c, nil
}
