package fanout

import (
	"context"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Pulled returns an endpoint that this process has, as a deliver.Puller takes it,
// and whether it is one whose events are pulled. There is no such endpoint here:
// bus.ErrNotFound.
func (d *Directory) Pulled(env event.Env, name string) (e deliver.Endpoint, pulled bool, err error) {
	found := d.of(ref{env, name})
	if found == nil {
		return e, false, bus.ErrNotFound
	}
	e = found.Endpoint
	e.SystemEvents = namesSystem(found.Events)
	return e, e.Pull, nil
}

// Active reports whether an endpoint gets its events: it is enabled, and neither
// paused nor disabled.
func (d *Directory) Active(ctx context.Context, env event.Env, name string) (bool, error) {
	e := d.of(ref{env, name})
	if e == nil || !e.Enabled {
		return false, nil
	}
	bucket, err := openStates(ctx, d.bus.JetStream())
	if err != nil {
		return false, err
	}
	found, err := change(ctx, bucket, ref{env, name}.key(), func(have state) state { return have })
	return err == nil && !found.bars(e.URL) && !found.pauses(), err
}

// lapse makes failed attempts of what was taken and not acknowledged in time, until
// ctx ends. Where no endpoint is pulled, and none was, it only looks now and then.
func (r *Registry) lapse(ctx context.Context) {
	for ctx.Err() == nil {
		needed, err := r.pulls(), error(nil)
		if !needed {
			needed, err = deliver.LapsedWait(ctx, r.config.Bus)
		}
		if needed && err == nil {
			err = deliver.Lapse(ctx, deliver.PullerConfig{Bus: r.config.Bus, Client: r.config.Client, Logger: r.config.Logger, Meter: r.config.Meter}, r.endpoint)
		}
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("events that are not acknowledged in time could not be looked after; tried again", "error", err)
		}
		pause(ctx, workerPause)
	}
}

// pulls reports whether the list has an endpoint that is pulled.
func (r *Registry) pulls() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.wanted {
		if e.Pull {
			return true
		}
	}
	return false
}

// endpoint returns one of the list.
func (r *Registry) endpoint(env event.Env, name string) (deliver.Endpoint, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.wanted[ref{env, name}]
	return e.Endpoint, ok
}
