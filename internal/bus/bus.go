// Package bus opens the event bus: NATS JetStream, embedded by default, with the streams and buckets jethook keeps there, and stores events so that an acknowledgement means what the configuration promises.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/internal/event"
)

// Config says which bus to open and what its streams promise.
type Config struct {
	// Embedded is the server to run in this process; nil when External is used.
	Embedded *Embedded
	// External is the cluster to connect to where Embedded is nil.
	External External
	// Stream bounds the event streams.
	Stream Stream
	// Logger is required. It carries the embedded server's own log too.
	Logger *slog.Logger
	// Meter gets the gauges of the storage; nil makes none.
	Meter metric.Meter
}

// Durability says what an acknowledged publish survives.
type Durability string

const (
	// Power: the event is on disk; it survives a power cut.
	Power Durability = "power"
	// Process: the event is with the operating system; it survives kill -9
	// only, and a power cut may cost the last two minutes.
	Process Durability = "process"
)

// Stream bounds the event streams, one for each environment.
type Stream struct {
	Replicas     int           // 1, or 3 or 5 on a cluster
	MaxAge       time.Duration // events older than this are removed, delivered or not
	MaxBytes     int64         // of each environment's stream; a full one refuses, it drops nothing undelivered
	DedupeWindow time.Duration // in which the server itself refuses a copy
}

// Bus is an open event bus. It is safe for concurrent use.
type Bus struct {
	config  Config
	lock    *storeLock     // of the embedded server's directory, or nil
	server  *server.Server // embedded, or nil
	barrier *barrier       // for Durability Power, or nil
	cursors *cursors       // of the embedded server's consumers, or nil
	index   *index
	storage *storage
	space   *space // of the embedded server's volume, or nil
	gate    *gate  // of the embedded server, or nil

	tls atomic.Pointer[tls.Config] // of the embedded server's address; nil for none

	// Two connections, so that a slow consumer cannot hold up a publish.
	publishing, consuming *nats.Conn
	publisher, consumer   jetstream.JetStream
	events                map[event.Env]jetstream.Stream // for reading messages; to open one asks the server

	mu     sync.Mutex
	denied []string // what the server has refused for lack of permission
	alarms []*Alarm

	stop   context.CancelFunc
	tasks  sync.WaitGroup // that end with stop
	closed chan struct{}  // closed when a connection has ended for good
}

// Open starts the embedded server or connects to the external one, creates or
// updates the streams and buckets, and returns when events can be stored. It
// waits for an external server as long as ctx allows. The error names what to
// change where the reason is a setting.
func Open(ctx context.Context, config Config) (b *Bus, err error) {
	b = &Bus{config: config, closed: make(chan struct{})}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
			b = nil
		}
	}()
	if config.Embedded != nil {
		if err := b.startServer(ctx); err != nil {
			return b, err
		}
		b.space = newSpace(config.Embedded.StoreDir, config.Logger)
		if config.Embedded.Listen != "" {
			b.tasks.Go(func() { b.gate.guard(background, config.Logger) })
		}
	}
	if err := b.connect(ctx); err != nil {
		return b, err
	}
	if config.Embedded == nil {
		if err := errors.Join(b.checkServer(), b.checkSigning()); err != nil {
			return b, err
		}
	}
	if err := b.ensureLayout(ctx); err != nil {
		return b, err
	}
	if config.Embedded == nil {
		if err := b.checkAccount(ctx); err != nil {
			return b, err
		}
	}
	b.events = make(map[event.Env]jetstream.Stream)
	for _, env := range event.Envs() {
		if b.events[env], err = b.consumer.Stream(ctx, StreamName(env)); err != nil {
			return b, fmt.Errorf("open stream %s: %w", StreamName(env), err)
		}
	}
	if config.Embedded != nil && config.Embedded.Durability == Power {
		if b.barrier, err = newBarrier(config.Embedded.StoreDir); err != nil {
			return b, err
		}
	}
	if b.cursors != nil {
		if err := b.restoreCursors(ctx); err != nil {
			return b, err
		}
		if err := b.startCursors(background); err != nil {
			return b, err
		}
	}
	b.index = newIndex(b.consumer, config.Logger)
	if err := b.index.start(background, config.Embedded == nil); err != nil {
		return b, err
	}
	return b, b.watch(background)
}

// JetStream returns the interface for consuming and for the management of
// streams. Events are published with Publish and Put alone.
func (b *Bus) JetStream() jetstream.JetStream { return b.consumer }

// Closed is closed when a connection to the bus has ended for good: the
// process must be started again.
func (b *Bus) Closed() <-chan struct{} { return b.closed }

// Close ends the connections and the embedded server. What was acknowledged
// stays stored. A Bus must not be used afterwards.
func (b *Bus) Close() error {
	b.stop()
	b.tasks.Wait()
	if b.index != nil {
		b.index.wait()
	}
	finishCursors := b.stopCursors()
	b.disconnect()
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	if b.barrier != nil {
		b.barrier.close()
	}
	err := finishCursors()
	if releaseErr := b.lock.release(); releaseErr != nil {
		err = errors.Join(err, fmt.Errorf("release the store directory: %w", releaseErr))
	}
	return err
}

// maxHeaderRoom is what a message's headers may take beside its body.
const maxHeaderRoom = 64 << 10

// MaxBody returns the largest body in bytes that the bus takes with an event.
func (b *Bus) MaxBody() int64 { return b.publishing.MaxPayload() - maxHeaderRoom }
