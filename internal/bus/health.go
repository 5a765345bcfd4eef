package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/jethook/jethook/internal/event"
)

// Check is one condition for taking traffic.
type Check struct {
	Name string
	Err  error  // nil when the condition holds; says what to do where an operator can act
	Note string // what is worth knowing although it holds; may be empty
}

// headroom is what a stream must still hold to count as writable: one message
// of the largest size, or a tenth of a small stream.
func headroom(limit int64) int64 { return min(maxPayload, limit/10) }

// Health tells whether events can be stored now, one check for each thing that
// can be in the way. ctx bounds the questions to the server.
func (b *Bus) Health(ctx context.Context) []Check {
	checks := []Check{{Name: "bus", Err: b.reachable()}}
	if b.server != nil {
		checks = append(checks, Check{Name: "store", Err: b.storeHealth()}, Check{Name: "space", Err: b.space.err()})
	}
	for _, env := range event.Envs() {
		name := StreamName(env)
		note, err := b.writable(ctx, name)
		checks = append(checks, Check{Name: "stream " + name, Err: err, Note: note})
	}
	return checks
}

func (b *Bus) reachable() error {
	select {
	case <-b.closed:
		return errors.New("the connection has ended; start jethook again")
	default:
	}
	if !b.publishing.IsConnected() || !b.consuming.IsConnected() {
		return errors.New("not connected; trying again")
	}
	return nil
}

func (b *Bus) storeHealth() error {
	if b.barrier != nil {
		if err := b.barrier.err(); err != nil {
			return err
		}
	}
	if status := b.server.Healthz(&server.HealthzOptions{JSEnabledOnly: false}); status.Error != "" {
		if strings.Contains(status.Error, "write error") { // which the server does not get over
			return fmt.Errorf("%s: start jethook again when there is room on the volume of %s, or when it is mended", status.Error, b.config.Embedded.StoreDir)
		}
		return errors.New(status.Error)
	}
	return nil
}

// writable returns why a stream takes no event, or a note when it is nearly full.
func (b *Bus) writable(ctx context.Context, name string) (note string, err error) {
	stream, err := b.consumer.Stream(ctx, name)
	if err != nil {
		return "", err
	}
	info := stream.CachedInfo()
	if limit := info.Config.MaxBytes; limit > 0 && info.State.Bytes > uint64(limit-headroom(limit)) {
		return "", fmt.Errorf("full: %d of %d bytes; raise nats.stream.max_bytes or lower nats.stream.max_age", info.State.Bytes, limit)
	}
	if full := percent(info); full >= trimAbove {
		note = fmt.Sprintf("%d %% of nats.stream.max_bytes are used", full)
	}
	return note, nil
}

// Sync keeps the consumers' definitions and places as they are now, and flushes
// them to the disk where the configuration promises to survive a power cut.
// Whoever has created, changed or deleted a consumer calls it before relying on
// that: a consumer that was deleted and is still kept comes back after a crash.
func (b *Bus) Sync() error {
	if b.cursors != nil {
		if err := b.checkpoint(); err != nil {
			return err
		}
	}
	if b.barrier == nil {
		return nil
	}
	return b.barrier.syncAll()
}

// SyncBucket flushes what was written to a bucket, where the configuration
// promises to survive a power cut. It shares the flush that events wait for, and
// takes no longer with many consumers, as Sync does.
func (b *Bus) SyncBucket(ctx context.Context, name string) error {
	if b.barrier == nil {
		return nil
	}
	return b.barrier.wait(ctx, bucketStream+name)
}
