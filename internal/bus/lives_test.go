package bus

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// lives is a store directory whose bus is opened again and again.
type lives struct {
	t   *testing.T
	dir string
	log *logBuffer
	bus *Bus // nil while it is closed
}

func (l *lives) open() *Bus {
	l.t.Helper()
	l.log = new(logBuffer)
	config := embedded(l.dir, Power)
	config.Logger = slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if l.bus, err = Open(l.t.Context(), config); err != nil {
		l.t.Fatalf("open: %v", err)
	}
	l.t.Cleanup(l.close)
	return l.bus
}

func (l *lives) close() {
	l.t.Helper()
	if l.bus == nil {
		return
	}
	if err := l.bus.Close(); err != nil {
		l.t.Errorf("close: %v", err)
	}
	l.bus = nil
}

// end closes the bus and puts the checkpoint back to what it was earlier, as if
// the process had been killed then; after a power cut another kernel runs.
func (l *lives) end(earlier checkpoint, powerCut bool) {
	l.t.Helper()
	l.close()
	if powerCut {
		earlier.Boot = "another"
	}
	data, err := json.Marshal(earlier)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, cursorsFile), data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lives) kept() (c checkpoint) {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, cursorsFile))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// now has a checkpoint written and returns it.
func (l *lives) now(b *Bus) checkpoint {
	l.t.Helper()
	if err := b.Sync(); err != nil {
		l.t.Fatal(err)
	}
	return l.kept()
}

func (l *lives) state(stream, consumer string) string {
	return filepath.Join(consumersDir(l.dir, stream), consumer, "o.dat")
}

const billing = "billing"

func billingConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: billing, Description: "the books", AckPolicy: jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 3,
		FilterSubjects: []string{"events.prod.shop.order.>", "events.prod.clink.>"},
		AckWait:        41 * time.Second, MaxAckPending: 17, MaxWaiting: 64, MaxDeliver: -1,
		Metadata: map[string]string{"jethook.origin": "file", "jethook.kind": "endpoint"},
	}
}

func makeConsumer(t *testing.T, b *Bus, stream string, config jetstream.ConsumerConfig) {
	t.Helper()
	if _, err := b.JetStream().CreateConsumer(t.Context(), stream, config); err != nil {
		t.Fatal(err)
	}
}

func infoOf(t *testing.T, b *Bus, stream, name string) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := b.JetStream().Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatalf("consumer %s of %s: %v", name, stream, err)
	}
	return c.CachedInfo()
}

// fetch takes messages of a consumer, acknowledges those wanted, and returns the
// sequences of all.
func fetch(t *testing.T, b *Bus, stream, name string, n int, acked ...uint64) (got []uint64) {
	t.Helper()
	c, err := b.JetStream().Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatalf("consumer %s of %s: %v", name, stream, err)
	}
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		at, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, at.Sequence.Stream)
		if slices.Contains(acked, at.Sequence.Stream) {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Error(); err != nil {
		t.Fatal(err)
	}
	return got
}

func expect(t *testing.T, what string, got any, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// worked is a life in which billing was given the events 3 to 8 of ten, had
// acknowledged up to 6 at its last checkpoint, which is returned, and 7 since.
func worked(t *testing.T) (*lives, *Bus, checkpoint) {
	t.Helper()
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	for n := range 10 {
		publish(t, b, numbered(n))
	}
	makeConsumer(t, b, "EVENTS_PROD", billingConfig())
	fetch(t, b, "EVENTS_PROD", billing, 4, 3, 4, 5, 6)
	earlier := l.now(b)
	fetch(t, b, "EVENTS_PROD", billing, 2, 7)
	return l, b, earlier
}
