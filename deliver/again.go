package deliver

import (
	"context"
	"errors"
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
// Asking twice delivers twice.
func Resend(ctx context.Context, b *bus.Bus, e *event.Event, sequence uint64, endpoint string) error {
	p := Pointer{Env: e.Env, Endpoint: endpoint, Sequence: sequence, EventID: e.ID}
	if err := p.deliverNow(ctx, b, "resend:"+uuid.NewString()); err != nil {
		return err
	}
	if err := p.removeLater(ctx, b); err != nil {
		return fmt.Errorf("%w: %w", errMayFollow, err)
	}
	return nil
}

// errMayFollow says that the event may be delivered once more than was asked for.
var errMayFollow = errors.New("the delivery is stored, and a retry that waited may follow it")

// removeLater removes the event's pointers that wait without a schedule. No subject
// tells them from those of other events: they are looked through.
func (p Pointer) removeLater(ctx context.Context, b *bus.Bus) error {
	stream, err := b.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	_, more, err := pass(ctx, b, LaterSubjects(p.Env, p.Endpoint), func(ctx context.Context, stored *jetstream.RawStreamMsg) (bool, error) {
		if stored.Header.Get(headerSequence) != strconv.FormatUint(p.Sequence, 10) {
			return false, nil
		}
		return removeMessage(ctx, stream, stored.Sequence)
	})
	if more && err == nil {
		err = errors.New("there are too many to look through")
	}
	return err
}

// deliverNow stores the pointer as one that is due. id tells what is asked for
// once from what is asked for twice.
func (p Pointer) deliverNow(ctx context.Context, b *bus.Bus, id string) error {
	header := p.header()
	header[headerMsgID] = []string{id}
	if _, err := b.Put(ctx, bus.Retry, &nats.Msg{Subject: p.dueSubject(), Header: header}); err != nil {
		return fmt.Errorf("store the delivery: %w", err)
	}
	stream, err := b.JetStream().Stream(ctx, bus.Retry)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(bus.WaitSubject(p.Env, p.Endpoint, p.Sequence)))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errMayFollow, err)
	}
	return nil
}
