package receive

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jethook/jethook/internal/event"
)

// Event is one event as it was delivered.
type Event struct {
	// ID is the event's, "evt_…", and the same in every delivery of it: duplicates
	// are told by it.
	ID string
	// Type is the event's name as its provider wrote it, such as "invoice.paid".
	Type string
	// Env is the environment, "prod" or "test", and Source the name of the source.
	Env, Source string
	// Time is when jethook received it.
	Time time.Time
	// Attempt is 1 for the first attempt to deliver it, and 0 where that is not said.
	Attempt int
	// Replay is the id of the replay that delivers it again, empty for none.
	Replay string
	// Header are the delivery's headers: Content-Type of Data, Traceparent, and those
	// of the provider that jethook keeps.
	Header http.Header
	// Data is the provider's body, byte for byte.
	Data []byte
}

// readEvent reads a CloudEvent in binary mode.
func readEvent(header http.Header, body []byte) (Event, error) {
	message := make(map[string][]string, 5)
	for _, name := range [...]string{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"} {
		message[name] = header.Values(name)
	}
	e, err := event.Decode(message, nil)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNoEvent, err)
	}
	if id := header.Get("webhook-id"); id != string(e.ID) { // which is signed
		return Event{}, fmt.Errorf("%w: ce-id is not webhook-id", ErrNoEvent)
	}
	attempt, _ := strconv.Atoi(header.Get("jethook-attempt"))
	return Event{
		ID: string(e.ID), Type: e.Type, Env: string(e.Env), Source: e.Source, Time: e.Time,
		Attempt: max(attempt, 0), Replay: header.Get("jethook-replay"), Header: header, Data: body,
	}, nil
}
