//go:build linux

package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

// writeBucket sets and deletes keys of a bucket without end, and prints each
// change before it begins and when it is kept.
func writeBucket(dir string) error {
	return onBus(dir, func(ctx context.Context, b *bus.Bus) error {
		bucket, err := b.JetStream().KeyValue(ctx, bus.Managed)
		if err != nil {
			return err
		}
		begun, err := bucket.Status(ctx)
		if err != nil {
			return err
		}
		for n := begun.Values(); ; n++ {
			key, value := fmt.Sprintf("key-%d", n%50), fmt.Sprint(n)
			if n%7 == 0 {
				value = "none"
			}
			fmt.Println("begin", key, value)
			if value == "none" {
				err = bucket.Purge(ctx, key)
			} else {
				_, err = bucket.PutString(ctx, key, value)
			}
			if err = errors.Join(err, b.SyncBucket(ctx, bus.Managed)); err != nil {
				return err
			}
			fmt.Println("kept", key, value)
		}
	})
}

// printBucket prints what a bucket holds.
func printBucket(dir string) error {
	return onBus(dir, func(ctx context.Context, b *bus.Bus) error {
		bucket, err := b.JetStream().KeyValue(ctx, bus.Managed)
		if err != nil {
			return err
		}
		for n := range 50 {
			key := fmt.Sprintf("key-%d", n)
			found, err := bucket.Get(ctx, key)
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			fmt.Println(key, string(found.Value()))
		}
		return nil
	})
}

func TestWhatIsKeptInABucketSurvivesAPowerCut(t *testing.T) {
	const enough = 300 // changes before each cut
	d, dir := mount(t, 1<<30)
	store := filepath.Join(dir, "store")
	kept, begun := map[string]string{}, map[string]string{}
	for round, loss := range []Loss{LoseSome, LoseAll, LoseContents, LoseRenamed} {
		writer, lines := start(t, "write", store)
		changes := 0
		for lines.Scan() {
			what, change, _ := strings.Cut(lines.Text(), " ")
			key, value, _ := strings.Cut(change, " ")
			if what == "begin" {
				begun[key] = value
				continue
			}
			kept[key] = value
			if changes++; changes == enough {
				must(t, writer.Process.Kill())
			}
		}
		_ = writer.Wait() // it was killed
		if err := d.Cut(loss, rand.New(rand.NewPCG(2, uint64(round)))); err != nil {
			t.Fatal(err)
		}
		reader, lines := start(t, "read", store)
		stored := map[string]string{}
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), " ")
			stored[key] = value
		}
		must(t, reader.Wait())
		for key, value := range kept {
			got, ok := stored[key]
			if !ok {
				got = "none"
			}
			if got != value && got != begun[key] {
				t.Errorf("after %d cuts, the last with loss %s: %s is %s, want %s or %s", round+1, loss, key, got, value, begun[key])
			}
			kept[key], begun[key] = got, got // what was cut off may be either
		}
		if changes < enough {
			t.Errorf("%d changes before the cut, want %d", changes, enough)
		}
	}
}
