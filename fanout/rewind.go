package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// RewindSpec is how far an endpoint is to go back: to what was stored at a time or
// later, to a sequence, or to the beginning. One of the three is given.
type RewindSpec struct {
	Since     time.Time
	Sequence  uint64
	Beginning bool
}

// Rewind is events that an endpoint has had and is to be delivered again by its
// own consumer, and with them all that follow.
type Rewind struct {
	First uint64 // the sequence it goes back to
	Last  uint64 // that of the newest event it has had
	Count uint64 // of the events from First to Last that its patterns select, before its filter
}

// ErrRewindChanged means that the events a rewinding was agreed for are not those
// that would be delivered again now.
var ErrRewindChanged = errors.New("other events would be delivered again than was agreed")

// LookBack counts what an endpoint would be delivered again, and changes nothing. It
// goes back to what is not settled at the least, and no further than what is stored.
// There is no such endpoint: bus.ErrNotFound.
func (d *Directory) LookBack(ctx context.Context, env event.Env, name string, spec RewindSpec) (Rewind, error) {
	place, stream, err := d.placeOf(ctx, ref{env, name})
	if err != nil {
		return Rewind{}, err
	}
	to := spec.Sequence
	switch {
	case spec.Beginning:
		to = 1
	case !spec.Since.IsZero():
		if to, err = d.bus.SequenceAt(ctx, bus.StreamName(env), spec.Since); err != nil {
			return Rewind{}, err
		}
	}
	to = max(min(max(to, stream.CachedInfo().State.FirstSeq), place.Floor+1), 1)
	r := Rewind{First: to, Last: place.Last}
	r.Count, err = d.countBack(ctx, env, place.Config, r)
	return r, err
}

// Rewind has an endpoint go back as LookBack has said. Where by now other events
// would be delivered again, as when some have been removed, or its patterns have
// changed, it returns ErrRewindChanged with what they are and changes nothing. An
// event whose attempt is under way at that moment is delivered by that attempt alone.
func (d *Directory) Rewind(ctx context.Context, env event.Env, name string, agreed Rewind) (Rewind, error) {
	place, _, err := d.placeOf(ctx, ref{env, name})
	if err != nil {
		return Rewind{}, err
	}
	now := agreed
	now.First = max(min(agreed.First, place.Floor+1), 1)
	if now.Count, err = d.countBack(ctx, env, place.Config, now); err != nil {
		return now, err
	}
	if now != agreed || agreed.Last > place.Last {
		return now, ErrRewindChanged
	}
	if err := d.bus.Rewind(ctx, bus.StreamName(env), name, agreed.First); err != nil {
		return now, err
	}
	d.bus.Ring(deliver.DueSubject(env, name)) // it may sleep
	d.logger.Info("endpoint is rewound", "endpoint", name, "env", env, "first", now.First, "last", now.Last, "count", now.Count)
	return now, nil
}

// placeOf returns where an endpoint stands.
func (d *Directory) placeOf(ctx context.Context, at ref) (bus.Place, jetstream.Stream, error) {
	if err := d.Has(ctx, at.env, at.name); err != nil {
		return bus.Place{}, nil, err
	}
	stream, err := d.bus.JetStream().Stream(ctx, bus.StreamName(at.env))
	if err != nil {
		return bus.Place{}, nil, fmt.Errorf("open stream %s: %w", bus.StreamName(at.env), err)
	}
	place, err := d.bus.Place(ctx, bus.StreamName(at.env), at.name)
	if err == nil && !isEndpoint(place.Config) {
		err = bus.ErrNotFound
	}
	return place, stream, err
}

// countBack counts what an endpoint's consumer selects from First to Last.
func (d *Directory) countBack(ctx context.Context, env event.Env, of jetstream.ConsumerConfig, r Rewind) (uint64, error) {
	return d.bus.Count(ctx, bus.Range{Stream: bus.StreamName(env), Subject: of.FilterSubject, Subjects: of.FilterSubjects, After: r.First - 1}, r.Last)
}

// takeUpRewind has a consumer that is missing because the process that rewound it
// died meanwhile begin where it was to go on.
func (p *plan) takeUpRewind(c *consumer) {
	if placeholder := p.have(ref{c.env, bus.PlaceholderName(c.name)}); placeholder != nil {
		c.start = Start{Sequence: placeholder.OptStartSeq}
	}
}

// endRewind removes what a process that died while it rewound a consumer has left.
func (r *Registry) endRewind(ctx context.Context, p *plan, at ref) error {
	if p.have(ref{at.env, bus.PlaceholderName(at.name)}) == nil {
		return nil
	}
	return r.config.Bus.DropPlaceholder(ctx, p.streams[at.env], at.name)
}

// rewound reports whether a worker ended because its consumer was deleted to begin
// anew further back, and finishes that where the process that did it has died.
func (r *Registry) rewound(ctx context.Context, e *deliver.Endpoint, err error) bool {
	if !errors.Is(err, jetstream.ErrConsumerDeleted) && !errors.Is(err, jetstream.ErrConsumerNotFound) || ctx.Err() != nil {
		return false
	}
	js, of := r.config.Bus.JetStream(), ref{e.Env, e.Name}
	stream, err := js.Stream(ctx, bus.StreamName(e.Env))
	if err != nil {
		return false
	}
	if have, err := lookConsumer(ctx, stream, e.Name); err != nil || have != nil {
		return err == nil
	}
	first, err := r.config.Bus.Placeholder(ctx, stream, e.Name)
	r.mu.Lock()
	wanted, listed := r.wanted[of]
	r.mu.Unlock()
	if err != nil || first == 0 || !listed {
		return false
	}
	c := endpointConsumer(&wanted, r.config.Bus.KeepsConsumers())
	c.start = Start{Sequence: first}
	_, err = ensureConsumer(ctx, stream, &c, nil)
	return err == nil
}
