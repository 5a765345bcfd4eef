package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// Key returns the hash of the API key that was generated for env, or ErrNotFound.
func (b *Bus) Key(ctx context.Context, env event.Env) (string, error) {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return "", fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	entry, err := bucket.Get(ctx, string(env))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read the API key of %s: %w", env, err)
	}
	return string(entry.Value()), nil
}

// CreateKey keeps the hash of an API key generated for env. It reports false
// where another replica was first, whose key is in force then.
func (b *Bus) CreateKey(ctx context.Context, env event.Env, hash string) (bool, error) {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return false, fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	_, err = bucket.Create(ctx, string(env), []byte(hash))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keep the API key of %s: %w", env, err)
	}
	return true, b.Sync()
}

// usedRoot begins the entries of Keys that say when a key was used last.
const usedRoot = "used."

// NoteKeyUse keeps when an API key was used last.
func (b *Bus) NoteKeyUse(ctx context.Context, id string, at time.Time) error {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	if _, err := bucket.Put(ctx, usedRoot+id, []byte(at.UTC().Format(time.RFC3339))); err != nil {
		return fmt.Errorf("note the use of API key %s: %w", id, err)
	}
	return nil
}

// KeyUse returns when an API key was used last; zero where that is not known.
func (b *Bus) KeyUse(ctx context.Context, id string) (time.Time, error) {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return time.Time{}, fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	entry, err := bucket.Get(ctx, usedRoot+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the use of API key %s: %w", id, err)
	}
	at, _ := time.Parse(time.RFC3339, string(entry.Value())) // what cannot be read is not known
	return at, nil
}
