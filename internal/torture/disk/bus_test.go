//go:build linux

package disk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// The environment of a process that is not the test but opens the bus at a
// directory, to publish until it is killed or to print what is stored.
const (
	publishAt = "DISK_TEST_PUBLISH_AT"
	printAt   = "DISK_TEST_PRINT_AT"
)

func TestMain(m *testing.M) {
	for variable, act := range map[string]func(context.Context, *bus.Bus) error{publishAt: publishAll, printAt: printAll} {
		if dir := os.Getenv(variable); dir != "" {
			if err := onBus(dir, act); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
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
	if err := act(ctx, b); err != nil {
		return err
	}
	return b.Close()
}

// publishAll publishes without end and prints the id of what is acknowledged.
func publishAll(ctx context.Context, b *bus.Bus) error {
	var mu sync.Mutex
	failed := make(chan error)
	for worker := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := event.NewID(event.Prod, "shop", fmt.Sprint(os.Getpid(), worker, n))
				_, err := b.Publish(ctx, &event.Event{
					ID: id, Env: event.Prod, Source: "shop", Type: "order.paid", Time: time.Now(),
					ContentType: "application/json", Data: []byte(`{"note":"` + strings.Repeat("x", 1000) + `"}`),
				})
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// printAll prints the id of every event that is stored.
func printAll(ctx context.Context, b *bus.Bus) error {
	stream, err := b.JetStream().Stream(ctx, bus.StreamName(event.Prod))
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		message, err := stream.GetMsg(ctx, sequence)
		if err != nil {
			return fmt.Errorf("message %d: %w", sequence, err)
		}
		e, err := event.Decode(message.Header, message.Data)
		if err != nil {
			return err
		}
		fmt.Println(e.ID)
	}
	return nil
}

// ids starts this test's program as a process of its own and reads the ids it
// prints: as many as are wanted before it is killed, or all.
func ids(t *testing.T, variable, dir string, wanted int) []string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), variable+"="+dir)
	var log strings.Builder
	command.Stderr = &log
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var got []string
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, strings.TrimSpace(line)); len(got) == wanted {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err != nil && len(got) < wanted || len(got) < wanted {
		t.Fatalf("%s: %v after %d ids:\n%s", variable, err, len(got), log.String())
	}
	if wanted == 0 && !command.ProcessState.Success() {
		t.Fatalf("%s: %s:\n%s", variable, command.ProcessState, log.String())
	}
	return got
}

func TestWhatTheBusAcknowledgedSurvivesAPowerCut(t *testing.T) {
	d, dir := mount(t, 1<<30)
	store := filepath.Join(dir, "store")
	var acknowledged []string
	for round, loss := range []Loss{LoseSome, LoseAll, LoseContents, LoseRenamed, LoseSome} {
		acknowledged = append(acknowledged, ids(t, publishAt, store, 500)...)
		if err := d.Cut(loss, rand.New(rand.NewPCG(1, uint64(round)))); err != nil {
			t.Fatal(err)
		}
		stored := map[string]bool{}
		for _, id := range ids(t, printAt, store, 0) {
			stored[id] = true
		}
		missing := 0
		for _, id := range acknowledged {
			if !stored[id] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("round %d, loss %s: %d of %d acknowledged events are missing", round, loss, missing, len(acknowledged))
		}
		t.Logf("round %d, loss %s: %d acknowledged, %d stored", round, loss, len(acknowledged), len(stored))
	}
}
