package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

const (
	// redeliveryWindow is how long a redelivery is recognised. Providers try
	// again for three days at most as a rule; Stripe does.
	redeliveryWindow = 3 * day
	day              = 24 * time.Hour
	// maxIndexed bounds the index to 320 MiB, for an id takes 20 to 40 bytes as
	// its map grows; past it the oldest day is forgotten first.
	maxIndexed = 8 << 20
	// verifyTimeout bounds the look at the message that an id was found at.
	verifyTimeout = 2 * time.Second
)

// idKey is the first half of an id's sum. Two ids that share one cost a second
// look at a message: whichever was stored last is found.
type idKey uint64

func keyOf(id event.ID) (idKey, error) {
	sum, err := id.Sum()
	return idKey(binary.BigEndian.Uint64(sum[:])), err
}

// index recognises redeliveries that come after the server's own window: the
// ids of the last three days and where they are stored. It is derived from the
// streams, rebuilt at start, and never trusted: a hit counts when the message
// found there has that id. It is written after the publish, never before, so a
// crash between the two costs a duplicate and not an event.
type index struct {
	js     jetstream.JetStream
	logger *slog.Logger
	group  sync.WaitGroup

	mu    sync.RWMutex
	days  map[int64]map[idKey]uint64 // by day since 1970, so that a day is forgotten at once
	count int
}

func newIndex(js jetstream.JetStream, logger *slog.Logger) *index {
	return &index{js: js, logger: logger, days: make(map[int64]map[idKey]uint64)}
}

// start reads the last three days in the background; with follow set it goes
// on reading what other replicas store.
func (x *index) start(ctx context.Context, follow bool) error {
	for _, env := range event.Envs() {
		stream, err := x.js.Stream(ctx, StreamName(env))
		if err != nil {
			return fmt.Errorf("read the index of %s: %w", env, err)
		}
		last := stream.CachedInfo().State.LastSeq
		if follow {
			last = 0
		} else if stream.CachedInfo().State.Msgs == 0 {
			continue
		}
		x.group.Go(func() {
			if err := x.read(ctx, StreamName(env), last); err != nil && ctx.Err() == nil {
				x.logger.Error("index of redeliveries is incomplete; late ones may be stored twice", "env", env, "error", err)
			} else if err == nil {
				x.logger.Debug("index of redeliveries is read", "env", env)
			}
		})
	}
	return nil
}

func (x *index) wait() { x.group.Wait() }

// read adds the ids of a stream until the message last, or for ever when last
// is zero.
func (x *index) read(ctx context.Context, stream string, last uint64) error {
	start := time.Now().Add(-redeliveryWindow)
	consumer, err := x.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			if errors.Is(err, jetstream.ErrMsgIteratorClosed) || ctx.Err() != nil {
				return err
			}
			x.logger.Debug("index reads again", "stream", stream, "error", err)
			continue
		}
		at, err := message.Metadata()
		if err != nil {
			return err
		}
		if last != 0 && at.Sequence.Stream > last {
			return nil // stored since the start, and added by whoever stored it
		}
		if key, err := keyOf(event.ID(message.Headers().Get("Nats-Msg-Id"))); err == nil {
			x.put(key, at.Sequence.Stream, at.Timestamp)
		}
		if at.Sequence.Stream == last {
			return nil
		}
	}
}

// add remembers an event that has just been stored.
func (x *index) add(id event.ID, sequence uint64) {
	if key, err := keyOf(id); err == nil {
		x.put(key, sequence, time.Now())
	}
}

func (x *index) put(key idKey, sequence uint64, at time.Time) {
	today := time.Now().Unix() / int64(day/time.Second)
	of := at.Unix() / int64(day/time.Second)
	x.mu.Lock()
	defer x.mu.Unlock()
	ids := x.days[of]
	if ids == nil {
		ids = make(map[idKey]uint64)
		x.days[of] = ids
		for old := range x.days {
			if old < today-int64(redeliveryWindow/day) {
				x.forget(old)
			}
		}
	}
	if _, known := ids[key]; !known {
		x.count++
	}
	ids[key] = sequence
	if x.count > maxIndexed {
		oldest := of
		for d := range x.days {
			oldest = min(oldest, d)
		}
		x.logger.Warn("index of redeliveries is full; the oldest day is forgotten", "ids", x.count)
		x.forget(oldest)
	}
}

func (x *index) forget(of int64) {
	x.count -= len(x.days[of])
	delete(x.days, of)
}

// find returns where the event is stored, if it is.
func (x *index) find(ctx context.Context, env event.Env, id event.ID) (uint64, bool) {
	key, err := keyOf(id)
	if err != nil {
		return 0, false
	}
	sequence := x.look(key)
	if sequence == 0 {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	stream, err := x.js.Stream(ctx, StreamName(env))
	if err != nil {
		return 0, false
	}
	stored, err := stream.GetMsg(ctx, sequence)
	if err != nil || stored.Header.Get("Nats-Msg-Id") != string(id) {
		return 0, false
	}
	return sequence, true
}

// look returns the newest place of an id, or zero: an event that has been
// removed from the stream may have been stored again on a later day.
func (x *index) look(key idKey) uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var newest uint64
	for _, ids := range x.days {
		newest = max(newest, ids[key])
	}
	return newest
}
