package fanout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// notice is an event of jethook's own about an endpoint.
type notice struct {
	kind string // its type
	at   time.Time
	id   string // a function of the endpoint's record, so that replicas tell of one thing once
	data noticeData
}

// NoticeTypes are the names of the events that tell of endpoints.
func NoticeTypes() []string { return []string{disabledType, failingType, recoveredType} }

// recovery tells of the end of the outage that began at since.
func recovery(since, now time.Time) notice {
	return notice{
		kind: recoveredType, at: now, id: "recovered " + since.Format(time.RFC3339Nano),
		data: noticeData{Since: since},
	}
}

// noticeBody is the event's body.
type noticeBody struct {
	Type      string     `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	Endpoint string    `json:"endpoint"`
	Env      event.Env `json:"env"`
	Since    time.Time `json:"since,omitzero"` // of the first failure
	Reason   string    `json:"reason,omitempty"`
	Percent  *int      `json:"percent,omitempty"` // of the time to disabling

	OldestWaiting time.Time `json:"oldest_waiting_at,omitzero"`
	Expires       time.Time `json:"expires_at,omitzero"` // when the oldest that waits is removed by its age
}

// publish stores a notice, once whoever publishes it. An endpoint that gets
// notices about itself makes no more of them by failing at these: there is one
// for each change of its state.
func (n notice) publish(ctx context.Context, b *bus.Bus, about ref) error {
	n.data.Endpoint, n.data.Env = about.name, about.env
	body, err := json.Marshal(noticeBody{Type: n.kind, Timestamp: n.at.UTC(), Data: n.data})
	if err != nil {
		return fmt.Errorf("write event %s: %w", n.kind, err)
	}
	if _, err := b.Publish(ctx, &event.Event{
		ID:  event.NewID(about.env, event.System, about.name+" "+n.id),
		Env: about.env, Source: event.System, Type: n.kind, Time: n.at,
		ContentType: "application/json", Data: body,
	}); err != nil {
		return fmt.Errorf("publish %s about endpoint %s: %w", n.kind, about, err)
	}
	return nil
}
