package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jethook/jethook/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer collects what is logged, for tests that read it.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func embedded(dir string, durability Durability) Config {
	return Config{
		Embedded: &Embedded{StoreDir: dir, Durability: durability},
		Stream:   Stream{Replicas: 1, MaxAge: 24 * time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, config Config) *Bus {
	t.Helper()
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func numbered(n int) *event.Event {
	return &event.Event{
		ID: event.NewID(event.Prod, "shop", fmt.Sprint(n)), Env: event.Prod, Source: "shop", Type: "order.paid",
		Time: time.Now(), ContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

func publish(t *testing.T, b *Bus, e *event.Event) event.Receipt {
	t.Helper()
	receipt, err := b.Publish(t.Context(), e)
	if err != nil {
		t.Fatalf("publish %s: %v", e.ID, err)
	}
	return receipt
}

// stored returns the event at a sequence.
func stored(t *testing.T, b *Bus, env event.Env, sequence uint64) *event.Event {
	t.Helper()
	stream, err := b.JetStream().Stream(context.Background(), StreamName(env))
	if err != nil {
		t.Fatalf("stream of %s: %v", env, err)
	}
	message, err := stream.GetMsg(context.Background(), sequence)
	if err != nil {
		t.Fatalf("message %d: %v", sequence, err)
	}
	e, err := event.Decode(message.Header, message.Data)
	if err != nil {
		t.Fatalf("decode message %d: %v", sequence, err)
	}
	return e
}

// eventually waits for what nothing tells of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	const patience = 20 * time.Second
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in %s it did not come about that %s", patience, what)
		}
	}
}
