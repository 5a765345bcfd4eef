package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stallWait is how long the iterator is waited for after a message. It misses
// its moment to ask for more when it is descheduled right after asking, and then
// waits for half a minute although events are there; calling it again asks.
// See https://github.com/nats-io/nats.go/issues/1622.
const stallWait = 100 * time.Millisecond

// heartbeat is how often the server says that it still knows a pull. After two
// that did not come it is asked again: a consumer whose leader is gone has
// forgotten it, and the client's own value leaves the endpoint without
// deliveries for half a minute.
const heartbeat = 5 * time.Second

// idleSlot is how long a slot waits for its next event.
const idleSlot = time.Second

// read delivers what comes from a source until ctx ends, and hands back what was
// fetched and not begun. It returns an error when the source is no more.
func (s *shift) read(ctx, work context.Context, from source) error {
	messages, err := from.consumer.Messages(jetstream.PullMaxMessages(pullBatch(s.endpoint)), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Drain)()
	stalling := []jetstream.NextOpt{jetstream.NextMaxWait(stallWait)}
	var wait []jetstream.NextOpt // none: as long as it takes
	for {
		msg, err := messages.Next(wait...)
		switch {
		case err == nil:
			if d := s.take(ctx, work, from, msg); d != nil && !s.begin(ctx, work, d) {
				s.handBack(d, 0)
			}
			wait = stalling
		case errors.Is(err, nats.ErrTimeout):
			wait = nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed) && ctx.Err() != nil && !errors.Is(err, jetstream.ErrConnectionClosed):
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			// The iterator pulls again by itself; but a deleted consumer is
			// silent as well.
			if _, err := from.consumer.Info(ctx); errors.Is(err, jetstream.ErrConsumerNotFound) {
				return fmt.Errorf("pull: %w", err)
			}
		default:
			return fmt.Errorf("pull: %w", err)
		}
	}
}

// take returns the delivery of a message, or nil when it has settled the message
// or handed it back.
func (s *shift) take(ctx, work context.Context, from source, msg jetstream.Msg) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		s.logger.Error("message without metadata is left alone", "endpoint", s.endpoint, "error", err)
		return nil
	}
	d := &delivery{msg: msg, key: messageKey{due: from.due, sequence: meta.Sequence.Stream}, fetches: meta.NumDelivered}
	if !s.held.add(d) {
		return nil // it is in work still; what settles it settles this copy too
	}
	if ctx.Err() != nil {
		s.handBack(d, 0)
		return nil
	}
	if !s.unpack(work, d) {
		return nil
	}
	wanted, err := s.filter.match(d.event.Data)
	switch {
	case err != nil:
		s.attempts.Go(func() { s.bury(work, d, &Attempt{Reason: err.Error()}) })
	case !wanted:
		s.metrics.count(work, OutcomeFiltered)
		s.settled(d)
	default:
		return d
	}
	return nil
}

// begin waits for the rate and then for a free slot, and has the delivery made
// there. It reports false when ctx ends first.
func (s *shift) begin(ctx, work context.Context, d *delivery) bool {
	if s.limiter != nil && s.limiter.Wait(ctx) != nil {
		return false
	}
	select {
	case s.next <- d: // to a slot that is free
	case s.slots <- struct{}{}:
		s.attempts.Go(func() { s.occupy(work, d) })
	case <-ctx.Done():
		return false
	}
	return true
}

// occupy makes one delivery after another in its slot and stays for a while when
// none is waiting: a busy endpoint then needs no new goroutine, with a stack to
// grow, for each event, and an idle one has none.
func (s *shift) occupy(work context.Context, d *delivery) {
	defer func() { <-s.slots }()
	idle := time.NewTimer(idleSlot)
	defer idle.Stop()
	for open := true; open; {
		s.deliver(work, d)
		idle.Reset(idleSlot)
		select {
		case d, open = <-s.next: // closed once nothing more comes
		case <-idle.C:
			return
		}
	}
}
