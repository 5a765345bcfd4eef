package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jethook/jethook/internal/event"
)

const (
	spaceInterval = time.Second
	// maxReserve of free space is kept for what must still be written when no
	// event is taken any more: retries, dead events, attempts, the places of
	// consumers. A small volume keeps a tenth.
	maxReserve = 64 << 20
	// spaceRepeat bounds how often a volume that cannot be asked is logged.
	spaceRepeat = time.Minute
)

// space watches the volume of the embedded server's store directory. It must
// never be full: the server then answers to no publish and takes none again
// until it is started anew.
type space struct {
	dir    string
	volume func(dir string) (volume, error)
	logger *slog.Logger

	mu     sync.Mutex
	last   volume
	spent  int64 // on events since then
	coming int64 // on events that are not stored yet
	short  error // why no event is taken; nil while there is room
}

// volume is the size of a file system and what of it this process may still
// take, in bytes.
type volume struct{ total, free int64 }

func (v volume) reserve() int64 { return min(maxReserve, v.total/10) }

func newSpace(dir string, logger *slog.Logger) *space {
	s := &space{dir: dir, volume: volumeOf, logger: logger}
	_ = s.look() // run tells of it
	return s
}

// run looks until ctx ends.
func (s *space) run(ctx context.Context) {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	var complained time.Time
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := s.look()
		if err != nil && time.Since(complained) > spaceRepeat && !errors.Is(err, errors.ErrUnsupported) {
			s.logger.Warn("free space could not be read", "dir", s.dir, "error", err)
			complained = time.Now()
		}
	}
}

// look reads the free space. While that cannot be done the last reading stands.
func (s *space) look() error {
	s.mu.Lock()
	read := s.volume
	s.mu.Unlock()
	v, err := read(s.dir) // which may take its time on a disk that is dying
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.spent = v, s.coming
	enough := v.reserve()
	if s.short != nil {
		enough += enough / 8 // so that it does not open and close at each event
	}
	switch {
	case v.free-s.coming >= enough:
		if s.short != nil {
			s.logger.Info("there is room for events again", "dir", s.dir, "free", v.free)
		}
		s.short = nil
	case s.short == nil:
		s.logger.Error("volume is nearly full; no more events are taken until there is room", "dir", s.dir, "free", v.free, "reserve", v.reserve())
		fallthrough
	default:
		s.short = fmt.Errorf("only %s are free on the volume of %s, where there must be %s: make room there; events are taken again by themselves",
			mebibytes(v.free-s.coming), s.dir, mebibytes(enough))
	}
	return nil
}

// err returns why no event may be stored, or nil. A bus without a volume of its
// own has a nil space.
func (s *space) err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.short
}

// take returns why an event of so many bytes may not be stored; otherwise done
// is called with as many when it is. Where what was taken since the last look
// may have used up the room, it looks: a second is a long time for a fast disk.
func (s *space) take(bytes int64) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	near := s.last.total > 0 && s.short == nil && s.last.free-s.spent-bytes < s.last.reserve()
	s.mu.Unlock()
	if near {
		_ = s.look() // run tells of it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.short != nil {
		return s.short
	}
	s.spent += bytes
	s.coming += bytes
	return nil
}

func (s *space) done(bytes int64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming -= bytes
}

// left returns the free space, if that is known.
func (s *space) left() (bytes int64, known bool) {
	if s == nil {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.free, s.last.total > 0
}

// warn tells that the event streams may grow beyond their volume: they may hold
// limit together, and hold used already.
func (s *space) warn(limit, used int64) {
	s.mu.Lock()
	v := s.last
	s.mu.Unlock()
	room := v.free + used - v.reserve()
	if v.total == 0 || limit <= room {
		return
	}
	s.logger.Warn("the volume may be full before the event streams are; then no more events are taken: lower nats.stream.max_bytes, which counts once for each environment, or give nats.embedded.store_dir a larger volume",
		"dir", s.dir, "nats.stream.max_bytes", mebibytes(limit/int64(len(event.Envs()))), "streams_may_hold", mebibytes(limit), "room", mebibytes(max(0, room)))
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
