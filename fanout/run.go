package fanout

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/deliver"
)

const (
	// workerPause comes before a worker that ended by itself starts again.
	workerPause = 5 * time.Second
	// watchPause comes before a broken watch is tried again.
	watchPause = time.Second
)

// Run keeps a worker for every endpoint that is enabled and neither disabled nor paused,
// follows what Apply and other replicas change, and returns when ctx has ended
// and every worker has handed back what it could not finish. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	r.mu.Lock()
	again := r.running
	r.running = true
	r.mu.Unlock()
	if again {
		return errors.New("fanout: Run was called before")
	}
	unregister, err := r.register()
	if err != nil {
		return err
	}
	r.rouseRung(ctx) // so that the first reading counts what waits for them
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { r.watch(ctx); return nil })
	group.Go(func() error { r.poll(ctx); return nil })
	group.Go(func() error { r.listen(ctx); return nil })
	group.Go(func() error { r.attend(ctx); return nil })
	group.Go(func() error { r.replay(ctx); return nil })
	group.Go(func() error { r.lapse(ctx); return nil })
	group.Go(func() error { deliver.Promote(ctx, r.config.Bus, r.config.Logger); return nil })
	group.Go(func() error { r.bury(ctx); return nil })
	group.Go(func() error { r.supervise(ctx, group); return nil })
	return errors.Join(group.Wait(), unregister())
}

// supervise starts and stops workers whenever something has changed.
func (r *Registry) supervise(ctx context.Context, group *errgroup.Group) {
	for {
		r.settle(ctx, group)
		select {
		case <-r.changed:
		case <-ctx.Done():
			return
		}
	}
}

// settle makes the workers match what is wanted. A worker whose endpoint has
// other settings now drains while the new one begins.
func (r *Registry) settle(ctx context.Context, group *errgroup.Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	served := make(map[ref]bool)
	for w := range r.workers {
		if w.stopping {
			continue
		}
		e, ok := r.wanted[w.ref]
		if ok && r.deliversLocked(&e) && w.serves(&e) {
			served[w.ref] = true
			r.tellWorkerLocked(w)
			continue
		}
		w.stopLocked(deliver.ErrStopped)
	}
	if ctx.Err() != nil {
		return
	}
	for of, e := range r.wanted {
		switch {
		case !e.Enabled || served[of]:
		case !r.deliversLocked(&e):
			r.tellLocked(&e) // nothing where its events are pulled
		case r.sleeps[of] == nil:
			r.startLocked(ctx, group, &e)
		}
	}
}

// tellLocked logs each disabling and each pause once.
func (r *Registry) tellLocked(e *Endpoint) {
	found := r.records[e.ref()]
	if r.activeLocked(e) {
		return
	}
	barred := found.bars(e.URL)
	var since time.Time
	if barred {
		since = found.Disabled.At
	} else {
		since = found.Paused.At
	}
	if r.told[e.ref()].Equal(since) {
		return
	}
	r.told[e.ref()] = since
	if !barred {
		r.config.Logger.Warn("endpoint is paused and its events wait; to go on: jethook endpoints resume "+e.Name,
			"endpoint", e.Name, "env", e.Env, "paused_at", found.Paused.At)
		return
	}
	r.config.Logger.Warn("endpoint is disabled and its events wait; to enable it again: jethook endpoints resume "+e.Name+", or change its url",
		"endpoint", e.Name, "env", e.Env, "reason", found.Disabled.Reason, "disabled_at", found.Disabled.At)
}

// deliversLocked reports whether an endpoint shall have a worker.
func (r *Registry) deliversLocked(e *Endpoint) bool { return r.activeLocked(e) && !e.Pull }

// activeLocked reports whether an endpoint gets its events.
func (r *Registry) activeLocked(e *Endpoint) bool {
	found := r.records[e.ref()]
	return e.Enabled && !found.bars(e.URL) && !found.pauses()
}

// watch follows the state of endpoints that replicas share.
func (r *Registry) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("watch of the endpoints' state is tried again", "error", err)
			pause(ctx, watchPause)
		}
	}
}

// follow notes changes until ctx or the watch ends. A watch that begins anew
// repeats what is known, which note passes over.
func (r *Registry) follow(ctx context.Context) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer stopWatching(watcher)
	for {
		select {
		case entry, open := <-watcher.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			if entry == nil {
				continue // all that was there before
			}
			found, err := decodeRecord(entry)
			if err != nil {
				r.config.Logger.Error("state of an endpoint cannot be read and is ignored", "error", err)
				continue
			}
			r.note(refOf(entry.Key()), found)
		case <-ctx.Done():
			return nil
		}
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
