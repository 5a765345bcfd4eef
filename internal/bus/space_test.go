package bus

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/internal/event"
)

func TestAVolumeThatIsNearlyFullTakesNoEventsUntilThereIsRoom(t *testing.T) {
	log := new(logBuffer)
	config := embedded(t.TempDir(), Power)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	b := open(t, config)
	first := publish(t, b, numbered(1))

	var free atomic.Int64
	b.space.mu.Lock()
	b.space.volume = func(string) (volume, error) { return volume{total: 100 << 30, free: free.Load()}, nil }
	b.space.mu.Unlock()
	free.Store(maxReserve - 1)
	eventually(t, "the volume is seen to be full", func() bool { return b.space.err() != nil })

	if _, err := b.Publish(t.Context(), numbered(2)); !errors.Is(err, event.ErrFull) {
		t.Errorf("error %v, want event.ErrFull", err)
	}
	if again := publish(t, b, numbered(1)); again.Sequence != first.Sequence || !again.Duplicate {
		t.Errorf("what is stored already is answered %+v", again)
	}
	if _, err := b.Put(t.Context(), Dead, &nats.Msg{Subject: DeadRoot + ".prod.billing"}); err != nil {
		t.Errorf("a dead event is not stored: %v", err)
	}
	check := failingCheck(b.Health(t.Context()))
	if check == nil || check.Name != "space" || !strings.Contains(check.Err.Error(), config.Embedded.StoreDir) || !strings.Contains(check.Err.Error(), "63 MiB") {
		t.Errorf("failing check %+v, want one that says how much is free and where", check)
	}

	free.Store(maxReserve) // not enough to begin again
	if err := b.space.look(); err != nil || b.space.err() == nil {
		t.Errorf("at the reserve itself: error %v, shortage %v; it would open and close at each event", err, b.space.err())
	}
	free.Store(2 * maxReserve)
	eventually(t, "there is room again", func() bool { return b.space.err() == nil })
	publish(t, b, numbered(2))
	if check := failingCheck(b.Health(t.Context())); check != nil {
		t.Errorf("check %s: %v", check.Name, check.Err)
	}
	if text := log.String(); strings.Count(text, "nearly full") != 1 || strings.Count(text, "room for events again") != 1 {
		t.Errorf("the log does not tell of both once:\n%s", text)
	}
}

func TestAFastIntakeIsStoppedBetweenTwoLooks(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	const size, room = 16 << 10, 1 << 20
	var free atomic.Int64
	free.Store(maxReserve + room)
	b.space.mu.Lock()
	b.space.volume = func(string) (volume, error) { return volume{total: 100 << 30, free: free.Load()}, nil }
	b.space.mu.Unlock()
	if err := b.space.look(); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	var group sync.WaitGroup
	for from := range 8 {
		group.Go(func() {
			for n := range 1000 {
				e := roomy(from*1000 + n)
				if _, err := b.Publish(t.Context(), e); err != nil {
					if !errors.Is(err, event.ErrFull) {
						t.Error(err)
					}
					return
				}
				free.Add(-size)
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if got := taken.Load(); got < room/size/2 || got > room/size {
		t.Errorf("%d events of %d bytes were taken into %d", got, size, room)
	}
}

func TestASmallVolumeKeepsATenth(t *testing.T) {
	for total, want := range map[int64]int64{100 << 20: 10 << 20, 640 << 20: 64 << 20, 1 << 40: 64 << 20} {
		if got := (volume{total: total}).reserve(); got != want {
			t.Errorf("of %d bytes %d are kept, want %d", total, got, want)
		}
	}
}

func TestStreamsThatTheirVolumeCannotHoldAreWarnedOf(t *testing.T) {
	log := new(logBuffer)
	s := &space{dir: "/data", logger: slog.New(slog.NewTextHandler(log, nil)), last: volume{total: 30 << 30, free: 20 << 30}}
	s.warn(20<<30, 1<<30)
	if text := log.String(); text != "" {
		t.Errorf("streams that fit are warned of: %s", text)
	}
	s.warn(40<<30, 1<<30)
	for _, want := range []string{"lower nats.stream.max_bytes", `nats.stream.max_bytes="20480 MiB"`, `streams_may_hold="40960 MiB"`, `room="21440 MiB"`, "/data"} {
		if text := log.String(); !strings.Contains(text, want) {
			t.Errorf("the warning lacks %s:\n%s", want, text)
		}
	}
}

func TestTheVolumeIsRead(t *testing.T) {
	v, err := volumeOf(t.TempDir())
	if err != nil || v.total <= 0 || v.free < 0 || v.free > v.total {
		t.Errorf("volume %+v, error %v", v, err)
	}
}

func TestAStreamThatTheDiskRefusedFailsReadinessAndSaysWhatToDo(t *testing.T) {
	config := embedded(t.TempDir(), Process)
	config.Stream.MaxBytes = 16 << 20 // blocks of some MiB
	b := open(t, config)
	publish(t, b, numbered(0))
	// The next block lands on a device that is full.
	next := filepath.Join(config.Embedded.StoreDir, "jetstream", "$G", "streams", StreamName(event.Prod), "msgs", "2.blk")
	if err := os.Symlink("/dev/full", next); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		e := numbered(n)
		e.Data = make([]byte, 400<<10)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := b.Publish(ctx, e)
		cancel()
		if err == nil && n < 40 {
			continue
		}
		if !errors.Is(err, event.ErrUnavailable) {
			t.Fatalf("event %d: error %v, want event.ErrUnavailable", n, err)
		}
		break
	}
	check := failingCheck(b.Health(t.Context()))
	if check == nil || check.Name != "store" || !strings.Contains(check.Err.Error(), "start jethook again when there is room") {
		t.Errorf("failing check %+v, want one that says to start again", check)
	}
}
