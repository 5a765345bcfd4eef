package deliver

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Resend has an event delivered again, now, to one endpoint alone and with all
// its attempts anew, in place of a retry that waits. It returns when the
// delivery is stored: an endpoint that is paused or disabled gets it later.
// Asking twice delivers twice. Where hundreds of thousands wait for the endpoint the
// retry may not be found in time, and follow.
func Resend(ctx context.Context, b *bus.Bus, e *event.Event, sequence uint64, endpoint string) error {
	p := Pointer{Env: e.Env, Endpoint: endpoint, Sequence: sequence, EventID: e.ID}
	due, err := p.storeDue(ctx, b, "resend:"+uuid.NewString())
	if err != nil {
		return err
	}
	err = p.removeLater(ctx, b, due)
	if err == nil { // in the order of its way, or it could get its schedule behind our back
		err = p.removeScheduled(ctx, b, due)
	}
	return mayFollow(err)
}

// deliverNow stores the pointer as one that is due, in place of one that waits with
// a schedule. id tells what is asked for once from what is asked for twice.
func (p Pointer) deliverNow(ctx context.Context, b *bus.Bus, id string) error {
	due, err := p.storeDue(ctx, b, id)
	if err != nil {
		return err
	}
	return mayFollow(p.removeScheduled(ctx, b, due))
}

// mayFollow says of an error that the event may be delivered once more than was
// asked for.
func mayFollow(err error) error {
	if err != nil {
		err = fmt.Errorf("the delivery is stored, and a retry that waited may follow it: %w", err)
	}
	return err
}

// storeDue stores the pointer as one that is due and returns its sequence. What
// waits for the event behind that is a retry of this very delivery, and stays.
func (p Pointer) storeDue(ctx context.Context, b *bus.Bus, id string) (uint64, error) {
	header := p.header()
	header[headerMsgID] = []string{id}
	due, err := b.Put(ctx, bus.Retry, &nats.Msg{Subject: p.dueSubject(), Header: header})
	if err != nil {
		return 0, fmt.Errorf("store the delivery: %w", err)
	}
	return due, nil
}

// removeScheduled removes what waits with a schedule and was stored before a sequence.
func (p Pointer) removeScheduled(ctx context.Context, b *bus.Bus, before uint64) error {
	stream, err := openRetry(ctx, b)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(bus.WaitSubject(p.Env, p.Endpoint, p.Sequence)), jetstream.WithPurgeSequence(before))
}

// removeLater removes the event's pointers that wait without a schedule and were
// stored before a sequence. No subject tells them from those of other events: they
// are looked through.
func (p Pointer) removeLater(ctx context.Context, b *bus.Bus, before uint64) error {
	_, _, err := pass(ctx, b, LaterSubjects(p.Env, p.Endpoint), func(ctx context.Context, stream jetstream.Stream, stored *jetstream.RawStreamMsg) (bool, error) {
		if stored.Sequence > before || stored.Header.Get(headerSequence) != strconv.FormatUint(p.Sequence, 10) {
			return false, nil
		}
		return removeMessage(ctx, stream, stored.Sequence)
	})
	return err
}
