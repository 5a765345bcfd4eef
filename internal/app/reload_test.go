package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

func TestAReloadNamesWhatNeedsANewStartAndForgetsItWhenItIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	with := func(bytes string, more string) *config.Config {
		return load(t, fmt.Sprintf(`
listen: {ingest: "127.0.0.1:0", ops: "127.0.0.1:0", drain_delay: 0s}
nats: {embedded: {store_dir: %q}, stream: {max_bytes: %s}}
`, dir, bytes)+more)
	}
	var log bytes.Buffer
	a, err := app.New(t.Context(), with("64MiB", ""), app.Options{
		Version: "test", Logger: slog.New(slog.NewTextHandler(&log, nil)), Stdout: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	reload := func(c *config.Config) string {
		t.Helper()
		log.Reset()
		if err := a.Reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	const needed = "started again"
	if text := reload(with("32MiB", "")); !strings.Contains(text, needed) || !strings.Contains(text, "nats") {
		t.Errorf("a changed setting of the bus: the log says %q", text)
	}
	if text := reload(with("64MiB", "")); strings.Contains(text, needed) {
		t.Errorf("the setting is as it was at the start: the log says %q", text)
	}
	if text := reload(with("64MiB", "endpoints: [{name: a, url: 'https://example.com', events: ['strip.>'], signature: none}]")); !strings.Contains(text, "strip.>") {
		t.Errorf("a pattern of no source here: the log says %q", text)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
}
