package deliver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Bounds of one search for what became of an event.
const (
	maxSearched  = 500_000 // messages, of attempts each a group of records
	maxFound     = 1000
	attemptsTime = 15 * time.Second
	deadTime     = 5 * time.Second
	// clockSkew is by how much the clock of who recorded an attempt may be behind
	// that of who received the event.
	clockSkew = time.Minute
)

// History returns the attempts to deliver an event, the oldest first, and
// whether the search came to its end. endpoint may be empty for all. There is no
// index: what was recorded since the event was received is read.
func History(ctx context.Context, b *bus.Bus, e *event.Event, endpoint string) (attempts []Attempt, complete bool, err error) {
	complete, err = search(ctx, b, e, bus.Attempts, AttemptsSubject(e.Env, cmp.Or(endpoint, "*")), attemptsTime, func(m bus.Message) int {
		attempts = append(attempts, attemptsOf(m.Data, e.ID)...)
		return len(attempts)
	})
	if err != nil {
		return nil, false, fmt.Errorf("read attempts: %w", err)
	}
	return attempts, complete, nil
}

// DeadOf returns an event's dead events as History does its attempts.
func DeadOf(ctx context.Context, b *bus.Bus, e *event.Event, endpoint string) (dead []DeadEvent, complete bool, err error) {
	complete, err = search(ctx, b, e, bus.Dead, DeadSubject(e.Env, cmp.Or(endpoint, "*")), deadTime, func(m bus.Message) int {
		if d, err := decodeDead(m.Data, m.Sequence, m.Time); err == nil && d.EventID == e.ID {
			dead = append(dead, d)
		}
		return len(dead)
	})
	if err != nil {
		return nil, false, fmt.Errorf("read dead events: %w", err)
	}
	return dead, complete, nil
}

// search visits what was stored since an event was received and holds its id, and
// reports whether it came to its end. visit returns how much it has found.
func search(ctx context.Context, b *bus.Bus, e *event.Event, stream, subject string, most time.Duration, visit func(bus.Message) int) (complete bool, err error) {
	id, searched, full := []byte(e.ID), 0, false
	deadline := time.Now().Add(most)
	err = b.Each(ctx, bus.Range{Stream: stream, Subject: subject, Since: e.Time.Add(-clockSkew)}, func(m bus.Message) bool {
		found := 0
		if bytes.Contains(m.Data, id) {
			found = visit(m)
		}
		searched++
		full = found >= maxFound || searched >= maxSearched || time.Now().After(deadline)
		return !full
	})
	return !full, err
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
