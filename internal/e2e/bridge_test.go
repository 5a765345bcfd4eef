package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is long because the machine may be busy; a
// test that passes does not wait for it.
const patience = 60 * time.Second

// bridge is a running `jethook serve`, seen from outside.
type bridge struct {
	t         *testing.T
	command   *exec.Cmd
	file      string   // its configuration
	overlays  []string // files that are read after it
	env       []string // variables beside the tests' own
	log       *logLines
	stdout    *logLines
	addresses map[string]string
	exited    chan struct{}
}

// preamble is what every bridge of the tests has in common.
const preamble = `
roles: [ingest, deliver]
listen: {ingest: "127.0.0.1:0", ops: "127.0.0.1:0", drain_delay: 0s}
deliver: {allow_networks: [127.0.0.0/8]}
log: {level: debug, format: json}
`

// embeddedIn is the bus of a bridge that has it to itself.
func embeddedIn(dir string) string {
	return fmt.Sprintf("nats: {embedded: {store_dir: %q}, stream: {max_bytes: 256MiB}}\n", dir)
}

// start runs the bridge with a configuration, which is preamble and the parts,
// and waits until it says it is ready. It is killed when the test ends.
func start(t *testing.T, parts ...string) *bridge {
	t.Helper()
	b := newBridge(t, parts...)
	b.run()
	return b
}

// newBridge configures a bridge and does not run it yet.
func newBridge(t *testing.T, parts ...string) *bridge {
	t.Helper()
	b := &bridge{t: t, file: filepath.Join(t.TempDir(), "jethook.yaml")}
	b.configure(parts...)
	return b
}

// overlay has a file of the text read after the configuration, for keys that
// preamble has too.
func (b *bridge) overlay(text string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "overlay.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.overlays = append(b.overlays, file)
}

// configure writes the configuration; a running bridge sees it by itself.
func (b *bridge) configure(parts ...string) {
	b.t.Helper()
	next := b.file + ".next"
	if err := os.WriteFile(next, []byte(preamble+strings.Join(parts, "\n")), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(next, b.file); err != nil {
		b.t.Fatal(err)
	}
}

// run starts the process, also again after it has ended.
func (b *bridge) run() {
	b.t.Helper()
	args := []string{"serve", "-c", b.file}
	for _, file := range b.overlays {
		args = append(args, "-c", file)
	}
	b.command = exec.Command(binary, args...)
	b.command.Env = append(os.Environ(), b.env...)
	b.log, b.stdout, b.exited = newLogLines(), newLogLines(), make(chan struct{})
	b.command.Stderr, b.command.Stdout = b.log, b.stdout
	if err := b.command.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = b.command.Wait() // the code is asked of ProcessState
		close(b.exited)
	}()
	b.t.Cleanup(func() {
		b.kill()
		if b.t.Failed() {
			b.t.Logf("log of the bridge:\n%s", b.log)
		}
	})
	line := b.waitLog("jethook is ready")
	var ready struct{ Addresses map[string]string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		b.t.Fatalf("log line %q: %v", line, err)
	}
	b.addresses = ready.Addresses
}

// waitLog returns the first line of the log that holds the text.
func (b *bridge) waitLog(text string) string {
	b.t.Helper()
	line, ok := b.log.wait(text, b.exited)
	if !ok {
		b.t.Fatalf("the log never said %q:\n%s", text, b.log)
	}
	return line
}

// kill is kill -9.
func (b *bridge) kill() {
	_ = b.command.Process.Signal(syscall.SIGKILL) // it may have ended
	<-b.exited
}

// stop sends the signal and returns the exit code.
func (b *bridge) stop(signal syscall.Signal) int {
	b.t.Helper()
	if err := b.command.Process.Signal(signal); err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.exited:
	case <-time.After(patience):
		b.t.Fatalf("did not end after %s:\n%s", signal, b.log)
	}
	return b.command.ProcessState.ExitCode()
}

// answer is what an HTTP server said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *bridge) url(listener, path string) string {
	return "http://" + b.addresses[listener] + path
}

// post sends a webhook to a source.
func (b *bridge) post(source string, header http.Header, body []byte) answer {
	b.t.Helper()
	return b.do(http.MethodPost, b.url("ingest", "/in/"+source), header, body)
}

func (b *bridge) get(listener, path string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, b.url(listener, path), nil, nil)
}

func (b *bridge) do(method, url string, header http.Header, body []byte) answer {
	b.t.Helper()
	got, err := send(b.t.Context(), method, url, header, body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, url, err)
	}
	return got
}

// send is do for tests that expect a broken connection.
func send(ctx context.Context, method, url string, header http.Header, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, errors.Join(err, response.Body.Close())
}

// receipt is the gateway's answer to an event it has stored.
type receipt struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
}

// accepted reads the answer of an event that must have been stored.
func (a answer) accepted(t *testing.T) receipt {
	t.Helper()
	var r receipt
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != http.StatusOK || r.ID == "" {
		t.Fatalf("answer %d %s (%v), want 200 and an id", a.status, a.body, err)
	}
	return r
}

// problem is an RFC 9457 answer.
type problem struct {
	Type, Title, Code, Detail string
	Status                    int
	RequestID                 string `json:"request_id"`
}

// refused checks that the answer is a complete problem of that status and code.
func (a answer) refused(t *testing.T, status int, code string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("answer %d %q is no problem: %v", a.status, a.body, err)
	}
	if a.status != status || p.Status != status || p.Code != code {
		t.Errorf("answer %d %s, want %d %s", a.status, a.body, status, code)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.RequestID == "" {
		t.Errorf("a member of the problem is empty: %s", a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q, want application/problem+json", got)
	}
	return p
}

// logLines collects the lines a process writes and lets tests wait for one.
type logLines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed and replaced at every write
}

func newLogLines() *logLines { return &logLines{written: make(chan struct{})} }

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.written)
	l.written = make(chan struct{})
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find returns the first whole line that holds the text, and the channel that
// tells of the next write.
func (l *logLines) find(text string) (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
			return strings.TrimSuffix(line, "\n"), nil
		}
	}
	return "", l.written
}

// wait blocks until a line holds the text, or the process has exited.
func (l *logLines) wait(text string, exited <-chan struct{}) (string, bool) {
	deadline := time.After(patience)
	for {
		line, written := l.find(text)
		if line != "" {
			return line, true
		}
		select {
		case <-written:
		case <-exited:
			line, _ := l.find(text)
			return line, line != ""
		case <-deadline:
			return "", false
		}
	}
}
