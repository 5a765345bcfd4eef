//go:build linux

package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// publish publishes events without end, and prints the id of each that is
// acknowledged.
func publish(dir string) error {
	return onBus(dir, func(ctx context.Context, b *bus.Bus) error {
		var printing sync.Mutex
		failed := make(chan error)
		for worker := range 16 {
			go func() {
				for n := 0; ; n++ {
					e := &event.Event{
						ID:  event.NewID(event.Prod, "shop", fmt.Sprint(os.Getpid(), worker, n)),
						Env: event.Prod, Source: "shop", Type: "order.paid", Time: time.Now(),
						ContentType: "application/json", Data: []byte(`"` + strings.Repeat("x", 1000) + `"`),
					}
					if _, err := b.Publish(ctx, e); err != nil {
						failed <- err
						return
					}
					printing.Lock()
					fmt.Println(e.ID)
					printing.Unlock()
				}
			}()
		}
		return <-failed
	})
}

// printStored prints the id of every event that is stored.
func printStored(dir string) error {
	return onBus(dir, func(ctx context.Context, b *bus.Bus) error {
		stream, err := b.JetStream().Stream(ctx, bus.StreamName(event.Prod))
		if err != nil {
			return err
		}
		state := stream.CachedInfo().State
		for sequence := max(state.FirstSeq, 1); sequence <= state.LastSeq; sequence++ {
			message, err := stream.GetMsg(ctx, sequence)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("message %d: %w", sequence, err)
			}
			e, err := event.Decode(message.Header, message.Data)
			if err != nil {
				return fmt.Errorf("message %d: %w", sequence, err)
			}
			fmt.Println(e.ID)
		}
		return nil
	})
}

func onBus(dir string, act func(context.Context, *bus.Bus) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{
		Embedded: &bus.Embedded{StoreDir: dir, Durability: bus.Power},
		Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return errors.Join(act(ctx, b), b.Close())
}

func TestWhatTheBusAcknowledgedSurvivesAPowerCut(t *testing.T) {
	const enough = 200 // events before each cut
	d, dir := mount(t, 1<<30)
	store := filepath.Join(dir, "store")
	var acknowledged []string
	for round, loss := range []Loss{LoseSome, LoseAll, LoseContents, LoseRenamed} {
		publisher, lines := start(t, "publish", store)
		for n := 1; lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
			if n == enough {
				must(t, publisher.Process.Kill())
			}
		}
		_ = publisher.Wait() // it was killed
		if err := d.Cut(loss, rand.New(rand.NewPCG(1, uint64(round)))); err != nil {
			t.Fatal(err)
		}
		reader, lines := start(t, "print", store)
		stored := map[string]bool{}
		for lines.Scan() {
			stored[lines.Text()] = true
		}
		must(t, reader.Wait())
		missing := 0
		for _, id := range acknowledged {
			if !stored[id] {
				missing++
			}
		}
		if missing > 0 || len(acknowledged) < enough*(round+1) {
			t.Errorf("after %d cuts, the last with loss %s: %d of %d acknowledged events are missing, %d are stored", round+1, loss, missing, len(acknowledged), len(stored))
		}
	}
}
