package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// built is the programs that the tests run, built once.
var built harness

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "jethook-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = harness{dir: dir, progress: io.Discard, starting: &sync.Mutex{}, settings: settings{
		rounds: 1, seconds: 0.5, pace: 60, patience: usualPatience, race: true, seed: uint64(time.Now().UnixNano()),
	}}
	if err := built.build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flag.Parse()
	// The trials wait more than they compute.
	if err := flag.Set("test.parallel", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// holds runs each row once, at the same time, and fails where one does not keep
// what it promises.
func holds(t *testing.T, rows []row) {
	t.Helper()
	t.Parallel()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got := try(t, built, r)
			if len(got.Wrong) > 0 {
				t.Errorf("seed %d: %+v\n%s", built.seed, got, tail(t, got.Log))
			}
		})
	}
}

func try(t *testing.T, h harness, r row) result {
	t.Helper()
	got, err := h.try(t.Context(), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// tail is the end of a log.
func tail(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-200):], nil)
}
