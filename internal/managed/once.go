package managed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

// Reply is the answer to a request that is made at most once.
type Reply struct {
	Request string `json:"request"` // a hash of the request
	// Status is 0 while the request is under way.
	Status  int       `json:"status,omitempty"`
	Type    string    `json:"type,omitempty"` // of the body
	ETag    string    `json:"etag,omitempty"`
	Body    []byte    `json:"body,omitempty"` // may hold a secret
	Started time.Time `json:"started"`

	revision uint64
}

// staleAfter is when a request that was begun and has no answer was cut off.
const staleAfter = time.Minute

// Begin notes that a request is made, under a name that is a function of its
// idempotency key. Where it was made before, ok is false and the reply is that of
// then. Names are forgotten after bus.ReplyTTL.
func (s *Store) Begin(ctx context.Context, name, request string) (reply Reply, ok bool, err error) {
	bucket, err := s.config.Bus.JetStream().KeyValue(ctx, bus.Replies)
	if err != nil {
		return reply, false, fmt.Errorf("open bucket %s: %w", bus.Replies, err)
	}
	fresh := Reply{Request: request, Started: s.now().UTC()}
	sealed, err := s.seal(ctx, name, fresh)
	if err != nil {
		return reply, false, err
	}
	fresh.revision, err = bucket.Create(ctx, name, sealed)
	if err == nil {
		return fresh, true, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return reply, false, fmt.Errorf("note the request: %w", err)
	}
	found, err := bucket.Get(ctx, name)
	if err != nil {
		return reply, false, fmt.Errorf("read the reply of then: %w", err)
	}
	data, err := s.config.Vault.Decrypt(found.Value(), replyPlace(name))
	if err == nil {
		err = json.Unmarshal(data, &reply)
	}
	if err != nil {
		return reply, false, fmt.Errorf("read the reply of then: %w", err)
	}
	if reply.Status == 0 && reply.Request == request && s.now().Sub(reply.Started) > staleAfter {
		if fresh.revision, err = bucket.Update(ctx, name, sealed, found.Revision()); err == nil {
			return fresh, true, nil
		}
	}
	return reply, false, nil
}

// Finish keeps the reply to a request that Begin has noted, or forgets that it was
// made where the status says that it may be made again.
func (s *Store) Finish(ctx context.Context, name string, reply Reply) error {
	bucket, err := s.config.Bus.JetStream().KeyValue(ctx, bus.Replies)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Replies, err)
	}
	if reply.Status >= 500 {
		return bucket.Purge(ctx, name)
	}
	sealed, err := s.seal(ctx, name, reply)
	if err != nil {
		return err
	}
	if _, err := bucket.Update(ctx, name, sealed, reply.revision); err != nil {
		return fmt.Errorf("keep the reply: %w", err)
	}
	return nil
}

func (s *Store) seal(ctx context.Context, name string, reply Reply) ([]byte, error) {
	data, err := json.Marshal(reply)
	if err != nil {
		return nil, err
	}
	sealed, err := s.config.Vault.Encrypt(ctx, data, replyPlace(name))
	if err != nil {
		return nil, fmt.Errorf("encrypt the reply: %w", err)
	}
	return sealed, nil
}

func replyPlace(name string) string { return "reply/" + name }
