package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Holds reports whether a bucket has any entry.
func (b *Bus) Holds(ctx context.Context, name string) (bool, error) {
	bucket, err := b.consumer.KeyValue(ctx, name)
	if err != nil {
		return false, fmt.Errorf("open bucket %s: %w", name, err)
	}
	keys, err := bucket.ListKeys(ctx, jetstream.MetaOnly())
	if err != nil {
		return false, fmt.Errorf("list bucket %s: %w", name, err)
	}
	found := false
	for range keys.Keys() {
		found = true
	}
	return found, nil
}
