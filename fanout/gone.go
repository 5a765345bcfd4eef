package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/event"
)

// disabledType names the event that tells of an endpoint's disabling.
const disabledType = "jethook.endpoint.disabled"

// disabledEvent is that event's body.
type disabledEvent struct {
	Type      string       `json:"type"`
	Timestamp time.Time    `json:"timestamp"`
	Data      disabledData `json:"data"`
}

type disabledData struct {
	Endpoint string    `json:"endpoint"`
	Env      event.Env `json:"env"`
	Reason   string    `json:"reason"`
}

// gone disables an endpoint that answered 410, in every replica, and tells of
// it with an event. When several replicas find it gone they tell of the same
// disabling once. An endpoint that gets jethook's own events is not told of
// itself without end: it gets nothing until somebody enables it again.
func (r *Registry) gone(ctx context.Context, e *deliver.Endpoint, reason string) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	at := ref{e.Env, e.Name}
	found, err := disable(ctx, bucket, at.key(), disabled{
		Reason: reason, At: time.Now().UTC(), Fingerprint: fingerprint(e.URL),
	})
	if err != nil {
		return fmt.Errorf("disable endpoint %s: %w", at, err)
	}
	if !r.wants(e) {
		return enable(ctx, bucket, at.key(), found) // a reload gave it another URL or none while it answered
	}
	r.note(at.key(), found)
	told, err := found.event(at)
	if err != nil {
		return err
	}
	if _, err := r.config.Bus.Publish(ctx, told); err != nil {
		return fmt.Errorf("publish that endpoint %s is disabled: %w", at, err)
	}
	return nil
}

// wants reports whether the list in force delivers to the endpoint at its URL.
func (r *Registry) wants(e *deliver.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, ok := r.wanted[ref{e.Env, e.Name}]
	return ok && now.Enabled && now.URL == e.URL
}

// event tells of the disabling. Its id is a function of the record, so that
// it is stored once whoever publishes it.
func (r record) event(of ref) (*event.Event, error) {
	body, err := json.Marshal(disabledEvent{
		Type: disabledType, Timestamp: r.Disabled.At,
		Data: disabledData{Endpoint: of.name, Env: of.env, Reason: r.Disabled.Reason},
	})
	if err != nil {
		return nil, err
	}
	return &event.Event{
		ID:  event.NewID(of.env, event.System, of.name+" disabled "+r.Disabled.At.Format(time.RFC3339Nano)),
		Env: of.env, Source: event.System, Type: disabledType, Time: r.Disabled.At,
		ContentType: "application/json", Data: body,
	}, nil
}
