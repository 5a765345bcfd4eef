package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Attempt is the record of one attempt, as stream ATTEMPTS keeps it and the
// management API shows it.
type Attempt struct {
	EventID    event.ID  `json:"event_id"`
	EventType  string    `json:"event_type"`
	Env        event.Env `json:"env"`
	Endpoint   string    `json:"endpoint"`
	Sequence   uint64    `json:"sequence,omitempty"` // of the event in the stream of Env
	Number     int       `json:"attempt"`            // 1, 2, …
	At         time.Time `json:"at"`
	DurationMS float64   `json:"duration_ms"`
	Status     int       `json:"status,omitempty"` // 0 when there was no answer
	Outcome    Outcome   `json:"outcome"`
	Error      string    `json:"error,omitempty"`    // why there was no answer, or it was not accepted
	Reason     string    `json:"reason,omitempty"`   // why the event is dead
	NextAt     time.Time `json:"next_at,omitzero"`   // of the next attempt, for OutcomeRetry
	Response   string    `json:"response,omitempty"` // the first KiB of the answer's body
}

// maxErrorText bounds the text of an error in a record.
const maxErrorText = 1 << 10

// AttemptsSubject returns the subject of an endpoint's records.
func AttemptsSubject(env event.Env, endpoint string) string {
	return bus.AttemptsRoot + "." + string(env) + "." + endpoint
}

// ParseAttempts reads a message of stream ATTEMPTS, which holds a group of
// records as lines of JSON, in the order the attempts ended.
func ParseAttempts(data []byte) ([]Attempt, error) {
	var attempts []Attempt
	for line := range bytes.Lines(data) {
		var a Attempt
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("read attempts: %w", err)
		}
		attempts = append(attempts, a)
	}
	return attempts, nil
}
