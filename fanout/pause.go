package fanout

import (
	"context"
	"fmt"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Pause keeps an endpoint from getting anything, in every replica and over
// restarts, until it is resumed. What is in flight finishes; its events and
// retries wait. Pausing what is paused changes nothing. There is no such
// endpoint: bus.ErrNotFound.
func (d *Directory) Pause(ctx context.Context, env event.Env, name string) (Status, error) {
	return d.change(ctx, ref{env, name}, func(have state) state {
		if have.Paused != nil {
			return have
		}
		have.Paused, have.Resumed = &paused{At: d.now().UTC()}, nil
		return have
	})
}

// Resume has an endpoint get its events again, be it paused or disabled, and as
// if it had never failed. One that fails is tried at once. Where perSecond is not 0,
// what waits now is delivered at most at that rate, over all replicas; what is stored
// later comes after it, and then the endpoint's own rate holds again. It returns
// ErrNotEnabled where the endpoint is made not to be enabled.
func (d *Directory) Resume(ctx context.Context, env event.Env, name string, perSecond float64) (Status, error) {
	if e := d.of(ref{env, name}); e != nil && !e.Enabled {
		return Status{}, ErrNotEnabled
	}
	var slow *resumed
	if perSecond > 0 {
		stream, err := d.bus.JetStream().Stream(ctx, bus.StreamName(env))
		if err != nil {
			return Status{}, fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
		}
		slow = &resumed{PerSecond: perSecond, Until: stream.CachedInfo().State.LastSeq, At: d.now().UTC()}
	}
	if err := d.endOutage(ctx, ref{env, name}); err != nil {
		return Status{}, err
	}
	return d.change(ctx, ref{env, name}, func(have state) state {
		if !have.held() {
			have.Resumed = slow
			if have.Failing != nil {
				next := *have.Failing
				next.Asked = d.now().UTC()
				have.Failing = &next
			}
			return have
		}
		return state{Resumed: slow}
	})
}

// endOutage tells of the end of the outage that resuming an endpoint forgets: no
// success tells of it later, and whoever heard of its beginning waits for its end.
// In this order, so that a crash leaves nothing untold; nobody tells of it twice.
func (d *Directory) endOutage(ctx context.Context, at ref) error {
	bucket, err := openStates(ctx, d.bus.JetStream())
	if err != nil {
		return err
	}
	found, err := readState(ctx, bucket, at)
	if err != nil {
		return err
	}
	if since := found.failedSince(); found.held() && !since.IsZero() {
		return recovery(since, d.now()).publish(ctx, d.bus, at)
	}
	return nil
}

// change writes an endpoint's state and returns what follows from it.
func (d *Directory) change(ctx context.Context, at ref, next func(state) state) (Status, error) {
	if err := d.Has(ctx, at.env, at.name); err != nil {
		return Status{}, err
	}
	bucket, err := openStates(ctx, d.bus.JetStream())
	if err != nil {
		return Status{}, err
	}
	if _, err := change(ctx, bucket, at.key(), next); err != nil {
		return Status{}, fmt.Errorf("change the state of endpoint %s: %w", at, err)
	}
	if err := d.bus.Sync(); err != nil {
		return Status{}, fmt.Errorf("keep the state of endpoint %s: %w", at, err)
	}
	return d.Get(ctx, at.env, at.name)
}
