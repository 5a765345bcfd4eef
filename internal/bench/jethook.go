package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// command is the program that is measured.
const command = "github.com/jethook/jethook/cmd/jethook"

// build builds jethook as it is released, static and stripped.
func (b *bench) build(ctx context.Context) error {
	b.jethook = filepath.Join(b.dir, "jethook")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.jethook, command)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", command, err, output)
	}
	return nil
}

// startJethook runs the bridge with one source on a store, which it makes if it
// is not there.
func (b *bench) startJethook(ctx context.Context, store, durability string, endpoints ...endpoint) (*child, error) {
	if err := b.configure(store, durability, endpoints...); err != nil {
		return nil, err
	}
	return start(ctx, b.jethook, "serve", "-c", b.configFile(store))
}

// startDelivering runs the bridge until it has read its store, and has it
// deliver only then, so that the start is not in the measurement.
func (b *bench) startDelivering(ctx context.Context, store string, endpoints []endpoint) (*child, error) {
	c, err := b.startJethook(ctx, store, "power")
	if err != nil {
		return nil, err
	}
	err = pause(ctx, idleAfter)
	if err == nil {
		err = b.configure(store, "power", endpoints...)
	}
	if err == nil {
		err = c.command.Process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return nil, errors.Join(err, c.kill())
	}
	return c, nil
}

func (b *bench) configure(store, durability string, endpoints ...endpoint) error {
	return b.write(store, configuration(b.store(store), durability, endpoints))
}

// write replaces the file at once, since the bridge may be looking.
func (b *bench) write(store string, configuration map[string]any) error {
	text, err := json.Marshal(configuration) // JSON is YAML
	if err != nil {
		return err
	}
	next := b.configFile(store) + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, b.configFile(store))
}

func (b *bench) configFile(store string) string { return b.store(store) + ".yaml" }

// endpoint gets the events of its patterns.
type endpoint struct {
	name, url string
	events    []string      // none: all
	timeout   time.Duration // zero: the default
	fromNow   bool          // not from the first one on
}

func configuration(dir, durability string, endpoints []endpoint) map[string]any {
	var list []map[string]any
	for _, e := range endpoints {
		entry := map[string]any{"name": e.name, "url": e.url, "start": "beginning", "secrets": []string{secret()}}
		if entry["all_events"] = true; e.events != nil {
			delete(entry, "all_events")
			entry["events"] = e.events
		}
		if e.fromNow {
			entry["start"] = "now"
		}
		if e.timeout > 0 {
			entry["timeout"] = e.timeout.String()
		}
		list = append(list, entry)
	}
	return map[string]any{
		"roles":  []string{"ingest", "deliver"},
		"listen": map[string]any{"ingest": "127.0.0.1:0", "ops": "127.0.0.1:0", "drain_delay": "0s"},
		"nats": map[string]any{
			"embedded": map[string]any{"store_dir": dir, "durability": durability},
			"stream":   map[string]any{"max_bytes": "4GiB"},
		},
		"sources": []map[string]any{
			{"name": "bench", "preset": "standard-webhooks", "secrets": []string{secret()}},
		},
		"endpoints": list,
		"deliver":   map[string]any{"allow_networks": []string{"127.0.0.0/8"}},
		"log":       map[string]any{"level": "info", "format": "json"}, // the line that it is ready is info
	}
}
