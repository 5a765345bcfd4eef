package bus

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jethook/jethook/internal/event"
)

// inspected returns the first error of a look at the bus, and what was noted.
func inspected(t *testing.T, config Config) (notes string, err error) {
	t.Helper()
	for _, check := range Inspect(t.Context(), config) {
		err = errors.Join(err, check.Err)
		notes += check.Name + ": " + check.Note + "\n"
	}
	return notes, err
}

func TestALookAtTheStoreMakesNothingAndSaysWhoHasIt(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "not", "there")
	if notes, err := inspected(t, embedded(dir, Power)); err != nil || !strings.Contains(notes, "made at the first start") {
		t.Errorf("%q, %v", notes, err)
	}
	if entries, err := os.ReadDir(above); err != nil || len(entries) != 0 {
		t.Errorf("it made %v (%v)", entries, err)
	}

	b, err := Open(t.Context(), embedded(dir, Power))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inspected(t, embedded(dir, Power)); !errors.Is(err, ErrInUse) {
		t.Errorf("a directory in use: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if notes, err := inspected(t, embedded(dir, Power)); err != nil {
		t.Errorf("one that was used: %q, %v", notes, err)
	}
	open(t, embedded(dir, Power)) // nothing holds it

	file := filepath.Join(above, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := inspected(t, embedded(file, Power)); err == nil || !strings.Contains(err.Error(), "is not a directory: name another") {
		t.Errorf("a file: %v", err)
	}
}

func TestALookAtTheStoreWarnsOfAVolumeThatIsTooSmall(t *testing.T) {
	log := new(logBuffer)
	config := embedded(t.TempDir(), Power)
	config.Stream.MaxBytes, config.Logger = 1<<60, slog.New(slog.NewTextHandler(log, nil))
	if _, err := inspected(t, config); err != nil || !strings.Contains(log.String(), "lower nats.stream.max_bytes") {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestALookAtAClusterChangesNothing(t *testing.T) {
	config := external(t, "\n"+user("jetstream: enabled", ""))
	for range 2 { // still not after the first look
		if notes, err := inspected(t, config); err != nil || !strings.Contains(notes, "the streams are made at the first start") {
			t.Fatalf("%q, %v", notes, err)
		}
	}
	open(t, config)
	if notes, err := inspected(t, config); err != nil || !strings.HasPrefix(notes, "bus: NATS 2.") || strings.Contains(notes, "made") {
		t.Errorf("after the first start: %q, %v", notes, err)
	}
	config.External.URL = "nats://127.0.0.1:1"
	if _, err := inspected(t, config); !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "nats.url") {
		t.Errorf("nobody there: %v", err)
	}
}
