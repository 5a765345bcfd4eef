package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucketStream begins the names of the streams that buckets are.
const bucketStream = "KV_"

// Raced reports whether a value was not written because somebody else has changed
// it since it was read.
func Raced(err error) bool {
	return errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists)
}

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

// Rewrite walks the values of a bucket, and stores what change makes of each in
// its place; nil leaves it. A value that somebody else changes meanwhile is left
// too. An error of change ends the walk. When it returns without an error, what
// was written is as durable as the bus promises.
func (b *Bus) Rewrite(ctx context.Context, name string, change func(key string, value []byte, written time.Time) ([]byte, error)) error {
	bucket, err := b.consumer.KeyValue(ctx, name)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", name, err)
	}
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", name, err)
	}
	defer func() {
		_ = watcher.Stop() // the only errors say that it has ended
		for range watcher.Updates() {
		}
	}()
	written := 0
	for {
		select {
		case found, open := <-watcher.Updates():
			if !open {
				return fmt.Errorf("read bucket %s: the watch ended", name)
			}
			if found == nil { // all current values were before it
				if written == 0 {
					return nil
				}
				return b.SyncBucket(ctx, name)
			}
			next, err := change(found.Key(), found.Value(), found.Created())
			if err != nil {
				return err
			}
			if next == nil {
				continue
			}
			_, err = bucket.Update(ctx, found.Key(), next, found.Revision())
			if Raced(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("write %s of bucket %s: %w", found.Key(), name, err)
			}
			written++
		case <-ctx.Done():
			return fmt.Errorf("read bucket %s: %w", name, context.Cause(ctx))
		}
	}
}
