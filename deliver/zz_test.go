package deliver

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestZZPace(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	opened, err := bus.Open(ctx, bus.Config{
		Embedded: &bus.Embedded{StoreDir: dir, Durability: bus.Power},
		Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 256 << 20, DedupeWindow: 10 * time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	const n = 30000
	var g errgroup.Group
	g.SetLimit(1024)
	at := time.Now().Add(time.Minute)
	for i := range n {
		g.Go(func() error {
			_, err := opened.Put(ctx, bus.Retry, pointerTo(uint64(i+1)).later(at))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	pctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { Promote(pctx, opened, slog.Default()); close(done) }()
	for {
		s, err := opened.Subjects(ctx, bus.Retry, LaterSubjects(event.Test, "billing"))
		if err != nil {
			t.Fatal(err)
		}
		if len(s) == 0 {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("%d in %s: %.0f/s", n, time.Since(began), n/time.Since(began).Seconds())
	cancel()
	<-done
}
