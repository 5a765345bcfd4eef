package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// startJethook runs the bridge with one source on the store, and with the
// endpoint if there is one.
func (b *bench) startJethook(ctx context.Context, store, durability string, endpoints ...endpoint) (*child, error) {
	file := filepath.Join(b.dir, store+".yaml")
	text, err := json.Marshal(configuration(filepath.Join(b.dir, store), durability, endpoints))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil { // JSON is YAML
		return nil, err
	}
	return start(ctx, b.jethook, "serve", "-c", file)
}

// endpoint gets every event from the first one on.
type endpoint struct{ name, url string }

func configuration(dir, durability string, endpoints []endpoint) map[string]any {
	var list []map[string]any
	for _, e := range endpoints {
		list = append(list, map[string]any{
			"name": e.name, "url": e.url, "all_events": true, "start": "beginning", "secrets": []string{secret()},
		})
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
