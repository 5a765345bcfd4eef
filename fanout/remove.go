package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// removeAbsent removes what an earlier Apply had and the list in force has not.
func (r *Registry) removeAbsent(ctx context.Context, p *plan) error {
	var problems []error
	for _, of := range within(p, r.known) {
		if p.listed[of] {
			continue
		}
		k := r.known[of]
		waiting := r.backlog(ctx, p, of)
		if err := r.remove(ctx, p, of, k); err != nil {
			problems = append(problems, fmt.Errorf("remove %s %s: %w", k, of, err))
			continue
		}
		delete(r.known, of)
		r.tellRemoved(ctx, of, k, waiting)
	}
	return errors.Join(problems...)
}

// tellRemoved logs what was removed, and how much waited for it.
func (r *Registry) tellRemoved(ctx context.Context, of ref, k kind, waiting uint64) {
	level, text := slog.LevelInfo, "removed with its consumer"
	if waiting > 0 {
		level, text = slog.LevelWarn, "removed with its consumer, and what waited is not delivered; to keep an endpoint's place write enabled: false instead"
	}
	r.config.Logger.Log(ctx, level, text, "name", of.name, "env", of.env, "kind", k, "waiting", waiting)
}

// replace removes an earlier endpoint or subscriber of a name that a new one has.
func (r *Registry) replace(ctx context.Context, p *plan, c *consumer) error {
	r.mu.Lock()
	delete(r.wanted, c.ref) // or Run would start its worker again
	r.mu.Unlock()
	waiting := r.backlog(ctx, p, c.ref)
	if err := r.remove(ctx, p, c.ref, c.kind); err != nil {
		return err
	}
	r.tellRemoved(ctx, c.ref, c.kind, waiting)
	delete(p.found, c.ref)
	delete(p.busy, c.ref)
	delete(p.records, c.ref)
	delete(r.known, c.ref)
	if e, ok := p.endpoints[c.ref]; ok {
		r.arm([]Endpoint{e})
	}
	return nil
}

// backlog counts what waits for an endpoint or a subscriber, as far as the bus
// tells.
func (r *Registry) backlog(ctx context.Context, p *plan, of ref) (waiting uint64) {
	if live, err := p.streams[of.env].Consumer(ctx, of.name); err == nil {
		waiting = live.CachedInfo().NumPending + uint64(live.CachedInfo().NumAckPending)
	}
	retry, err := r.config.Bus.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return waiting
	}
	for _, subject := range retrySubjects(of) {
		if info, err := retry.Info(ctx, jetstream.WithSubjectFilter(subject)); err == nil {
			for _, messages := range info.State.Subjects {
				waiting += messages
			}
		}
	}
	return waiting
}

// retrySubjects are those of an endpoint's retries, which wait or are due, and of
// what was taken from it, in the order of their way: whoever goes through them misses
// none that goes on from one to the next meanwhile.
func retrySubjects(of ref) []string {
	return []string{deliver.LaterSubjects(of.env, of.name), bus.WaitSubjects(of.env, of.name), deliver.DueSubject(of.env, of.name),
		deliver.LeaseSubjects(of.env, of.name), deliver.LapsedSubject(of.env, of.name)}
}

// remove stops an endpoint's workers and takes from the bus what was the
// endpoint's alone. Its dead events stay: they are a record of what happened.
// What is gone already, as when another replica was first, is no error.
func (r *Registry) remove(ctx context.Context, p *plan, of ref, k kind) error {
	if err := r.stopWorkers(ctx, of); err != nil {
		return err
	}
	if have := p.have(of); have != nil && have.Metadata[metaOrigin] == originFile {
		r.unsynced = true // until the bus is synced, a crash brings it back as a leftover
		if err := r.config.Bus.RemoveConsumer(ctx, bus.StreamName(of.env), of.name); err != nil {
			return err
		}
	}
	if k != endpointKind {
		return nil
	}
	if err := r.endRewind(ctx, p, of); err != nil {
		return fmt.Errorf("delete what a rewinding has left: %w", err)
	}
	if err := r.removeRetries(ctx, of); err != nil {
		return err
	}
	_, err := p.states.Get(ctx, of.key())
	if err == nil {
		err = p.states.Purge(ctx, of.key())
	}
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return fmt.Errorf("remove its state: %w", err)
	}
	return r.keys.forget(ctx, of)
}

// removeTimeout bounds the removal of one endpoint's retries, of which there
// may be a million.
const removeTimeout = time.Minute

// removeRetries cancels the attempts that wait.
func (r *Registry) removeRetries(ctx context.Context, of ref) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	stream, err := r.config.Bus.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	for _, subject := range retrySubjects(of) {
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return fmt.Errorf("cancel its retries: %w", err)
		}
	}
	if err := ignoreAbsent(stream.DeleteConsumer(ctx, deliver.DueConsumer(of.env, of.name))); err != nil {
		return fmt.Errorf("delete the consumer of its retries: %w", err)
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return err
}

// stopWorkers returns when no worker of the endpoint runs any more.
func (r *Registry) stopWorkers(ctx context.Context, of ref) error {
	r.mu.Lock()
	var stopped []*worker
	for w := range r.workers {
		if w.ref == of {
			w.stopLocked(deliver.ErrRemoved)
			stopped = append(stopped, w)
		}
	}
	r.mu.Unlock()
	for _, w := range stopped {
		select {
		case <-w.done:
		case <-ctx.Done():
			return fmt.Errorf("wait for its worker: %w", context.Cause(ctx))
		}
	}
	return nil
}
