package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// idleSlot is how long a slot waits for its next event.
const idleSlot = time.Second

// read delivers what comes from a source until ctx ends, whenever the gate lets
// it. It returns an error when the source is no more.
func (s *shift) read(ctx, work context.Context, from source) error {
	batch := pullBatch(s.endpoint)
	for {
		turn, probe, ok := s.gate.enter(ctx, from.due)
		if !ok {
			return nil
		}
		var err error
		if probe {
			_, err = s.pull(turn, work, from, 1)
		} else {
			batch, err = s.pull(turn, work, from, batch)
		}
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
	}
}

// pull delivers what comes until ctx ends, and hands back what was fetched and
// not begun. So many events are fetched in advance, or more where that suits the
// endpoint; where fewer do, pull ends by itself. It returns how many do.
func (s *shift) pull(ctx, work context.Context, from source, batch int) (next int, err error) {
	messages, err := newFeed(s.config.Bus, from.consumer, batch, mostInAdvance(pullBatch(s.endpoint)))
	if err != nil {
		return batch, err
	}
	defer messages.close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(ctx, messages.drain)()
	defer context.AfterFunc(s.hurries, messages.hurry)()
	next = batch
	for {
		msg, err := messages.next()
		switch {
		case err == nil:
			got := time.Now()
			d := s.take(ctx, work, from, msg)
			if d == nil {
				break
			}
			if !s.begin(ctx, work, d) {
				s.handBack(d, 0)
			} else if next == batch {
				waited := time.Since(got)
				next = s.inAdvance(batch, waited, len(d.event.Data))
				switch {
				case d.probe, next < batch && tooLong(batch, waited):
					end()
					messages.drain() // at once, or one more is asked for
				case next < batch:
					messages.drain() // what is fetched is delivered still
				case next > batch:
					messages.grow(next)
					batch = next
				}
			}
		case errors.Is(err, io.EOF):
			return next, nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			if isDeleted(ctx, from.consumer) {
				return batch, jetstream.ErrConsumerNotFound
			}
		default:
			return batch, err
		}
	}
}

// Bounds of what is fetched in advance of an endpoint that is quick: each time
// costs the server as much as the delivery of an event.
const (
	slotAdvance  = 4 // events for each slot,
	maxAdvance   = 256
	advanceTime  = time.Second // so long until the last of them begins,
	advanceBytes = 8 << 20     // and so large together
)

// inAdvance returns how many events shall be fetched in advance where batch were
// and the last one, of so many bytes, waited so long for its slot. Where the
// endpoint is slow and has few slots the rest would wait for longer than the
// server does.
func (s *shift) inAdvance(batch int, waited time.Duration, size int) int {
	usual := pullBatch(s.endpoint)
	suits, most := min(int(s.gate.window.size.Load()), usual), usual
	quick := max(suits, min(slotAdvance*suits, maxAdvance))
	if !s.pace.limited.Load() && waited*time.Duration(quick) <= advanceTime && quick*size <= advanceBytes {
		suits, most = quick, mostInAdvance(usual)
	}
	large := batch > usual && batch*size > advanceBytes
	if suits < batch && (large || tooLong(batch, waited)) || suits > batch && (suits >= 2*batch || suits == most) {
		return suits
	}
	return batch
}

// mostInAdvance is how many events are fetched in advance at most, where so many are
// of an endpoint that is not quick.
func mostInAdvance(usual int) int { return max(usual, min(slotAdvance*usual, maxAdvance)) }

// tooLong reports whether the last of a batch waits for longer than the server
// does, where one waits so long.
func tooLong(batch int, waited time.Duration) bool {
	return waited*time.Duration(batch) > ackMargin
}

// take returns the delivery of a message, or nil when it has settled the message
// or handed it back.
func (s *shift) take(ctx, work context.Context, from source, msg *nats.Msg) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		s.logger.Error("message without metadata is left alone", s.endpoint.who(), "error", err)
		return nil
	}
	d := &delivery{msg: msg, key: messageKey{due: from.due, sequence: meta.Sequence.Stream}, place: jetstream.MsgMetadata{
		Sequence: jetstream.SequencePair(meta.Sequence), NumDelivered: meta.NumDelivered}}
	if s.config.Replay.alone() {
		d.attempts = s.held.tries(d)
	}
	if !from.due && s.held.progress.Settled(d.key.sequence) { // in an earlier life of the process
		s.note(d, s.selects(d))
		s.held.ack(d)
		return nil
	}
	if !s.held.add(d) {
		s.note(d, false)
		return nil // it is in work still; what settles it settles this copy too
	}
	if ctx.Err() != nil {
		s.note(d, s.selects(d))
		s.handBack(d, 0)
		return nil
	}
	if !s.unpack(work, d) {
		return nil
	}
	beyond := s.config.Replay != nil && d.sequence > s.config.Replay.End
	if beyond || d.event.Source == event.System && !s.endpoint.SystemEvents {
		s.note(d, false)
		if !beyond {
			s.config.Replay.count(OutcomeFiltered)
		}
		s.settled(d)
		return nil
	}
	wanted, err := s.filter.match(d.event.Data)
	s.note(d, wanted && err == nil)
	switch {
	case err != nil:
		s.attempts.Go(func() { s.bury(work, d, &Attempt{Reason: err.Error()}) })
	case !wanted:
		s.metrics.count(work, OutcomeFiltered)
		s.config.Replay.count(OutcomeFiltered)
		s.settled(d)
	default:
		return d
	}
	return nil
}

// begin waits for the rate and then for a free slot, and has the delivery made
// there. It reports false when ctx ends first, or the gate is shut.
func (s *shift) begin(ctx, work context.Context, d *delivery) bool {
	if !s.pace.wait(ctx) {
		return false
	}
	if !s.gate.claim(d) {
		return false
	}
	slots := &s.gate.window
	select {
	case slots.next <- d: // to a slot that is free
	case slots.slots <- struct{}{}:
		s.attempts.Go(func() { s.occupy(work, d) })
	case <-ctx.Done():
		s.gate.abandon(d)
		return false
	}
	return true
}

// occupy makes one delivery after another in its slot and stays for a while when
// none is waiting: a busy endpoint then needs no new goroutine, with a stack to
// grow, for each event, and an idle one has none.
func (s *shift) occupy(work context.Context, d *delivery) {
	here, release := newSlot(work)
	defer release()
	idle := time.NewTimer(idleSlot)
	defer idle.Stop()
	for d != nil {
		s.deliver(work, here, d)
		if s.gate.surrender() {
			return
		}
		idle.Reset(idleSlot)
		select {
		case d = <-s.gate.window.next: // nil takes the slot away, or nothing more comes
		case <-idle.C:
			s.gate.vacate()
			return
		}
	}
}
