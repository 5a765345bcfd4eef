package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/internal/event"
)

const (
	storageInterval = 10 * time.Second
	// settledBelow is how far a stream must fall below a level that it has
	// passed until that is told, so that one which hovers there is told of once.
	settledBelow = 5
)

// storage knows how full the streams were when it looked last.
type storage struct {
	js     jetstream.JetStream
	logger *slog.Logger
	names  []string

	mu    sync.Mutex
	used  map[string]int64
	limit map[string]int64 // of those that have one

	level map[string]int // of event streams: the last of the levels they passed, or 0; run's alone
}

func newStorage(js jetstream.JetStream, logger *slog.Logger, streams []jetstream.StreamConfig) *storage {
	s := &storage{js: js, logger: logger, used: make(map[string]int64), limit: make(map[string]int64), level: make(map[string]int)}
	for _, stream := range streams {
		s.names = append(s.names, stream.Name)
	}
	return s
}

func (s *storage) run(ctx context.Context) {
	ticker := time.NewTicker(storageInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look reads how full the streams are. What does not answer keeps its last
// value; readiness tells of it.
func (s *storage) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storageInterval)
	defer cancel()
	for _, name := range s.names {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			s.logger.Debug("fullness of a stream could not be read", "stream", name, "error", err)
			continue
		}
		info := stream.CachedInfo()
		s.mu.Lock()
		s.used[name] = int64(info.State.Bytes)
		delete(s.limit, name)
		if info.Config.MaxBytes > 0 {
			s.limit[name] = info.Config.MaxBytes
		}
		s.mu.Unlock()
		if info.Config.Discard == jetstream.DiscardNew { // one that refuses when it is full
			s.tell(name, percent(info))
		}
	}
}

// tell logs that a stream has passed a level, once, and that it has fallen back.
func (s *storage) tell(name string, full int) {
	was, now := s.level[name], 0
	for _, level := range []int{trimAbove, dropDead} {
		if full >= level || was >= level && full > level-settledBelow {
			now = level
		}
	}
	s.level[name] = now
	switch {
	case now == was:
	case now < was:
		s.logger.Info("stream is less full again", "stream", name, "percent", full)
	case now == dropDead:
		s.logger.Warn("stream is over 90 % full; when it is full, requests are answered 503: raise nats.stream.max_bytes or have its events delivered", "stream", name, "percent", full)
	default:
		s.logger.Info("stream is over 80 % full; delivered history is removed", "stream", name, "percent", full)
	}
}

// events returns what the event streams may hold and what they hold.
func (s *storage) events() (limit, used int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, env := range event.Envs() {
		limit += s.limit[StreamName(env)]
		used += s.used[StreamName(env)]
	}
	return limit, used
}

// observe passes on what was read last of each stream.
func (s *storage) observe(o metric.Observer, used, limit metric.Int64Observable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, bytes := range s.used {
		o.ObserveInt64(used, bytes, metric.WithAttributes(attribute.String("stream", name)))
	}
	for name, bytes := range s.limit {
		o.ObserveInt64(limit, bytes, metric.WithAttributes(attribute.String("stream", name)))
	}
}

// observe makes the gauges of the storage until ctx ends.
func (b *Bus) observe(ctx context.Context) error {
	if b.config.Meter == nil {
		return nil
	}
	used, err1 := b.config.Meter.Int64ObservableGauge("jethook.storage.used", metric.WithUnit("By"),
		metric.WithDescription("What a stream holds."))
	limit, err2 := b.config.Meter.Int64ObservableGauge("jethook.storage.limit", metric.WithUnit("By"),
		metric.WithDescription("What a stream may hold; absent where it has no limit."))
	free, err3 := b.config.Meter.Int64ObservableGauge("jethook.storage.free", metric.WithUnit("By"),
		metric.WithDescription("Free space on the volume of the embedded server's store directory."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("make the gauges of the storage: %w", err)
	}
	registration, err := b.config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		b.storage.observe(o, used, limit)
		if bytes, known := b.space.left(); known {
			o.ObserveInt64(free, bytes)
		}
		return nil
	}, used, limit, free)
	if err != nil {
		return fmt.Errorf("register the gauges of the storage: %w", err)
	}
	b.tasks.Go(func() {
		<-ctx.Done()
		if err := registration.Unregister(); err != nil {
			b.config.Logger.Warn("gauges of the storage could not be taken back", "error", err)
		}
	})
	return nil
}

// watch starts what looks after the storage until ctx ends. Every consumer must
// be there: the trimmer removes what none of them needs.
func (b *Bus) watch(ctx context.Context) error {
	b.storage = newStorage(b.consumer, b.config.Logger, b.streams())
	b.storage.look(ctx)
	b.tasks.Go(func() { b.storage.run(ctx) })
	trimmer := newTrimmer(b, b.config.Logger)
	b.tasks.Go(func() { trimmer.run(ctx) })
	if b.space != nil {
		b.space.warn(b.storage.events())
		b.tasks.Go(func() { b.space.run(ctx) })
	}
	return b.observe(ctx)
}
