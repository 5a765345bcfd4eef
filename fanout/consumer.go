package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Metadata of the consumers that are ours.
const (
	metaOrigin = "jethook.origin"
	metaKind   = "jethook.kind"
	metaID     = "jethook.id" // of an endpoint or a subscriber that has one
	originFile = "file"
)

const (
	subscriberAckWait    = 30 * time.Second
	subscriberAckPending = 1000
	// maxWaiting is how many pull requests may wait at a consumer, over all
	// replicas. It cannot be changed afterwards.
	maxWaiting = 64
	// changeTimeout bounds the creation or change of one consumer: on a large
	// stream the server looks for the place where its filters begin.
	changeTimeout = time.Minute
	// stableTimeout bounds the wait for a new consumer to answer: on a
	// clustered stream its creation answers before it has a leader.
	stableTimeout = 30 * time.Second
	stablePause   = 100 * time.Millisecond
	// maxRaces is how often another replica may create or delete a consumer
	// between our look and our act before it is an error.
	maxRaces = 5
)

// consumer is one durable as it should be.
type consumer struct {
	ref
	kind        kind
	id          string
	description string
	filters     []string
	ackWait     time.Duration
	ackPending  int
	maxDeliver  int           // -1: without end
	maxExpires  time.Duration // of a request for events; zero: any
	start       Start
	inMemory    bool // the bus keeps its place
}

func endpointConsumer(e *Endpoint, inMemory bool) consumer {
	return consumer{
		ref: e.ref(), kind: endpointKind, id: e.ID, description: e.Description,
		filters: subjects(e.Env, e.Events),
		ackWait: deliver.AckWait(e.Endpoint), ackPending: deliver.MaxAckPending(e.Endpoint),
		maxDeliver: -1, // the worker decides what is dead
		start:      e.Start, inMemory: inMemory,
	}
}

func subscriberConsumer(s *Subscriber) consumer {
	return consumer{
		ref: s.ref(), kind: subscriberKind, id: s.ID,
		filters: append(subjects(s.Env, s.Events), deliver.AgainSubjects(s.Env, s.Name)),
		ackWait: cmp.Or(s.AckWait, subscriberAckWait), ackPending: subscriberAckPending,
		maxDeliver: cmp.Or(s.MaxDeliver, -1), maxExpires: bus.MaxPullExpiry,
		start: s.Start,
	}
}

// subjects are the filters that select what any of the patterns selects.
func subjects(env event.Env, patterns []event.Pattern) []string {
	var all []string
	for _, p := range event.Reduce(patterns) {
		all = append(all, p.Subject(env))
	}
	return all
}

// create is the configuration of a new consumer, on a stream whose newest event
// has the sequence last. One that begins now begins after it by number, and not
// by DeliverNew: should the server lose the consumer's state, it then begins
// there again and repeats, where DeliverNew would begin at the end and skip.
func (c *consumer) create(last uint64) jetstream.ConsumerConfig {
	config := jetstream.ConsumerConfig{
		Durable:       c.name,
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   last + 1,
		MaxWaiting:    maxWaiting,
		MemoryStorage: c.inMemory,
	}
	switch {
	case c.start.Beginning:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverAllPolicy, 0
	case !c.start.At.IsZero():
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartTimePolicy, 0
		config.OptStartTime = &c.start.At
	case c.start.Sequence > 0:
		config.OptStartSeq = min(c.start.Sequence, last+1)
	}
	c.set(&config)
	return config
}

// set writes what an existing consumer may be changed in. The rest, where it
// began above all, stays its own.
func (c *consumer) set(config *jetstream.ConsumerConfig) {
	config.Description = c.description
	config.FilterSubject, config.FilterSubjects = "", c.filters
	config.AckWait, config.MaxAckPending = c.ackWait, c.ackPending
	config.MaxDeliver, config.MaxRequestExpires = c.maxDeliver, c.maxExpires
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = make(map[string]string, 2)
	}
	config.Metadata[metaOrigin], config.Metadata[metaKind] = originFile, string(c.kind)
	if c.id == "" {
		delete(config.Metadata, metaID)
	} else {
		config.Metadata[metaID] = c.id
	}
}

