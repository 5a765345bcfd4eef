package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// bridge is a jethook, which may be away.
type bridge struct {
	trial     *trial
	name      string
	process   *process
	addresses atomic.Pointer[map[string]string] // nil while it is away
}

// run starts the process and does not wait for it.
func (b *bridge) run() (err error) {
	b.process, err = b.trial.start(b.name, b.trial.jethook, "serve", "-c", b.trial.file)
	return err
}

// start returns when the bridge is ready.
func (b *bridge) start(ctx context.Context) error {
	if err := b.run(); err != nil {
		return err
	}
	timeout := time.NewTimer(readyTimeout)
	defer timeout.Stop()
	select {
	case addresses := <-b.process.said:
		b.addresses.Store(&addresses)
		return nil
	case <-b.process.exited:
		return fmt.Errorf("start %s: it ended: %s", b.name, b.process.command.ProcessState)
	case <-timeout.C:
		return fmt.Errorf("start %s: not ready within %s", b.name, readyTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bridge) kill() {
	b.addresses.Store(nil)
	if b.process != nil {
		b.process.kill()
	}
}

// end sends SIGTERM and does not wait.
func (b *bridge) end() {
	b.process.ending.Store(true)
	_ = b.process.command.Process.Signal(syscall.SIGTERM) // it may have ended
}

// terminate leaves the address known while the bridge drains, as it is to a
// balancer.
func (b *bridge) terminate(ctx context.Context) error {
	err := b.process.terminate(ctx)
	b.addresses.Store(nil)
	return err
}

// reload has the bridge read its configuration. It may have ended.
func (b *bridge) reload() { _ = b.process.command.Process.Signal(syscall.SIGHUP) }

// readiness returns what /readyz says is wrong; empty means ready.
func (b *bridge) readiness(ctx context.Context) (wrong string, err error) {
	addresses := b.addresses.Load()
	if addresses == nil {
		return "", errAway
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+(*addresses)["ops"]+"/readyz", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil || response.StatusCode == http.StatusOK {
		return "", err
	}
	return string(bytes.TrimSpace(text)), nil
}

// options are of an entry of endpoints.
type options map[string]any

// configure replaces the file at once, since a bridge may be looking.
func (t *trial) configure(entries ...options) error {
	text, err := json.Marshal(t.configuration(entries)) // JSON is YAML
	if err != nil {
		return err
	}
	next := t.file + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, t.file)
}

func (t *trial) configuration(entries []options) options {
	return options{
		"roles":  []string{"ingest", "deliver"},
		"listen": options{"ingest": "127.0.0.1:0", "ops": "127.0.0.1:0", "drain_delay": "0s"},
		"nats":   t.bus,
		"sources": []options{
			{"name": sourceName, "preset": "standard-webhooks", "secrets": []string{t.signer.secret}},
		},
		"endpoints": entries,
		"deliver":   options{"allow_networks": []string{"127.0.0.0/8"}},
		"log":       options{"level": "info", "format": "json"}, // the line that it is ready is info
	}
}

// entry of an endpoint, by default of every event.
func (t *trial) entry(name string, more options) options {
	e := options{
		"name": name, "url": t.receiver.url + "/" + name, "all_events": true, "secrets": []string{t.signer.secret},
		"timeout": "2s", "concurrency": concurrency,
		"retry": options{"initial": "1s", "multiplier": 1.5, "max_interval": "5s", "attempts": 50, "max_elapsed": "24h"},
	}
	for key, value := range more {
		e[key] = value
	}
	if e["events"] != nil {
		delete(e, "all_events")
	}
	return e
}
