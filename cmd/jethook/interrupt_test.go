package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
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
	if line, err := s.await("."); err == nil {
		t.Errorf("an interrupted trigger said %q, want nothing", line)
	}
	if code, err := s.end(); code != int(exitInterrupted) || err != nil {
		t.Errorf("an interrupted trigger ended with %d, %v, want 130", code, err)
	}
}

// waitedFor is a bridge of which asked tells when a command waits for it.
func waitedFor(t *testing.T) (bridge *httptest.Server, asked <-chan struct{}) {
	t.Helper()
	waits := make(chan struct{}, 1)
	tell := func() {
		select {
		case waits <- struct{}{}:
		default:
		}
	}
	bridge = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/events":
			_, _ = w.Write([]byte(`{"data":[],"has_more":false}`))
		case "/v1/events/read":
			tell()
			<-r.Context().Done()
		case "/v1/replays":
			_, _ = w.Write([]byte(`{"id":"rpl_1","state":"running","count":2}`))
		default:
			tell()
			_, _ = w.Write([]byte(`{"id":"rpl_1","state":"running","count":2,"handled":1}`))
		}
	}))
	t.Cleanup(bridge.Close)
	return bridge, waits
}

func TestWhatWaitsForTheBridgeEndsQuietlyWith130WhenItIsInterrupted(t *testing.T) {
	for _, c := range []struct {
		args []string
		said string // on stderr, of the signal
	}{
		{args: []string{"events", "tail"}},
		{args: []string{"listen"}},
		{args: []string{"listen", "--forward-to", "http://127.0.0.1:1/"}},
		{args: []string{"replay", "--endpoint", "billing"}, said: "rpl_1 goes on; to end it: jethook replay cancel rpl_1"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			bridge, asked := waitedFor(t)
			var s server
			if err := s.start(t.TempDir(), append(os.Environ(), serverVariable+"="+bridge.URL, keyVariable+"=sk_test_key"), c.args...); err != nil {
				t.Fatal(err)
			}
			select {
			case <-asked:
			case <-time.After(patience):
				t.Error("the bridge was not asked in time")
			}
			if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if code, err := s.end(); code != int(exitInterrupted) || err != nil {
				t.Errorf("it ended with %d, %v, want 130", code, err)
			}
			var said []string
			for line := range s.lines {
				if !strings.HasPrefix(line, "events are sent to ") && !strings.HasPrefix(line, "1 of 2") {
					said = append(said, line)
				}
			}
			if got := strings.Join(said, "\n"); got != c.said {
				t.Errorf("it said %q, want %q", got, c.said)
			}
		})
	}
}

func TestAReplayThatIsOverIsNotSaidToGoOnWhenItsCountsAreWaitedFor(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	client, err := api.NewClient(defaultServer, "sk_test_key") // is not asked
	if err != nil {
		t.Fatal(err)
	}
	interrupt()
	var said bytes.Buffer
	if _, err := followReplay(ctx, client, api.Replay{ID: "rpl_1", State: "done", Count: 2, Handled: 2}, &said); !errors.Is(err, context.Canceled) || said.Len() > 0 {
		t.Errorf("error %v, and it said %q", err, &said)
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
	line, err := s.await("export JETHOOK_SERVER=")
	if err != nil {
		t.Fatal(err)
	}
	of := regexp.MustCompile(`JETHOOK_SERVER=(\S+) JETHOOK_KEY="\$\(cat (.+)\)"$`).FindStringSubmatch(line)
	if of == nil {
		t.Fatalf("dev says %q", line)
	}
	if got := expectCode(t, exitDone, "events", "list", "--type", "charge.refunded", "--server", of[1], "--key", "@"+of[2]); !strings.Contains(got.stdout, "charge.refunded") {
		t.Errorf("the key that dev names finds %q, want the event", got.stdout)
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

func TestDevLeavesNothingBehindWhenNobodyReadsOn(t *testing.T) {
	temporary := t.TempDir()
	cmd := exec.Command("jethook", "dev", "--listen", "127.0.0.1:0", "--rate", "50/s")
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Errorf("dev wrote %q, %v", line, err)
	}
	_ = out.Close() // as head does
	if err := cmd.Wait(); err != nil {
		t.Errorf("dev ended with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) > 0 {
		t.Errorf("dev left %v behind", left)
	}
}