// update returns what an existing consumer should become, and whether that
// differs from what it is.
func (c *consumer) update(have jetstream.ConsumerConfig) (jetstream.ConsumerConfig, bool) {
	filters := have.FilterSubjects
	if have.FilterSubject != "" {
		filters = []string{have.FilterSubject}
	}
	slices.Sort(filters)
	same := slices.Equal(filters, slices.Sorted(slices.Values(c.filters))) &&
		have.Description == c.description && have.AckWait == c.ackWait &&
		have.MaxAckPending == c.ackPending && have.MaxDeliver == c.maxDeliver && have.MaxRequestExpires == c.maxExpires && have.Metadata[metaID] == c.id
	c.set(&have)
	return have, !same
}

// age compares what has the name on the bus with c by their IDs, which sort by
// time: it is an earlier one's where the result is negative, and a later one's,
// of which this process has not heard yet, where it is positive.
func (c *consumer) age(have jetstream.ConsumerConfig) int {
	id := have.Metadata[metaID]
	if id == "" || c.id == "" {
		return 0
	}
	return strings.Compare(id, c.id)
}

// checkOwner refuses a consumer that somebody else keeps under the name, or
// that is ours and of the other kind.
func (c *consumer) checkOwner(have jetstream.ConsumerConfig) error {
	origin, is := have.Metadata[metaOrigin], have.Metadata[metaKind]
	stream := bus.StreamName(c.env)
	switch {
	case origin != originFile:
		return fmt.Errorf("%s %s: stream %s has a consumer of that name that the file does not own (%s is %q): choose another name, or delete that consumer", c.kind, c.ref, stream, metaOrigin, origin)
	case is != string(c.kind):
		return fmt.Errorf("%s %s: stream %s has a consumer of that name for a %s: choose another name, or remove the %s first", c.kind, c.ref, stream, is, is)
	}
	return nil
}

// ensureConsumer makes the bus match c and reports whether it had to change
// anything. have is what the bus was seen to hold, nil for nothing; replicas
// that act at the same time are waited out.
func ensureConsumer(ctx context.Context, stream jetstream.Stream, c *consumer, have *jetstream.ConsumerConfig) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for range maxRaces {
		if have == nil {
			info, err := stream.Info(ctx)
			if err != nil {
				return false, err
			}
			_, err = stream.CreateConsumer(ctx, c.create(info.State.LastSeq))
			if err == nil {
				return true, awaitStable(ctx, stream, c.name)
			}
			if !errors.Is(err, jetstream.ErrConsumerExists) {
				return false, err
			}
		} else {
			if err := c.checkOwner(*have); err != nil {
				return false, err
			}
			next, differs := c.update(*have)
			if !differs {
				return false, nil
			}
			if c.kind == endpointKind && c.widens(*have) {
				if err := passOver(ctx, stream, c.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					return false, fmt.Errorf("have a new pattern select from now on: %w", err)
				}
			}
			_, err = stream.UpdateConsumer(ctx, next)
			if !errors.Is(err, jetstream.ErrConsumerDoesNotExist) {
				return err == nil, err
			}
		}
		if have, err = lookConsumer(ctx, stream, c.name); err != nil {
			return false, err
		}
	}
	return false, errors.New("others keep creating and deleting the consumer")
}

// lookConsumer returns a consumer's configuration, or nil where there is none.
func lookConsumer(ctx context.Context, stream jetstream.Stream, name string) (*jetstream.ConsumerConfig, error) {
	found, err := stream.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found.CachedInfo().Config, nil
}

func awaitStable(ctx context.Context, stream jetstream.Stream, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stableTimeout, errors.New("the consumer was created but does not answer"))
	defer cancel()
	for {
		if _, err := stream.Consumer(ctx, name); err == nil {
			return nil
		}
		select {
		case <-time.After(stablePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
