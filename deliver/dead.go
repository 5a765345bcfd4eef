package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Dead is the body of a message of stream DEAD: an event that will not be
// tried again at this endpoint unless somebody asks. The event itself stays in
// its stream.
type Dead struct {
	EventID        event.ID  `json:"event_id"`
	Type           string    `json:"type,omitempty"`
	Source         string    `json:"source,omitempty"`
	Env            event.Env `json:"env"`
	Endpoint       string    `json:"endpoint"`
	Stream         string    `json:"stream"`
	Sequence       uint64    `json:"sequence"`
	Reason         string    `json:"reason"`
	Attempts       int       `json:"attempts"`
	FirstAttemptAt time.Time `json:"first_attempt_at,omitzero"`
	LastAttemptAt  time.Time `json:"last_attempt_at,omitzero"`
	LastStatus     int       `json:"last_status,omitempty"`
	LastError      string    `json:"last_error,omitempty"`
	Previous       *uint64   `json:"previous,omitempty"` // that of a Pointer

	// Subscriber says that Endpoint is a subscriber.
	Subscriber bool `json:"subscriber,omitempty"`
}

// DeadSubject returns the subject of an endpoint's dead events.
func DeadSubject(env event.Env, endpoint string) string {
	return bus.DeadRoot + "." + string(env) + "." + endpoint
}

// id holds what brought the event: an event which dies again after it was
// redelivered is listed again, also where no attempt was made.
func (d Dead) id(by messageKey) string {
	return fmt.Sprintf("%s:%s:%d:%d:%d:%t:%d", d.Env, d.Endpoint, d.Sequence, d.Attempts, d.FirstAttemptAt.UnixNano(), by.due, by.sequence)
}

// message returns what is stored.
func (d Dead) message(id string) (*nats.Msg, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write dead event: %w", err)
	}
	return &nats.Msg{
		Subject: DeadSubject(d.Env, d.Endpoint),
		Header:  nats.Header{headerMsgID: {id}},
		Data:    data,
	}, nil
}

// store stores the dead event and returns its number; the same id does so once.
func (d Dead) store(ctx context.Context, b *bus.Bus, id string) (uint64, error) {
	m, err := d.message(id)
	if err != nil {
		return 0, err
	}
	return b.Put(ctx, bus.Dead, m)
}
