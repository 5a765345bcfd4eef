package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// disabledType names the event that tells of an endpoint's disabling.
const disabledType = "jethook.endpoint.disabled"

// gone disables an endpoint that answered 410, or that has failed for too long
// since that time, in every replica, and tells of it with an event. When several
// replicas find it gone they tell of the same disabling once. An endpoint that
// gets jethook's own events is not told of itself without end: it gets nothing
// until somebody enables it again.
func (r *Registry) gone(ctx context.Context, e *deliver.Endpoint, reason string, since time.Time) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	at := ref{e.Env, e.Name}
	found, err := disable(ctx, bucket, at.key(), disabled{
		Reason: reason, At: r.now().UTC(), Fingerprint: fingerprint(e.URL), Since: since,
	})
	if err != nil {
		return fmt.Errorf("disable endpoint %s: %w", at, err)
	}
	if found.bars(e.URL) && !r.wants(e) {
		_, err = enable(ctx, bucket, at.key(), found) // a reload gave it another URL or none while it answered
		return err
	}
	r.note(at, found)
	if !found.bars(e.URL) {
		return nil // it has recovered
	}
	return r.tellDisabled(ctx, bucket, at, found)
}

// tellDisabled tells of a disabling and notes that it is told, in this order, so
// that what a crash leaves untold is told by whoever looks next. Nobody tells of
// one twice, for the event's id is a function of the record.
func (r *Registry) tellDisabled(ctx context.Context, bucket jetstream.KeyValue, at ref, found record) error {
	if !found.Disabled.Untold {
		return nil
	}
	tells := notice{
		kind: disabledType, at: found.Disabled.At, id: "disabled " + found.Disabled.At.Format(time.RFC3339Nano),
		data: r.expiry(ctx, at, noticeData{Reason: found.Disabled.Reason}),
	}
	if err := tells.publish(ctx, r.config.Bus, at); err != nil {
		return err
	}
	told, err := change(ctx, bucket, at.key(), func(have state) state {
		if have.Disabled == nil || !have.Disabled.At.Equal(found.Disabled.At) || !have.Disabled.Untold {
			return have // it is enabled again, or somebody else was faster
		}
		next := *have.Disabled
		next.Untold = false
		have.Disabled = &next
		return have
	})
	if err != nil {
		return fmt.Errorf("note that the disabling of endpoint %s is told: %w", at, err)
	}
	r.note(at, told)
	return nil
}

// tellRest tells of the disablings that a process which ended, or a bus which was
// full, has left untold.
func (r *Registry) tellRest(ctx context.Context) error {
	untold := make(map[ref]record)
	r.mu.Lock()
	for of, e := range r.wanted {
		if found := r.records[of]; found.bars(e.URL) && found.Disabled.Untold {
			untold[of] = found
		}
	}
	r.mu.Unlock()
	if len(untold) == 0 {
		return nil
	}
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	var problems []error
	for of, found := range untold {
		problems = append(problems, r.tellDisabled(ctx, bucket, of, found))
	}
	return errors.Join(problems...)
}

// expiry adds to a notice until when what waits for the endpoint is stored, as
// far as the bus tells.
func (r *Registry) expiry(ctx context.Context, at ref, data noticeData) noticeData {
	stream, err := r.config.Bus.JetStream().Stream(ctx, bus.StreamName(at.env))
	if err != nil {
		return data
	}
	consumer, err := stream.Consumer(ctx, at.name)
	if err != nil {
		return data
	}
	since, err := oldest(ctx, stream, consumer.CachedInfo())
	if maxAge := stream.CachedInfo().Config.MaxAge; err == nil && maxAge > 0 && !since.IsZero() {
		data.OldestWaiting, data.Expires = since.UTC(), since.Add(maxAge).UTC()
	}
	return data
}

// wants reports whether the list in force delivers to the endpoint at its URL.
func (r *Registry) wants(e *deliver.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, ok := r.wanted[ref{e.Env, e.Name}]
	return ok && now.Enabled && now.URL == e.URL
}
