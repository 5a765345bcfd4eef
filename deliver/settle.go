package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jethook/jethook/internal/bus"
)

const (
	// unrecorded is the wait before an event is taken up again whose attempt
	// could not be recorded or followed up.
	unrecorded = 2 * time.Second
	// goneWait keeps replicas from handing an event of an endpoint that is gone
	// to one another.
	goneWait = 5 * time.Second
)

// deliver makes an attempt, records it, and settles, and tells what it has shown
// about the endpoint. It returns as soon as a delivered event has its answer;
// where there is more to store it does so first, so that a failing endpoint does
// not pile that up.
func (s *shift) deliver(ctx context.Context, in *slot, d *delivery) {
	if s.endpoint.Pull { // only what is replayed comes here
		s.offer(ctx, d)
		return
	}
	if !s.gate.begins(d) {
		s.handBack(d, 0)
		return
	}
	a, n := s.attempt(ctx, in, d)
	s.conclude(ctx, d, a)
	s.tell(context.WithoutCancel(ctx), n)
}

// conclude records an attempt and settles.
func (s *shift) conclude(ctx context.Context, d *delivery, a *Attempt) {
	switch a.Outcome {
	case OutcomeInterrupted:
		s.handBack(d, 0)
	case OutcomeDelivered:
		s.recorder.add(a, func(err error) {
			if err != nil {
				s.handBack(d, unrecorded)
				return
			}
			s.config.Replay.count(OutcomeDelivered)
			s.settled(d)
		})
	default:
		if s.recorder.store(a) != nil { // the recorder has logged it
			s.handBack(d, unrecorded)
			return
		}
		s.follow(context.WithoutCancel(ctx), d, a)
	}
}

// follow stores what an attempt has led to and settles the message.
func (s *shift) follow(ctx context.Context, d *delivery, a *Attempt) {
	switch a.Outcome {
	case OutcomeRetry:
		s.postpone(ctx, d, a)
	case OutcomeDead:
		s.bury(ctx, d, a)
	case OutcomeGone:
		s.end(ctx, a)
		s.handBack(d, goneWait)
	}
}

// postpone stores a pointer that has the event delivered again at its time.
func (s *shift) postpone(ctx context.Context, d *delivery, a *Attempt) {
	if s.config.Replay.alone() {
		s.held.try(d, a.Number)
		s.handBack(d, time.Until(a.NextAt))
		return
	}
	pointer := Pointer{Env: s.endpoint.Env, Endpoint: s.endpoint.Name, Sequence: d.sequence, EventID: d.eventID,
		Attempts: a.Number, Deferred: d.deferred, FirstAttempt: d.first, Previous: d.before()}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := s.config.Bus.Put(ctx, bus.Retry, pointer.At(a.NextAt)); err != nil {
		s.logger.Error("next attempt could not be stored; the event is tried again", s.endpoint.who(), "event_id", d.eventID, "error", err)
		s.handBack(d, unrecorded)
		return
	}
	s.config.Replay.count(OutcomeRetry)
	s.settled(d)
}

// bury stores the event as dead. The attempt is the last one, or says no more
// than the reason where none was made.
func (s *shift) bury(ctx context.Context, d *delivery, a *Attempt) {
	dead := Dead{EventID: d.eventID, Env: s.endpoint.Env, Endpoint: s.endpoint.Name,
		Stream: bus.StreamName(s.endpoint.Env), Sequence: d.sequence, Reason: a.Reason,
		Attempts: max(d.attempts, a.Number), FirstAttemptAt: d.first,
		LastAttemptAt: a.At, LastStatus: a.Status, LastError: a.Error, Previous: d.before()}
	if d.event != nil {
		dead.Type, dead.Source = d.event.Type, d.event.Source
	}
	if a.Number == 0 { // an attempt has its line in the log already
		s.metrics.count(ctx, OutcomeDead)
		s.logger.Warn("event is dead without an attempt", s.endpoint.who(), "event_id", d.eventID, "reason", a.Reason)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := s.keepDead(ctx, d, &dead); err != nil {
		s.logger.Error("dead event could not be stored; it is tried again", s.endpoint.who(), "event_id", d.eventID, "error", err)
		s.handBack(d, unrecorded)
		return
	}
	s.config.Replay.count(OutcomeDead)
	s.settled(d)
}

// keepDead stores a dead event, or has it counted where nobody could take it up.
func (s *shift) keepDead(ctx context.Context, d *delivery, dead *Dead) error {
	if again := s.config.Replay; again.alone() {
		return again.GiveUp(ctx)
	}
	_, err := dead.store(ctx, s.config.Bus, dead.id(d.key))
	return err
}

// end has the endpoint disabled, once, and stops the reading.
func (s *shift) end(ctx context.Context, a *Attempt) {
	s.gone.Lock()
	defer s.gone.Unlock()
	if s.gone.yes {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.config.OnGone(ctx, "the endpoint answered 410 Gone to event "+string(a.EventID)); err != nil {
		s.logger.Error("endpoint that is gone could not be disabled", s.endpoint.who(), "error", err)
		return
	}
	s.gone.yes = true
	s.stopReading()
}

// settled acknowledges the message: nothing more follows from it.
func (s *shift) settled(d *delivery) {
	if err := d.msg.Ack(); err != nil {
		s.logger.Warn("event could not be acknowledged; it is delivered again", s.endpoint.who(), "event_id", d.eventID, "error", err)
	}
	s.held.settled(d)
}

// handBack gives the message back to the server, to be handed out again to
// whoever asks after the delay. It is at least a second: the server forgets at
// a restart what was to be handed out again sooner, and then waits for AckWait.
// Only where the worker was stopped is it none, for another may have taken its place.
// It waits for the server's answer, since the server may be about to end.
func (s *shift) handBack(d *delivery, delay time.Duration) {
	s.giveUp(d)
	nak := fmt.Appendf(nil, `-NAK {"delay": %d}`, max(delay, time.Second))
	if delay == 0 && errors.Is(context.Cause(s.life), ErrStopped) {
		nak = []byte("-NAK")
	}
	if _, err := s.config.Bus.JetStream().Conn().Request(d.msg.Reply, nak, flushTimeout); err != nil && !s.over(err) {
		s.logger.Warn("event could not be handed back; the server does so by itself", s.endpoint.who(), "event_id", d.eventID, "error", err)
	}
	s.held.remove(d)
}
