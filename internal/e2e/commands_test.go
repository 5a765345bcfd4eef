package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

// jethook runs a command to its end.
func jethook(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), binary, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// running is a command that goes on until it is told to end.
type running struct {
	t              *testing.T
	command        *exec.Cmd
	stdout, stderr *logLines
	exited         chan struct{}
}

// begin starts a command with more variables. It is killed when the test ends.
func begin(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t, command: exec.Command(binary, args...), stdout: newLogLines(), stderr: newLogLines(), exited: make(chan struct{})}
	r.command.Env = append(os.Environ(), env...)
	r.command.Stdout, r.command.Stderr = r.stdout, r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.command.Wait() // the code is asked of ProcessState
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = r.command.Process.Kill() // it may have ended
		<-r.exited
	})
	return r
}

// says waits for a line on stdout.
func (r *running) says(text string) {
	r.t.Helper()
	if _, ok := r.stdout.wait(text, r.exited); !ok {
		r.t.Fatalf("it never said %q:\n%s%s", text, r.stdout, r.stderr)
	}
}

// ends sends a signal and returns the exit code.
func (r *running) ends(signal os.Signal) int {
	r.t.Helper()
	if err := r.command.Process.Signal(signal); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-r.exited:
	case <-time.After(patience):
		r.t.Fatalf("did not end after %s:\n%s%s", signal, r.stdout, r.stderr)
	}
	return r.command.ProcessState.ExitCode()
}

// version is what the binary says of itself.
func version(t *testing.T) string {
	t.Helper()
	got := jethook(t, "version", "-o", "json")
	var build struct{ Version string }
	if err := json.Unmarshal([]byte(got.stdout), &build); err != nil || build.Version == "" {
		t.Fatalf("version -o json: %+v: %v", got, err)
	}
	return build.Version
}

func TestVersionSaysWhatRuns(t *testing.T) {
	t.Parallel()
	got := jethook(t, "version")
	if want := "jethook " + version(t) + " "; got.code != 0 || !strings.HasPrefix(got.stdout, want) || got.stderr != "" {
		t.Errorf("%+v, want %q first on stdout", got, want)
	}
}

func TestDevShowsVerifiedEventsOfFourSourcesAndARetry(t *testing.T) {
	t.Parallel()
	got := jethook(t, "dev", "--listen", "127.0.0.1:0", "--count", "6", "--rate", "50/s")
	if got.code != 0 {
		t.Fatalf("exit code %d, want 0:\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, event := range []string{"clink order.succeeded", "chip purchase.paid", "stripe payment_intent.succeeded", "standard user.created"} {
		if len(linesWith(got.stdout, event+" verified")) == 0 {
			t.Errorf("no %s was verified:\n%s", event, got.stdout)
		}
	}
	first := linesWith(got.stdout, "503 attempt 1)")
	if len(first) != 1 {
		t.Fatalf("%d events were refused on purpose, want one:\n%s", len(first), got.stdout)
	}
	id := regexp.MustCompile(`evt_\w+`).FindString(first[0])
	var last []string
	tries := linesWith(got.stdout, id)
	if len(tries) == 3 {
		last = linesWith(tries[2], "3 verified")
	}
	if len(last) != 1 || len(linesWith(tries[1], "503 attempt 2)")) != 1 {
		t.Errorf("%s was tried so: %q, want two refusals and then verified at attempt 3", id, tries)
	}
}

// linesWith returns the lines that have all of these words.
func linesWith(text, words string) []string {
	var found []string
	for line := range strings.Lines(text) {
		have := strings.Fields(line)
		if !slices.ContainsFunc(strings.Fields(words), func(word string) bool { return !slices.Contains(have, word) }) {
			found = append(found, line)
		}
	}
	return found
}

func TestDevEndsCleanlyAtCtrlC(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	dev := begin(t, []string{"TMPDIR=" + temporary}, "dev", "--listen", "127.0.0.1:0", "--rate", "50/s")
	dev.says("verified")
	if code := dev.ends(os.Interrupt); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, dev.stderr)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v (%v), want nothing", left, err)
	}
}

func TestTriggerPostsSignedEventsToARunningBridge(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(source("stripe", "stripe", "whsec_trigger")), endpoints(endpoint("billing", r)))
	got := jethook(t, "trigger", "stripe", "charge.refunded", "-c", b.file, "--url", b.url("ingest", ""), "--count", "3", "--rate", "100/s", "-o", "json")
	if got.code != 0 {
		t.Fatalf("%+v, want exit code 0", got)
	}
	delivered := r.of(3)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 3 {
		t.Errorf("%d lines of JSON, want one for each event:\n%s", len(lines), got.stdout)
	}
	for _, line := range lines {
		var event struct{ ID string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || len(delivered[event.ID]) != 1 {
			t.Errorf("%s (%v) was not delivered", line, err)
		}
	}
}

func TestServeReadsLaterFilesOverEarlierOnes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := newBridge(t, embeddedIn(t.TempDir()), endpoints(to("billing", "http://127.0.0.1:1/", signed, "headers: {X-Team: payments}")))
	b.overlay(sources(desk) + fmt.Sprintf("endpoints: [{name: billing, url: %q}]\n", r.server.URL))
	b.run()
	b.hand("order.paid", "1")
	if got := r.next().header.Get("X-Team"); got != "payments" {
		t.Errorf("X-Team %q, want payments: the later file changes the url alone", got)
	}
}

func TestCommandsEndWithTheCodesThatScriptsRelyOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "jethook.yaml")
	good := sources(source("stripe", "stripe", "whsec_codes"))
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte(good+"endpoints:\n  - name: billing\n    ulr: https://example.com/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusing, _ := reserve(t, nil)
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"done", []string{"config", "validate", "-c", file}, 0, ""},
		{"every problem has its file, line and column", []string{"config", "validate", "-c", wrong}, 1, wrong + ":4:5: "},
		{"serve says so too", []string{"serve", "-c", wrong}, 1, wrong + ":4:5: "},
		{"an unknown flag", []string{"serve", "--no-such-flag"}, 2, "--no-such-flag"},
		{"arguments that are missing", []string{"trigger", "stripe"}, 2, "SOURCE and EVENT"},
		{"a source that is not there", []string{"trigger", "nobody", "charge.refunded", "-c", file, "--url", refusing}, 3, "nobody"},
		{"a gateway that does not answer", []string{"trigger", "stripe", "charge.refunded", "-c", file, "--url", refusing}, 6, "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := jethook(t, c.args...)
			if got.code != c.code || !strings.Contains(got.stderr, c.stderr) {
				t.Errorf("%v: %+v, want exit code %d and %q on stderr", c.args, got, c.code, c.stderr)
			}
			if c.code != 0 && got.stdout != "" {
				t.Errorf("%v prints %q on stdout, which is for data", c.args, got.stdout)
			}
		})
	}
}

func TestAnInterruptedCommandEndsWith130(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(source("stripe", "stripe", "whsec_interrupted")))
	trigger := begin(t, nil, "trigger", "stripe", "charge.refunded", "-c", b.file, "--url", b.url("ingest", ""), "--count", "1000000", "--rate", "10/s")
	trigger.says("stored")
	if code := trigger.ends(syscall.SIGINT); code != 130 {
		t.Errorf("exit code %d, want 130:\n%s", code, trigger.stderr)
	}
}
