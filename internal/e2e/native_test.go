package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/api"
)

// native is a bridge whose subscribers are managed from the command line.
type native struct {
	*bridge
	t   *testing.T
	dir string // of credentials
}

func startNative(t *testing.T) *native {
	t.Helper()
	return &native{startManaged(t, listening(t), adminKeys, sources(desk)), t, t.TempDir()}
}

// subscribers runs a command, which must do it.
func (n *native) subscribers(args ...string) string {
	n.t.Helper()
	command := exec.CommandContext(n.t.Context(), binary, append([]string{"subscribers"}, append(args, "--server", n.url("admin", ""))...)...)
	command.Dir, command.Env = n.dir, append(os.Environ(), "JETHOOK_KEY="+prodKey)
	output, err := command.Output()
	if err != nil {
		n.t.Fatalf("subscribers %q: %v: %s", args, err, err.(*exec.ExitError).Stderr)
	}
	return string(output)
}

// connect connects with a saved key.
func (n *native) connect(file string) (*nats.Conn, error) {
	key, err := nats.NkeyOptionFromSeed(filepath.Join(n.dir, file))
	if err != nil {
		n.t.Fatal(err)
	}
	return nats.Connect("nats://"+n.addresses["nats"], key, nats.CustomInboxPrefix("_INBOX_ledger"), nats.NoReconnect())
}

// admitted waits until a saved key is admitted.
func (n *native) admitted(file string) *nats.Conn {
	n.t.Helper()
	var connection *nats.Conn
	eventually(n.t, file+" is admitted", func() (ok bool) {
		var err error
		connection, err = n.connect(file)
		return err == nil
	})
	n.t.Cleanup(connection.Close)
	return connection
}

func TestCredentialsThatAreMadeAreAdmittedUntilTheyAreRotatedAndDeleted(t *testing.T) {
	t.Parallel()
	n := startNative(t)
	if shown := n.subscribers("create", "ledger", "--events", "desk.>", "--save", "ledger.nk"); strings.Contains(shown, "SU") {
		t.Errorf("what was saved is shown too: %s", shown)
	}
	if info, err := os.Stat(filepath.Join(n.dir, "ledger.nk")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the saved key is %v (%v), want it readable by its owner alone", info.Mode(), err)
	}
	first := n.admitted("ledger.nk")
	seed, err := os.ReadFile(filepath.Join(n.dir, "ledger.nk"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(n.dir, "ledger.nk"), filepath.Join(n.dir, "old.nk")); err != nil {
		t.Fatal(err)
	}
	n.subscribers("rotate", "ledger", "--save", "ledger.nk")
	second := n.admitted("ledger.nk")
	n.admitted("old.nk")
	if first.IsClosed() {
		t.Error("a connection with the key before was ended")
	}
	ended := make(chan struct{}, 2)
	for _, connection := range []*nats.Conn{first, second} {
		connection.SetClosedHandler(func(*nats.Conn) { ended <- struct{}{} })
	}
	n.subscribers("rotate", "ledger", "--overlap", "0s", "--save", "newest.nk")
	n.admitted("newest.nk")
	for range 2 {
		<-ended
	}
	for _, file := range []string{"old.nk", "ledger.nk"} {
		if connection, err := n.connect(file); err == nil {
			connection.Close()
			t.Errorf("%s is admitted still", file)
		}
	}
	if shown := n.subscribers("show", "ledger") + n.subscribers("show", "ledger", "-o", "json") + n.log.String(); strings.Contains(shown, strings.TrimSpace(string(seed))) {
		t.Errorf("a key is shown again: %s", shown)
	}
	n.subscribers("delete", "ledger")
	eventually(t, "nobody is admitted", func() bool {
		connection, err := n.connect("newest.nk")
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
}

// prints runs a program that consumes, and returns the lines it writes.
func (n *native) prints(command *exec.Cmd) (lines <-chan string, end func()) {
	n.t.Helper()
	stderr := newLogLines()
	command.Dir, command.Stderr = n.dir, stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		n.t.Fatal(err)
	}
	written := make(chan string, 100)
	go func() {
		defer close(written)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			written <- lines.Text()
		}
	}()
	n.t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()
		if n.t.Failed() {
			n.t.Logf("%s wrote: %s", command.Path, stderr)
		}
	})
	return written, func() {
		n.t.Helper()
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			n.t.Error(err)
		}
		for range written {
		}
		if err := command.Wait(); err != nil {
			n.t.Errorf("ended with %v", err)
		}
	}
}

