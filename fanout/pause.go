package fanout

import (
	"context"
	"fmt"

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
		have.Paused = &paused{At: d.now().UTC()}
		return have
	})
}

// Resume has an endpoint get its events again, be it paused or disabled, and as
// if it had never failed. It returns ErrNotEnabled where the file is in the way.
func (d *Directory) Resume(ctx context.Context, env event.Env, name string) (Status, error) {
	if e := d.of(ref{env, name}); e != nil && !e.Enabled {
		return Status{}, ErrNotEnabled
	}
	return d.change(ctx, ref{env, name}, func(have state) state {
		if have.Paused == nil && have.Disabled == nil {
			return have
		}
		return state{}
	})
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
