package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	cursorsFile = "cursors.json"
	// cursorsPause is how old a checkpoint becomes, and with it how far a
	// consumer falls back when the process is killed. For a thousand consumers
	// one takes 5 to 9 ms, and 10 to 20 ms where it is written; such come less
	// often, so that they take a twentieth of the time at most.
	cursorsPause = 200 * time.Millisecond
	cursorsShare = 20
)

// cursors is the checkpoint of where the durable consumers of the embedded
// server's event streams stand. It is the only place where those of endpoints
// are kept, whose consumers are in the server's memory: in files the server
// would replace each one's state up to ten times a second, and wait ten
// milliseconds for each at its end.
//
// The consumers of subscribers have such files. The server never flushes them,
// so a power cut may leave one empty, cut off or filled with zeros. Empty, the
// consumer begins at the beginning; unreadable, it is not there any more;
// readable and wrong, it skips what it had handed out. So they are kept here
// too.
//
// What is kept is the ack floor: everything up to it is acknowledged; and, of
// endpoints, what is settled above it. An event is settled when it was
// delivered, or once what follows from it, a pointer in RETRY or a record in
// DEAD, went through Put and is on the disk. So a consumer that begins anew
// after its floor may repeat and never skips.
type cursors struct {
	path  string
	boot  string     // of the kernel; empty where it does not tell
	saved checkpoint // as it was found at start; not needed any more once ready
	ready bool       // the consumers are where they should be: what they say may be kept
	done  sync.WaitGroup

	mu      sync.Mutex
	written []byte
	parked  map[string]map[string]cursor // by stream and consumer

	progressing sync.Mutex
	progress    map[[2]string]*Progress // by stream and consumer
}

// newCursors reads the checkpoint. Without the one that was there endpoints
// would begin anew and skip what waits for them, so that is an error.
func newCursors(storeDir string) (*cursors, error) {
	c := &cursors{path: filepath.Join(storeDir, cursorsFile), boot: bootID(),
		parked: make(map[string]map[string]cursor), progress: make(map[[2]string]*Progress)}
	data, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &c.saved)
	}
	if err != nil {
		return nil, fmt.Errorf("read the places of endpoints: %w: put %s back from a copy, or remove it to have endpoints begin anew as their start says", err, c.path)
	}
	return c, nil
}

// intact reports whether the server's files are as it left them: it stopped
// orderly, or its process ended and the kernel went on.
func (c *cursors) intact() bool {
	return c.saved.Clean || c.boot != "" && c.saved.Boot == c.boot
}

// startCursors begins to keep the checkpoint, with the first one now: the one
// found may be ahead of a stream that has lost its end, and must be replaced
// before that stream stores another event under the same sequence.
func (b *Bus) startCursors(ctx context.Context) error {
	b.cursors.ready, b.cursors.saved = true, checkpoint{}
	if err := b.checkpoint(); err != nil {
		return err
	}
	b.cursors.done.Go(func() { b.keepCursors(ctx) })
	if b.barrier != nil {
		b.cursors.done.Go(func() { b.barrier.keepRetries(ctx) })
	}
	return nil
}

func (b *Bus) keepCursors(ctx context.Context) {
	var failing bool
	for pause := cursorsPause; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		began := time.Now()
		err := b.checkpoint()
		if err != nil && !failing {
			b.config.Logger.Error("the places of endpoints could not be kept; after a crash more is repeated", "error", err)
		}
		failing = err != nil
		pause = max(cursorsPause, cursorsShare*time.Since(began))
	}
}

// checkpoint writes where the consumers stand, unless the file says so already.
func (b *Bus) checkpoint() error {
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	streams, err := b.serverStreams()
	if err != nil {
		return err
	}
	return b.cursors.write(checkpoint{Boot: b.cursors.boot, Streams: b.cursors.of(streams)})
}

// serverStreams asks the server itself, which for a thousand consumers takes a
// third of the time of asking over a connection.
func (b *Bus) serverStreams() (map[string]server.StreamDetail, error) {
	detail, err := b.server.JszAccount(&server.JSzOptions{Account: serverAccount, Streams: true, Consumer: true, Config: true})
	if err != nil {
		return nil, fmt.Errorf("read the places of consumers: %w", err)
	}
	streams := make(map[string]server.StreamDetail, len(detail.Streams))
	for _, stream := range detail.Streams {
		streams[stream.Name] = stream
	}
	return streams, nil
}

// stopCursors ends the keeping and returns how to write the last checkpoint,
// which is to be called when the server has stopped: what it wrote at its end is
// then flushed, and is believed at the next start whatever happened in between.
func (b *Bus) stopCursors() (finish func() error) {
	nothing := func() error { return nil }
	if b.cursors == nil {
		return nothing
	}
	b.cursors.done.Wait()
	if !b.cursors.ready || b.barrier != nil && b.barrier.err() != nil {
		return nothing
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	streams, err := b.serverStreams()
	places := b.cursors.of(streams)
	return func() error {
		if err != nil {
			return err
		}
		if b.barrier != nil {
			if err := b.barrier.syncAll(); err != nil {
				return err
			}
		}
		return b.cursors.write(checkpoint{Boot: b.cursors.boot, Clean: true, Streams: places})
	}
}
