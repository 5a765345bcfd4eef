package fanout

import (
	"context"
	"errors"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// worker is one delivery worker that runs, or drains when it is stopping.
type worker struct {
	ref      ref
	endpoint deliver.Endpoint
	stop     context.CancelCauseFunc
	stopping bool
	delivery *deliver.Worker // the latest; nil before the first
	done     chan struct{}   // closed when it has drained
}

// serves reports whether the worker delivers by these very settings. Keys are
// compared by their material, which never leaves them.
func (w *worker) serves(e *Endpoint) bool {
	return reflect.DeepEqual(w.endpoint, e.Endpoint)
}

// tellWorkerLocked passes on what replicas say of the endpoint: whether it fails and
// when somebody asked to try it, and this replica's part of its rate.
func (r *Registry) tellWorkerLocked(w *worker) {
	if w.delivery != nil {
		w.delivery.Failing(r.failsLocked(&w.endpoint))
		if fails := r.records[w.ref].Failing; fails != nil {
			w.delivery.Probe(fails.Asked)
		}
		w.delivery.Pace(r.paceLocked(&w.endpoint))
	}
}

// stopLocked ends the worker: because is deliver.ErrStopped or deliver.ErrRemoved.
func (w *worker) stopLocked(because error) {
	w.stopping = true
	w.stop(because)
}

func (r *Registry) startLocked(ctx context.Context, group *errgroup.Group, e *Endpoint) {
	ctx, stop := context.WithCancelCause(ctx)
	w := &worker{ref: e.ref(), endpoint: e.Endpoint, stop: stop, done: make(chan struct{})}
	r.workers[w] = struct{}{}
	group.Go(func() error {
		defer stop(nil)
		r.deliver(ctx, w)
		r.mu.Lock()
		delete(r.workers, w)
		r.mu.Unlock()
		close(w.done)
		return nil
	})
}

// deliver runs a worker until ctx ends. One that ends by itself costs the
// others nothing and starts again after a pause.
func (r *Registry) deliver(ctx context.Context, w *worker) {
	e := &w.endpoint
	for {
		err := r.work(ctx, w)
		if r.rewound(ctx, e, err) {
			continue
		}
		if err != nil {
			r.config.Logger.Error("delivery worker ended", "endpoint", e.Name, "env", e.Env,
				"error", err, "starts_again", ctx.Err() == nil)
		}
		if ctx.Err() != nil {
			return
		}
		pause(ctx, workerPause)
	}
}

// openAtOnce is how many workers are opened at a time. Where ten thousand
// endpoints wake at once, their consumers could not all be made within the
// deadline of a request, since the server compares each with all others.
const openAtOnce = 16

// open has the bus know the consumers of a worker. It waits for its turn, or
// until ctx ends.
func (r *Registry) open(ctx context.Context, e *deliver.Endpoint) (*deliver.Worker, error) {
	select {
	case r.opening <- struct{}{}:
		defer func() { <-r.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	// Without a deadline of ours each request has five seconds, which a server on a
	// busy machine takes where it has ten thousand consumers.
	ctx, cancel := context.WithTimeoutCause(ctx, changeTimeout, errors.New("the worker's consumers were not made in time"))
	defer cancel()
	if err := r.config.Bus.Unpark(ctx, bus.StreamName(e.Env), e.Name); err != nil {
		return nil, err
	}
	delivery, err := deliver.NewWorker(r.workerConfig(e))
	if err != nil {
		return nil, err
	}
	if err := delivery.Open(ctx); err != nil {
		return nil, err
	}
	return delivery, nil
}

// work is one life of a worker.
func (r *Registry) work(ctx context.Context, w *worker) error {
	delivery, err := r.open(ctx, &w.endpoint)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	r.mu.Lock()
	w.delivery = delivery
	r.tellWorkerLocked(w)
	r.mu.Unlock()
	return delivery.Run(ctx)
}

func (r *Registry) workerConfig(e *deliver.Endpoint) deliver.WorkerConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	return deliver.WorkerConfig{
		Endpoint: *e,
		Bus:      r.config.Bus,
		Client:   r.config.Client,
		Logger:   r.config.Logger,
		Tracer:   r.config.Tracer,
		Meter:    r.config.Meter,
		OnGone:   func(ctx context.Context, reason string) error { return r.gone(ctx, e, reason, time.Time{}) },

		Failing:      r.failsLocked(e),
		MaxProbeWait: r.config.probeWait(),
		OnFailing:    func(ctx context.Context, f deliver.Failing) error { return r.failing(ctx, e, f) },
		OnRecovered:  func(ctx context.Context) error { return r.recovered(ctx, e) },

		DrainTimeout: r.config.DrainTimeout,
	}
}
