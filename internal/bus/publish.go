package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// inProcessWait is the pause before a publish is tried again while another
// copy of the same id is being stored.
const inProcessWait = 100 * time.Millisecond

// headerSize is about what an event takes on the disk beside its body.
const headerSize = 1 << 10

// codes of the server's answers to a publish
const (
	codeInsufficientResources = 10023
	codeStorageExceeded       = 10047
	codeStoreFailed           = 10077 // full, or a failure to write
	codeDuplicateInProcess    = 10158
)

// Publish stores an event and returns when it is as durable as the
// configuration promises. An event stored before, up to three days ago as far
// as the index knows, is not published again. The error wraps event.ErrFull
// where the stream or its volume has no room, else event.ErrUnavailable; after
// the latter the event may be stored all the same.
func (b *Bus) Publish(ctx context.Context, e *event.Event) (event.Receipt, error) {
	stream := StreamName(e.Env)
	if sequence, ok := b.index.find(ctx, e.Env, e.ID); ok {
		return event.Receipt{ID: e.ID, Sequence: sequence, Duplicate: true}, nil
	}
	size := int64(len(e.Data)) + headerSize
	if err := b.space.take(size); err != nil {
		return event.Receipt{}, fmt.Errorf("publish: %w: %w", event.ErrFull, err)
	}
	defer b.space.done(size)
	subject, header := e.Encode()
	ack, err := b.put(ctx, stream, &nats.Msg{Subject: subject, Header: header, Data: e.Data})
	if err != nil {
		return event.Receipt{}, err
	}
	b.index.add(e.ID, ack.Sequence)
	return event.Receipt{ID: e.ID, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

// Put stores a message of jethook's own with the same promise and the same
// errors as Publish, and returns its sequence. A message whose Nats-Msg-Id is
// stored already counts as stored.
func (b *Bus) Put(ctx context.Context, stream string, m *nats.Msg) (uint64, error) {
	ack, err := b.put(ctx, stream, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (b *Bus) put(ctx context.Context, stream string, m *nats.Msg) (*jetstream.PubAck, error) {
	defer b.ring(m.Subject)
	if b.barrier == nil {
		return b.store(ctx, m)
	}
	if err := b.barrier.err(); err != nil { // and nothing more is written behind the hole
		return nil, fmt.Errorf("flush %s: %w: %w", stream, event.ErrUnavailable, err)
	}
	b.barrier.coming.Add(1)
	ack, err := b.store(ctx, m)
	b.barrier.coming.Add(-1)
	if err != nil {
		return nil, err
	}
	// A duplicate waits as well: the first copy may not have been flushed.
	if err := b.barrier.wait(ctx, stream); err != nil {
		return nil, fmt.Errorf("flush %s: %w: %w", stream, event.ErrUnavailable, err)
	}
	return ack, nil
}

// store publishes and waits for the acknowledgement.
func (b *Bus) store(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	for {
		future, err := b.publisher.PublishMsgAsync(m)
		if err != nil {
			return nil, fmt.Errorf("publish: %w: %w", event.ErrUnavailable, err)
		}
		select {
		case ack := <-future.Ok():
			return ack, nil
		case err := <-future.Err():
			var api *jetstream.APIError
			if errors.As(err, &api) && api.ErrorCode == codeDuplicateInProcess {
				select {
				case <-time.After(inProcessWait):
					continue
				case <-ctx.Done():
				}
			}
			return nil, refusal(err)
		case <-ctx.Done():
			return nil, fmt.Errorf("publish: %w: %w", event.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// refusal classifies the server's answer.
func refusal(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		full := api.ErrorCode == codeInsufficientResources || api.ErrorCode == codeStorageExceeded ||
			api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "maximum")
		if full {
			return fmt.Errorf("publish: %w: %w", event.ErrFull, err)
		}
	}
	return fmt.Errorf("publish: %w: %w", event.ErrUnavailable, err)
}
