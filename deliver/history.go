package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Bounds of one search for attempts.
const (
	maxSearched = 500_000 // messages, each a group of records
	maxFound    = 1000
	searchTime  = 15 * time.Second
	// clockSkew is by how much the clock of who recorded an attempt may be behind
	// that of who received the event.
	clockSkew = time.Minute
)

// History returns the attempts to deliver an event, the oldest first, and
// whether the search came to its end. endpoint may be empty for all. There is no
// index: what was recorded since the event was received is read.
func History(ctx context.Context, b *bus.Bus, e *event.Event, endpoint string) (attempts []Attempt, complete bool, err error) {
	if endpoint == "" {
		endpoint = "*"
	}
	id, searched, full := []byte(e.ID), 0, false
	deadline := time.Now().Add(searchTime)
	err = b.Each(ctx, bus.Range{
		Stream: bus.Attempts, Subject: AttemptsSubject(e.Env, endpoint), Since: e.Time.Add(-clockSkew),
	}, func(m bus.Message) bool {
		if searched++; bytes.Contains(m.Data, id) {
			attempts = append(attempts, attemptsOf(m.Data, e.ID)...)
		}
		full = len(attempts) >= maxFound || searched >= maxSearched || time.Now().After(deadline)
		return !full
	})
	if err != nil {
		return nil, false, fmt.Errorf("read attempts: %w", err)
	}
	return attempts, !full, nil
}

// attemptsOf reads the records of one event in a group. A line that nobody of
// ours wrote is passed over.
func attemptsOf(data []byte, id event.ID) []Attempt {
	var found []Attempt
	for line := range bytes.Lines(data) {
		var a Attempt
		if bytes.Contains(line, []byte(id)) && json.Unmarshal(line, &a) == nil && a.EventID == id {
			found = append(found, a)
		}
	}
	return found
}
