package fanout

import (
	"context"
	"fmt"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// disabledType names the event that tells of an endpoint's disabling.
const disabledType = "jethook.endpoint.disabled"

// gone disables an endpoint that answered 410 or has failed for too long, in
// every replica, and tells of it with an event. When several replicas find it
// gone they tell of the same disabling once. An endpoint that gets jethook's own
// events is not told of itself without end: it gets nothing until somebody
// enables it again.
func (r *Registry) gone(ctx context.Context, e *deliver.Endpoint, reason string) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	at := ref{e.Env, e.Name}
	found, err := disable(ctx, bucket, at.key(), disabled{
		Reason: reason, At: r.now().UTC(), Fingerprint: fingerprint(e.URL),
	})
	if err != nil {
		return fmt.Errorf("disable endpoint %s: %w", at, err)
	}
	if !r.wants(e) {
		_, err = enable(ctx, bucket, at.key(), found) // a reload gave it another URL or none while it answered
		return err
	}
	r.note(at.key(), found)
	return r.publish(ctx, at, notice{
		kind: disabledType, at: found.Disabled.At, id: "disabled " + found.Disabled.At.Format(time.RFC3339Nano),
		data: r.expiry(ctx, at, noticeData{Reason: found.Disabled.Reason}),
	})
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
