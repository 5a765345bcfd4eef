package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// usedRoot begins the entries of Keys that say when an environment's keys were
// used last.
const usedRoot = "used."

// maxUseEdits is how often the same is tried where others write it as well.
const maxUseEdits = 10

// KeyUses returns when the API keys of env were used last, by id.
func (b *Bus) KeyUses(ctx context.Context, env event.Env) (map[string]time.Time, error) {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	uses, _, err := keyUses(ctx, bucket, env)
	return uses, err
}

func keyUses(ctx context.Context, bucket jetstream.KeyValue, env event.Env) (uses map[string]time.Time, revision uint64, err error) {
	entry, err := bucket.Get(ctx, usedRoot+string(env))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return map[string]time.Time{}, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read when API keys of %s were used: %w", env, err)
	}
	if json.Unmarshal(entry.Value(), &uses) != nil || uses == nil {
		uses = map[string]time.Time{} // what cannot be read is not known
	}
	return uses, entry.Revision(), nil
}

// NoteKeyUses keeps when API keys of env were used, by id, where that is later
// than what is known, and forgets the keys that exist does not report.
func (b *Bus) NoteKeyUses(ctx context.Context, env event.Env, used map[string]time.Time, exists func(id string) bool) error {
	bucket, err := b.consumer.KeyValue(ctx, Keys)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", Keys, err)
	}
	for try := 1; ; try++ {
		uses, revision, err := keyUses(ctx, bucket, env)
		if err != nil {
			return err
		}
		for id, at := range used {
			if at.After(uses[id]) {
				uses[id] = at.UTC().Truncate(time.Second)
			}
		}
		maps.DeleteFunc(uses, func(id string, _ time.Time) bool { return !exists(id) })
		value, err := json.Marshal(uses)
		if err != nil {
			return err
		}
		if revision == 0 {
			_, err = bucket.Create(ctx, usedRoot+string(env), value)
		} else {
			_, err = bucket.Update(ctx, usedRoot+string(env), value, revision)
		}
		if err != nil && (!Raced(err) || try == maxUseEdits) {
			return fmt.Errorf("note when API keys of %s were used: %w", env, err)
		}
		if err == nil {
			return nil
		}
	}
}
