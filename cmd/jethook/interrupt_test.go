package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestAnInterruptedTriggerEndsWith130(t *testing.T) {
	posted := make(chan struct{}, 1)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id":"evt_a","duplicate":false}`))
		posted <- struct{}{}
	}))
	defer gateway.Close()
	file := writeFile(t, "jethook.yaml", "sources: [{name: pay, preset: stripe, secrets: [whsec_test]}]")
	var s server
	if err := s.start(t.TempDir(), os.Environ(), "trigger", "pay", "a.b", "-c", file, "--url", gateway.URL, "--count", "2", "--rate", "1/h"); err != nil {
		t.Fatal(err)
	}
	<-posted
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := s.await("ended by signal: interrupt"); err != nil {
		t.Error(err)
	}
	if code, err := s.end(); code != int(exitInterrupted) || err != nil {
		t.Errorf("an interrupted trigger ended with %d, %v, want 130", code, err)
	}
}

// TestDevRunsUntilItIsInterrupted is the first hour with jethook: see it run,
// post an event of one's own, stop it.
func TestDevRunsUntilItIsInterrupted(t *testing.T) {
	temporary := t.TempDir()
	var s server
	if err := s.start(t.TempDir(), append(os.Environ(), "TMPDIR="+temporary), "dev", "--listen", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"stripe", "chip"} {
		line, err := s.await("jethook trigger " + source)
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(line)[1:]
		got := expectCode(t, exitDone, args...)
		if !regexp.MustCompile(`^evt_[a-z2-7]{26}  200  stored\n$`).MatchString(got.stdout) {
			t.Errorf("%s wrote %q, want an id that is stored", line, got.stdout)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.await(`^[0-9]+ sent, [0-9]+ stored, [0-9]+ delivered, [0-9]+ of them after a retry$`); err != nil {
		t.Error(err)
	}
	if code, err := s.end(); code != 0 || err != nil {
		t.Errorf("dev ended with %d, %v, want 0", code, err)
	}
	if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) > 0 {
		t.Errorf("dev left %v behind", left)
	}
}
