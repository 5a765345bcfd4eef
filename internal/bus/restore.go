package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// Reasons why a consumer is moved.
const (
	notLoaded = "the server could not load it"
	older     = "its state is older than the checkpoint"
	doubtful  = "its state may have suffered in a power cut"
)

// eventStreams are the names of the streams whose consumers' places are kept.
func eventStreams() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, env := range event.Envs() {
			if !yield(StreamName(env)) {
				return
			}
		}
	}
}

// serverAccount is the embedded server's account that has the streams.
const serverAccount = "$G"

func streamsDir(storeDir string) string {
	return filepath.Join(storeDir, "jetstream", serverAccount, "streams")
}

func consumersDir(storeDir, stream string) string {
	return filepath.Join(streamsDir(storeDir), stream, "obs")
}

// distrust removes, before the server starts, what it would believe after a
// power cut although it may be wrong: the list of schedules, which has no
// checksum. The server then reads them from the messages.
func (c *cursors) distrust(storeDir string) error {
	if c.intact() {
		return nil
	}
	err := os.Remove(filepath.Join(streamsDir(storeDir), Retry, "msgs", "sched.db"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("have schedules read anew: %w", err)
	}
	return nil
}

// restoreCursors compares the consumers that the server has loaded with the
// checkpoint and moves those that have fallen behind it, so that none skips an
// event and none repeats more than what was acknowledged since the checkpoint.
func (b *Bus) restoreCursors(ctx context.Context) error {
	streams, err := b.serverStreams()
	if err != nil {
		return err
	}
	for name := range eventStreams() {
		if err := b.restoreStream(ctx, streams[name]); err != nil {
			return fmt.Errorf("restore the consumers of %s: %w", name, err)
		}
	}
	if err := b.restoreRetries(ctx, streams[Retry]); err != nil {
		return fmt.Errorf("restore the consumers of %s: %w", Retry, err)
	}
	return nil
}

func (b *Bus) restoreStream(ctx context.Context, found server.StreamDetail) error {
	saved, known := b.cursors.saved.Streams[found.Name]
	if known && !saved.Created.Equal(found.Created) {
		b.config.Logger.Warn("stream is not the one that the checkpoint of cursors is of; its consumers begin where the server knows them to be",
			"stream", found.Name, "created", found.Created, "expected", saved.Created)
		saved.Consumers = nil
	}
	stream, err := b.consumer.Stream(ctx, found.Name)
	if err != nil {
		return err
	}
	loaded := make(map[string]bool, len(found.Consumer))
	for _, info := range found.Consumer {
		loaded[info.Name] = true
		entry, ok := saved.Consumers[info.Name]
		if !ok || !entry.Created.Equal(info.Created) {
			continue // made, or made anew under the name, after the checkpoint
		}
		// Events past the stream's end were lost with it; they were never
		// confirmed to whoever sent them, and their sequences are used again.
		floor := min(entry.Floor, found.State.LastSeq)
		if reason := b.cursors.behind(info, floor); reason != "" {
			if err := b.move(ctx, stream, info.Name, info.Config, floor+1); err != nil {
				return fmt.Errorf("consumer %s: %w", info.Name, err)
			}
			b.tellMoved(found.Name, info.Name, floor, reason)
		}
	}
	return b.recreate(ctx, stream, found, saved.Consumers, loaded)
}

// behind returns why a consumer must be moved to the floor, or nothing. After a
// power cut only a state that says exactly what the checkpoint says is believed:
// one that is newer may lack some of what was handed out and not acknowledged.
func (c *cursors) behind(info *server.ConsumerInfo, floor uint64) (reason string) {
	switch {
	case info.Delivered.Stream < floor || info.AckFloor.Stream < floor:
		return older
	case !c.intact() && info.Delivered.Stream != floor:
		return doubtful
	}
	return ""
}

// recreate makes the consumers anew that the server did not load: those of the
// checkpoint after their floor, and others, whose definition at least can be
// read, where they once began. Those that were in its memory are parked.
func (b *Bus) recreate(ctx context.Context, stream jetstream.Stream, found server.StreamDetail, saved map[string]cursor, loaded map[string]bool) error {
	dir := consumersDir(b.config.Embedded.StoreDir, found.Name)
	inMemory := 0
	for name, entry := range saved {
		if loaded[name] || entry.Config == nil {
			continue
		}
		floor := min(entry.Floor, found.State.LastSeq)
		if entry.Config.MemoryStorage {
			if entry.Last != nil && *entry.Last > floor {
				entry.Last = nil // lost with the stream's end, and its sequence is used again
			}
			b.cursors.park(found.Name, name, cursor{Created: entry.Created, Floor: floor, Config: entry.Config,
				Settled: upTo(found.State.LastSeq, entry.Settled), Last: entry.Last})
			inMemory++
			continue
		}
		if err := b.replace(ctx, stream, filepath.Join(dir, name), startingAt(entry.Config, floor+1)); err != nil {
			return fmt.Errorf("consumer %s: %w", name, err)
		}
		loaded[name] = true
		b.tellMoved(found.Name, name, floor, notLoaded)
	}
	if inMemory > 0 && !b.cursors.saved.Clean {
		b.config.Logger.Warn("the last stop was not orderly; endpoints go on after their last checkpoint, and what they were given since is repeated",
			"stream", found.Name, "endpoints", inMemory)
	}
	leftovers, err := unloaded(dir, loaded)
	if err != nil {
		return err
	}
	for _, name := range leftovers {
		config := definition(filepath.Join(dir, name))
		if config == nil {
			continue
		}
		if err := b.replace(ctx, stream, filepath.Join(dir, name), config); err != nil {
			return fmt.Errorf("consumer %s: %w", name, err)
		}
		b.config.Logger.Warn("consumer begins anew where it once began; its place is not known",
			"stream", found.Name, "consumer", name, "reason", notLoaded)
	}
	return nil
}

// restoreRetries removes the consumers of the work queue, which their workers
// make again: an earlier version had them in files. What was acknowledged there
// is no longer in the stream, so that they skip nothing and repeat at most what
// was in work.
func (b *Bus) restoreRetries(ctx context.Context, found server.StreamDetail) error {
	stream, err := b.consumer.Stream(ctx, Retry)
	if err != nil {
		return err
	}
	for _, info := range found.Consumer {
		if err := stream.DeleteConsumer(ctx, info.Name); err != nil {
			return fmt.Errorf("consumer %s: %w", info.Name, err)
		}
	}
	return os.RemoveAll(consumersDir(b.config.Embedded.StoreDir, Retry))
}

func (b *Bus) tellMoved(stream, consumer string, floor uint64, reason string) {
	b.config.Logger.Warn("consumer begins anew after its last checkpoint; what it acknowledged since is repeated",
		"stream", stream, "consumer", consumer, "floor", floor, "reason", reason)
}
