package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// ErrNotFound means that the bus does not have what was asked for, or not any
// more.
var ErrNotFound = errors.New("not on the bus")

// Stored is an event and its place.
type Stored struct {
	*event.Event
	Sequence uint64 // in the stream of its environment
	Size     int    // of its body, which a list leaves out
}

// EventRange selects events of one environment.
type EventRange struct {
	Env          event.Env
	Pattern      event.Pattern
	Since, Until time.Time // of storing; zero does not bound
}

// Events returns limit events, the newest first, without their bodies, after
// leaving out the offset newest, and whether there are more. What is no event
// is left out.
func (b *Bus) Events(ctx context.Context, r EventRange, offset, limit int) ([]Stored, bool, error) {
	messages, more, err := b.Newest(ctx, Range{
		Stream: StreamName(r.Env), Subject: r.Pattern.Subject(r.Env), Since: r.Since, Until: r.Until, HeadersOnly: true,
	}, offset, limit)
	if err != nil {
		return nil, false, err
	}
	events := make([]Stored, 0, len(messages))
	for _, m := range messages {
		if e, err := event.Decode(m.Header, nil); err == nil {
			events = append(events, Stored{Event: e, Sequence: m.Sequence, Size: m.Size})
		}
	}
	return events, more, nil
}

// LastSequence is that of the event that was stored last, 0 before the first.
func (b *Bus) LastSequence(ctx context.Context, env event.Env) (uint64, error) {
	stream, err := b.consumer.Stream(ctx, StreamName(env))
	if err != nil {
		return 0, fmt.Errorf("open stream %s: %w", StreamName(env), err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Find returns the event with that id, as far back as the index of redeliveries
// goes, three days. An older one is found by its sequence.
func (b *Bus) Find(ctx context.Context, env event.Env, id event.ID) (Stored, error) {
	if sequence, ok := b.index.find(ctx, env, id); ok {
		return b.Event(ctx, env, sequence)
	}
	return Stored{}, ErrNotFound
}

// Event returns the event at a sequence.
func (b *Bus) Event(ctx context.Context, env event.Env, sequence uint64) (Stored, error) {
	if sequence == 0 {
		return Stored{}, ErrNotFound
	}
	stream := b.events[env]
	if stream == nil {
		return Stored{}, ErrNotFound
	}
	m, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Stored{}, ErrNotFound
	}
	if err != nil {
		return Stored{}, fmt.Errorf("read event %d: %w", sequence, err)
	}
	e, err := event.Decode(m.Header, m.Data)
	if err != nil {
		return Stored{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return Stored{Event: e, Sequence: sequence, Size: len(m.Data)}, nil
}

// Subjects returns how many messages each subject has that the filter selects.
// It is for filters that select few.
func (b *Bus) Subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	opened, err := b.consumer.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("count in stream %s: %w", stream, err)
	}
	info, err := opened.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("count in stream %s: %w", stream, err)
	}
	return info.State.Subjects, nil
}

// CountSubjects returns how many subjects the filter selects. The server pages
// its list of them and says how long it is; the page asked for is behind the
// end, so that a million subjects are counted and none is sent.
func (b *Bus) CountSubjects(ctx context.Context, stream, filter string) (int, error) {
	question, err := json.Marshal(map[string]any{"subjects_filter": filter, "offset": 1 << 40})
	if err != nil {
		return 0, err
	}
	answer, err := b.consuming.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, question)
	if err != nil {
		return 0, fmt.Errorf("count in stream %s: %w", stream, err)
	}
	var counted struct {
		Total int                 `json:"total"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &counted); err != nil {
		return 0, fmt.Errorf("count in stream %s: %w", stream, err)
	}
	if counted.Error != nil {
		return 0, fmt.Errorf("count in stream %s: %w", stream, counted.Error)
	}
	return counted.Total, nil
}