// consumes hands events and looks whether a program prints each, and leaves none
// unacknowledged.
func (n *native) consumes(command *exec.Cmd) {
	n.t.Helper()
	lines, end := n.prints(command)
	for i := range 3 {
		id := n.hand("order.paid", fmt.Sprint(i))
		if line := <-lines; !strings.HasPrefix(line, "order.paid "+id+" ") {
			n.t.Fatalf("it printed %q, want order.paid %s", line, id)
		}
	}
	js, err := jetstream.New(n.admitted("ledger.nk"))
	if err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, "all is acknowledged", func() bool {
		consumer, err := js.Consumer(n.t.Context(), "EVENTS_PROD", "ledger")
		return err == nil && consumer.CachedInfo().NumPending == 0 && consumer.CachedInfo().NumAckPending == 0
	})
	end()
}

// snippet writes one to a file.
func (n *native) snippet(kind, file string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, file)
	if err := os.WriteFile(path, []byte(n.subscribers("show", "ledger", "--snippet", kind)), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return path
}

func TestTheGoSnippetConsumes(t *testing.T) {
	t.Parallel()
	n := startNative(t)
	n.subscribers("create", "ledger", "--events", "desk.>", "--save", "ledger.nk")
	n.admitted("ledger.nk")
	program := filepath.Join(n.dir, "consume")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, n.snippet("go", "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	n.consumes(exec.Command(program))
}

func TestTheJavaScriptSnippetConsumes(t *testing.T) {
	t.Parallel()
	n := startNative(t)
	n.subscribers("create", "ledger", "--events", "desk.>", "--save", "ledger.nk")
	n.admitted("ledger.nk")
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "javascript", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(n.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
	install.Dir = n.dir
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v: %s", err, output)
	}
	n.snippet("javascript", "consume.js")
	n.consumes(exec.Command("node", "consume.js"))
}

func TestDeadEventsOfASubscriberAreListedAndHandedToItAgain(t *testing.T) {
	t.Parallel()
	n := startNative(t)
	client := n.manager(prodKey)
	n.subscribers("create", "ledger", "--events", "desk.>", "--max-deliver", "1", "--ack-wait", "100ms", "--save", "ledger.nk")
	js, err := jetstream.New(n.admitted("ledger.nk"))
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), "EVENTS_PROD", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	id := n.hand("order.paid", "1")
	if _, err := consumer.Next(jetstream.FetchMaxWait(patience)); err != nil {
		t.Fatal(err)
	}
	var dead api.Dead
	eventually(t, "it is dead", func() bool {
		list := done[api.List[api.Dead]](t)(client.DeadEvents(t.Context(), api.DeadQuery{Endpoint: "ledger"}))
		if len(list.Data) == 1 {
			dead = list.Data[0]
		}
		return len(list.Data) == 1
	})
	if dead.EventID != id || !dead.Subscriber || dead.Attempts != 1 {
		t.Errorf("dead is %+v, want %s after one delivery to a subscriber", dead, id)
	}
	done[api.Redelivery](t)(client.RetryDead(t.Context(), dead.ID))
	m, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil || m.Headers().Get("ce-id") != id || m.Subject() != "again.prod.ledger.desk.order.paid" {
		t.Fatalf("got %v, error %v; want %s again", m, err, id)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Error(err)
	}
}
