// Package e2e drives jethook from outside, as its users do: the names of its
// tests are the list of promises.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The programs that the tests run, built once: jethook with the race detector,
// and the real NATS server.
var binary, natsServer string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jethook-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, natsServer = filepath.Join(dir, "jethook"), filepath.Join(dir, "nats-server")
	for _, build := range [][]string{
		{"build", "-race", "-o", binary, "github.com/jethook/jethook/cmd/jethook"},
		{"build", "-o", natsServer, "github.com/nats-io/nats-server/v2"},
	} {
		if output, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %v: %v\n%s", build, err, output)
			return 1
		}
	}
	flag.Parse()
	// The tests wait for processes more than they compute.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// eventually asks again until the condition holds. It is for what tells nobody
// when it changes, such as a file or another process's state.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came true that %s", what)
		}
	}
}
