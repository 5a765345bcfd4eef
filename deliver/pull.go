package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

const (
	// lookAgain is the wait before a message is taken up again that could not
	// be handled just now, though nothing is wrong with the endpoint.
	lookAgain = 2 * time.Second
	// maxLooks is how often an event is looked for that its stream does not
	// have, since a replica may lag behind.
	maxLooks = 5
)

// read takes messages from a source until ctx ends, and hands back what was
// fetched and not begun. It returns an error when the source is no more.
func (s *shift) read(ctx, work context.Context, from source) error {
	messages, err := from.consumer.Messages(jetstream.PullMaxMessages(pullBatch(s.endpoint)))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Drain)()
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
			s.take(ctx, work, from, msg)
		case errors.Is(err, jetstream.ErrConnectionClosed):
			return fmt.Errorf("pull: %w", err)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed) && ctx.Err() != nil:
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

// take begins the delivery of a message, or settles it without an attempt.
func (s *shift) take(ctx, work context.Context, from source, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		s.logger.Error("message without metadata is left alone", "endpoint", s.endpoint, "error", err)
		return
	}
	d := &delivery{msg: msg, key: messageKey{due: from.due, sequence: meta.Sequence.Stream}, fetches: meta.NumDelivered}
	if !s.held.add(d) {
		return // it is in work still; what settles it settles this copy too
	}
	if ctx.Err() != nil {
		s.handBack(d, 0)
		return
	}
	if !s.unpack(work, d) {
		return
	}
	wanted, err := s.filter.match(d.event.Data)
	switch {
	case err != nil:
		s.attempts.Go(func() { s.bury(work, d, &Attempt{Reason: err.Error()}) })
	case !wanted:
		s.metrics.count(work, OutcomeFiltered)
		s.settled(d)
	case !s.admit(ctx):
		s.handBack(d, 0)
	default:
		s.attempts.Go(func() { s.deliver(work, d) })
	}
}

// admit waits for a free slot and then for the rate. It reports whether the
// caller may make an attempt; then the slot is the caller's to give back.
func (s *shift) admit(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if s.limiter == nil {
		return true
	}
	if err := s.limiter.Wait(ctx); err != nil {
		<-s.slots
		return false
	}
	return true
}

// unpack finds the event of a message and reports whether there is one to
// deliver; where there is none the message is settled or handed back.
func (s *shift) unpack(ctx context.Context, d *delivery) bool {
	reason := ""
	var err error
	if d.key.due {
		reason, err = s.load(ctx, d)
	} else {
		d.sequence = d.key.sequence
		d.eventID = event.ID(d.msg.Headers().Get(headerMsgID))
		if d.event, err = event.Decode(d.msg.Headers(), d.msg.Data()); err != nil {
			reason, err = err.Error(), nil
		}
	}
	switch {
	case err != nil:
		s.logger.Warn("event could not be read; it is looked for again", "endpoint", s.endpoint, "sequence", d.sequence, "error", err)
		s.handBack(d, lookAgain)
		return false
	case reason != "":
		s.attempts.Go(func() { s.bury(ctx, d, &Attempt{Reason: reason}) })
		return false
	}
	d.eventID = d.event.ID
	return true
}

// load reads the event that a pointer names. The reason says why there is none;
// an error, that it is not known.
func (s *shift) load(ctx context.Context, d *delivery) (reason string, err error) {
	p, err := parsePointer(s.endpoint.Env, s.endpoint.Name, d.msg.Headers())
	d.sequence, d.eventID, d.attempts, d.first = p.Sequence, p.EventID, p.Attempts, p.FirstAttempt
	if err != nil {
		return err.Error(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := s.stream.GetMsg(ctx, p.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return s.missing(ctx, d, err)
	}
	if err != nil {
		return "", err
	}
	if d.event, err = event.Decode(stored.Header, stored.Data); err != nil {
		return err.Error(), nil
	}
	if d.event.ID != p.EventID {
		return "event is not in the stream: another one has its place", nil
	}
	return "", nil
}

// missing tells an event that is gone from one that a lagging replica has not
// yet.
func (s *shift) missing(ctx context.Context, d *delivery, cause error) (reason string, err error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return "", err
	}
	if d.sequence < info.State.FirstSeq || d.fetches >= maxLooks {
		return "event expired from the stream", nil
	}
	return "", cause
}
