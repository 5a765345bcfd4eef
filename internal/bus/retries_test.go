package bus

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const dueSubject = RetryDue + ".prod.billing"

func dueConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{Durable: "prod_billing", FilterSubject: dueSubject, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1}
}

func put(t *testing.T, b *Bus, m *nats.Msg) {
	t.Helper()
	if _, err := b.Put(t.Context(), Retry, m); err != nil {
		t.Fatal(err)
	}
}

func TestALostStateOfTheRetriesConsumerLosesNoRetry(t *testing.T) {
	harms := map[string]func(dir string) error{
		// What was handed out and not acknowledged is not in it any more.
		"state cut off": func(dir string) error { return os.Truncate(filepath.Join(dir, "o.dat"), 6) },
	}
	for name, harm := range damage {
		harms[name] = harm
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			l := &lives{t: t, dir: t.TempDir()}
			b := l.open()
			for range 4 {
				put(t, b, &nats.Msg{Subject: dueSubject})
			}
			makeConsumer(t, b, Retry, dueConfig())
			expect(t, "retries", fetch(t, b, Retry, "prod_billing", 3, 2), []uint64{1, 2, 3})
			l.end(l.now(b), true)
			if err := harm(filepath.Dir(l.state(Retry, "prod_billing"))); err != nil {
				t.Fatal(err)
			}
			b = l.open()
			makeConsumer(t, b, Retry, dueConfig()) // as the worker does
			expect(t, "retries after the restart", fetch(t, b, Retry, "prod_billing", 3, 1, 3, 4), []uint64{1, 3, 4})
		})
	}
}

func TestARetryThatTheListOfSchedulesHasLostFallsDueAllTheSame(t *testing.T) {
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	put(t, b, &nats.Msg{Subject: RetryWait + ".prod.billing.1", Header: nats.Header{
		"Nats-Schedule":        {"@at " + time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano)},
		"Nats-Schedule-Target": {dueSubject},
	}})
	l.end(l.now(b), true)
	list := filepath.Join(streamsDir(l.dir), Retry, "msgs", "sched.db")
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(data[1:], 0) // no schedule up to the sequence that follows
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	makeConsumer(t, b, Retry, dueConfig())
	expect(t, "retries", fetch(t, b, Retry, "prod_billing", 1), []uint64{2})
}

func TestRetriesAreFlushedWhenTheyHaveChanged(t *testing.T) {
	barrier, err := newBarrier(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(barrier.close)
	blocks := barrier.newBlocks(Retry)
	if err := os.MkdirAll(blocks.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan string, 16)
	blocks.sync = func(path string) error {
		text, err := os.ReadFile(path)
		flushed <- filepath.Base(path) + " " + string(text)
		return err
	}
	barrier.blocks[Retry] = blocks
	ctx, stop := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { barrier.keepRetries(ctx) })
	defer keeping.Wait()
	defer stop()
	for _, change := range []struct {
		block int
		text  string
	}{{1, "stored"}, {1, "stored and removed"}, {2, "stored"}} {
		if err := os.WriteFile(blocks.path(change.block), []byte(change.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for want := fmt.Sprintf("%d.blk %s", change.block, change.text); ; {
			select {
			case got := <-flushed:
				if got != want {
					continue // as it was before, once more
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%q is not flushed after a change", want)
			}
			break
		}
	}
}

// The directory's time is as coarse as the kernel's clock.
func TestABlockThatIsMadeJustAfterALookIsSeen(t *testing.T) {
	b := newBlocks(t.TempDir())
	at := time.Now().Add(-time.Hour)
	for number := range 2 {
		if err := os.WriteFile(b.path(number+1), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(b.dir, at, at); err != nil {
			t.Fatal(err)
		}
		if _, err := b.traces(); err != nil || b.last != number+1 {
			t.Errorf("the newest block is taken for %d, %v; want %d", b.last, err, number+1)
		}
	}
}

func TestABlockThatTheServerWroteAnewIsFlushed(t *testing.T) {
	dir := t.TempDir()
	b := newBlocks(dir)
	b.queue = true
	flushed := make(map[string]string)
	b.sync = func(path string) error {
		text, err := os.ReadFile(path)
		flushed[filepath.Base(path)] = string(text)
		return err
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"1.blk": "one", "2.blk": "two", "3.blk": "three"} {
		write(name, text)
	}
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	write("2.new", "t")
	if err := os.Rename(filepath.Join(dir, "2.new"), b.path(2)); err != nil {
		t.Fatal(err)
	}
	clear(flushed)
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	expect(t, "flushed", flushed, map[string]string{"2.blk": "t", "3.blk": "three"})
}
