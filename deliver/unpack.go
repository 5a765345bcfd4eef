package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// lookAgain is the wait before a message is taken up again that could not be
// handled just now, though nothing is wrong with the endpoint.
const lookAgain = 2 * time.Second

// unpack finds the event of a message and reports whether there is one to
// deliver; where there is none the message is settled or handed back.
func (s *shift) unpack(ctx context.Context, d *delivery) bool {
	reason := ""
	var err error
	if d.key.due {
		reason, err = s.load(ctx, d)
	} else {
		d.sequence = d.key.sequence
		d.eventID = event.ID(d.msg.Header.Get(headerMsgID))
		if d.event, err = event.Decode(d.msg.Header, d.msg.Data); err != nil {
			reason, err = err.Error(), nil
		}
	}
	switch {
	case err != nil:
		s.logger.Warn("event could not be read; it is looked for again", s.endpoint.who(), "sequence", d.sequence, "error", err)
		s.handBack(d, lookAgain)
		return false
	case reason != "":
		s.note(d, false)
		s.attempts.Go(func() { s.bury(ctx, d, &Attempt{Reason: reason}) })
		return false
	}
	d.eventID = d.event.ID
	return true
}

// load reads the event that a pointer names. The reason says why there is none;
// an error, that it is not known.
func (s *shift) load(ctx context.Context, d *delivery) (reason string, err error) {
	p, err := parsePointer(s.endpoint.Env, s.endpoint.Name, d.msg.Header)
	d.sequence, d.eventID, d.attempts, d.deferred, d.first = p.Sequence, p.EventID, p.Attempts, p.Deferred, p.FirstAttempt
	if d.known = p.Previous != nil; d.known {
		d.previous = *p.Previous
	}
	if err != nil {
		return err.Error(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := s.stream.GetMsg(ctx, p.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // a replica that lags says so too
		stored, err = s.fromLeader(ctx, p.Sequence)
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "event expired from the stream", nil
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

// fromLeader reads a message of the event stream from its leader.
func (s *shift) fromLeader(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, error) {
	stream, err := s.config.Bus.JetStream().Stream(ctx, bus.StreamName(s.endpoint.Env))
	if err != nil {
		return nil, err
	}
	stream.CachedInfo().Config.AllowDirect = false // this client asks accordingly
	return stream.GetMsg(ctx, sequence)
}
