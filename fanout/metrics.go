package fanout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// pollInterval bounds what the gauges cost the bus: one list of consumers per
// stream and one look at RETRY in that time, however often they are read.
const pollInterval = 10 * time.Second

// readings are what the bus said last.
type readings struct {
	known   bool
	pending map[ref]int64  // of every consumer
	places  map[ref]uint64 // how many messages it has handed out
	waiting int64
}

// register makes the gauges and returns how to take them back.
func (r *Registry) register() (unregister func() error, err error) {
	meter := r.config.Meter
	pending, err1 := meter.Int64ObservableGauge("jethook.endpoint.pending", metric.WithUnit("{event}"),
		metric.WithDescription("Events that wait for the endpoint or are being delivered, without those due again later."))
	enabled, err2 := meter.Int64ObservableGauge("jethook.endpoint.enabled",
		metric.WithDescription("1 while the endpoint gets events, 0 while they wait."))
	waiting, err3 := meter.Int64ObservableGauge("jethook.retry.waiting", metric.WithUnit("{event}"),
		metric.WithDescription("Deliveries that are due again later, over all endpoints."))
	breaker, err4 := meter.Int64ObservableGauge("jethook.deliver.breaker",
		metric.WithDescription("0 while events are delivered to the endpoint, 2 while they wait because it fails, 1 while one of them is tried."))
	concurrency, err5 := meter.Int64ObservableGauge("jethook.deliver.concurrency", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that may be in flight now."))
	retries, err6 := meter.Int64ObservableGauge("jethook.endpoint.retries", metric.WithUnit("{event}"),
		metric.WithDescription("Deliveries to the endpoint that are due again, now or later."))
	subscribed, err7 := meter.Int64ObservableGauge("jethook.subscriber.pending", metric.WithUnit("{event}"),
		metric.WithDescription("Events that wait for the subscriber, or that it has and has not acknowledged."))
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return nil, fmt.Errorf("make the gauges: %w", err)
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for of, e := range r.wanted {
			labels := metric.WithAttributes(attribute.String(event.AttrEndpoint, of.name), attribute.String(event.AttrEnv, string(of.env)))
			var on int64
			if r.activeLocked(&e) {
				on = 1
			}
			o.ObserveInt64(enabled, on, labels)
			if n, ok := r.gauges.pending[of]; ok {
				o.ObserveInt64(pending, n, labels)
			}
			if r.retries != nil {
				o.ObserveInt64(retries, r.retries[of], labels)
			}
		}
		for of := range r.serving {
			if n, ok := r.gauges.pending[of]; ok {
				o.ObserveInt64(subscribed, n, metric.WithAttributes(attribute.String(event.AttrSubscriber, of.name), attribute.String(event.AttrEnv, string(of.env))))
			}
		}
		for w := range r.workers {
			if w.stopping || w.delivery == nil {
				continue
			}
			labels := metric.WithAttributes(attribute.String(event.AttrEndpoint, w.ref.name), attribute.String(event.AttrEnv, string(w.ref.env)))
			o.ObserveInt64(breaker, int64(w.delivery.Breaker()), labels)
			o.ObserveInt64(concurrency, int64(w.delivery.Concurrency()), labels)
		}
		if r.gauges.known {
			o.ObserveInt64(waiting, r.gauges.waiting)
		}
		return nil
	}, pending, enabled, waiting, breaker, concurrency, retries, subscribed)
	if err != nil {
		return nil, fmt.Errorf("register the gauges: %w", err)
	}
	return registration.Unregister, nil
}

// revisitEvery is how many polls pass between two looks at all that sleep, which
// for ten thousand take about a second.
const revisitEvery = 6

// poll reads the gauges' values until ctx ends. While the bus does not answer
// the last values stand.
func (r *Registry) poll(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var recount time.Time
	for polls := 1; ; polls++ {
		err := r.read(ctx)
		if err == nil && polls%revisitEvery == 0 {
			err = r.revisit(ctx)
		}
		var uncounted error
		recount, uncounted = r.pollRetries(ctx, recount)
		err = errors.Join(err, r.tellRest(ctx), uncounted)
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("the endpoints could not be looked after; tried again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Registry) read(ctx context.Context) error {
	reading, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	js := r.config.Bus.JetStream()
	next := readings{known: true, pending: make(map[ref]int64), places: make(map[ref]uint64)}
	floors := make(map[ref]uint64)
	for _, env := range event.Envs() {
		stream, err := js.Stream(reading, bus.StreamName(env))
		if err != nil {
			return fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
		}
		list := stream.ListConsumers(reading)
		for info := range list.Info() {
			next.pending[ref{env, info.Name}] = waits(info)
			next.places[ref{env, info.Name}] = info.Delivered.Consumer
			if floors[ref{env, info.Name}] = info.AckFloor.Stream; waits(info) == 0 {
				floors[ref{env, info.Name}] = math.MaxUint64
			}
		}
		if err := list.Err(); err != nil {
			return fmt.Errorf("list the consumers of %s: %w", bus.StreamName(env), err)
		}
	}
	retry, err := js.Stream(reading, bus.Retry)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	next.waiting = int64(retry.CachedInfo().State.Msgs)
	r.mu.Lock()
	for of := range r.sleeps { // whose consumer the server may not know
		if _, known := next.pending[of]; !known {
			next.pending[of] = 0
		}
	}
	last := r.gauges
	r.gauges = next
	r.mu.Unlock()
	return errors.Join(r.passed(reading, floors), r.doze(ctx, last, next))
}
