package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds on a connection that a stranger holds. How long a body may take is
// the gateway's to say.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	// flushTimeout bounds the last act, sending telemetry that waits.
	flushTimeout = 5 * time.Second
)

// ErrBusClosed is returned by Run when the connection to the bus has ended for
// good, which a restart mends.
var ErrBusClosed = errors.New("the connection to the bus has ended")

func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}

// Run serves until ctx ends, then drains: readiness fails, traffic goes on for
// listen.drain_delay, the listeners close, attempts in flight finish and the
// rest is handed back, all within listen.drain_timeout. It returns nil after a
// clean end. An App runs once.
func (a *App) Run(ctx context.Context) error {
	defer func() {
		if err := a.close(); err != nil {
			a.options.Logger.Error("close", "error", err)
		}
	}()
	// Workers go on while the process drains; see drain.
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	delivered := make(chan struct{})
	group, serving := errgroup.WithContext(ctx)
	group.Go(a.ops.serve)
	if a.public != nil {
		group.Go(a.public.serve)
	}
	if a.private != nil {
		group.Go(a.private.serve)
		group.Go(func() error { return a.admin.Run(delivering) })
	}
	group.Go(func() error { return a.managed.Run(delivering) })
	group.Go(func() error { a.follow(delivering); return nil })
	group.Go(func() error { a.keepKeyset(delivering); return nil })
	group.Go(func() error {
		defer close(delivered)
		if a.registry == nil {
			return nil
		}
		return a.registry.Run(delivering)
	})
	group.Go(func() error {
		var failure error
		select {
		case <-ctx.Done():
		case <-serving.Done(): // a listener or the registry has failed
		case <-a.bus.Closed():
			failure = ErrBusClosed
		}
		return errors.Join(failure, a.drain(failure == nil && ctx.Err() != nil, func() { stop(); <-delivered }))
	})
	a.readiness.set(ready)
	a.options.Logger.Info("jethook is ready", "version", a.options.Version, "addresses", a.Addresses(),
		"sources", len(a.started.Sources), "endpoints", len(a.started.Endpoints), "subscribers", len(a.started.Subscribers))
	err := group.Wait()
	a.options.Logger.Info("jethook has stopped")
	return err
}

// drain is the end of Run in its order. A failure cuts the delay short. The
// gateway and the workers finish side by side, and the listeners of operators
// answer to the last, so that they can watch.
func (a *App) drain(orderly bool, endDelivery func()) error {
	a.readiness.set(draining)
	listen := a.started.Listen
	if orderly {
		a.options.Logger.Info("draining", "delay", listen.DrainDelay.String(), "timeout", listen.DrainTimeout.String())
		time.Sleep(listen.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), listen.DrainTimeout)
	defer cancel()
	var ending sync.WaitGroup
	ending.Go(endDelivery)
	var err error
	if a.public != nil {
		if err = a.public.server.Shutdown(ctx); err != nil {
			err = fmt.Errorf("requests did not finish within listen.drain_timeout: %w", err)
		}
	}
	ending.Wait()
	if a.private != nil {
		if late := a.private.server.Shutdown(ctx); late != nil {
			err = errors.Join(err, fmt.Errorf("management requests did not finish within listen.drain_timeout: %w", late))
		}
	}
	return errors.Join(err, a.ops.server.Close())
}

// close releases what New opened, in reverse order.
func (a *App) close() error {
	var errs []error
	for _, l := range []*listener{a.ops, a.private, a.public} {
		if l != nil {
			errs = append(errs, l.server.Close())
			_ = l.socket.Close() // closed already where it was served
		}
	}
	if a.client != nil {
		a.client.Close()
	}
	if a.bus != nil {
		errs = append(errs, a.bus.Close())
	}
	if a.telemetry != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		errs = append(errs, a.telemetry.shutdown(ctx))
	}
	return errors.Join(errs...)
}
