package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsProcess is a NATS server with JetStream in a process of its own, which a
// test may stop and start again.
type natsProcess struct {
	t       *testing.T
	url     string
	dir     string
	command *exec.Cmd
	flags   []string // beside what every server gets
	route   string   // where other servers of its cluster reach it; empty without one
}

func newNATS(t *testing.T) *natsProcess {
	t.Helper()
	n := &natsProcess{t: t, dir: t.TempDir()}
	n.run("-1") // any free port
	t.Cleanup(n.kill)
	return n
}

func (n *natsProcess) run(port string) {
	n.t.Helper()
	n.command = exec.Command(natsServer, "-js", "-a", "127.0.0.1", "-p", port, "-sd", n.dir, "--ports_file_dir", n.dir)
	n.command.Args = append(n.command.Args, n.flags...)
	if err := n.command.Start(); err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.dir, fmt.Sprintf("nats-server_%d.ports", n.command.Process.Pid))
	var ports struct{ Nats, Cluster []string }
	eventually(n.t, "the NATS server writes its ports", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.Nats) > 0
	})
	n.url = ports.Nats[0]
	if len(ports.Cluster) > 0 {
		n.route = ports.Cluster[0]
	}
}

// again starts a killed server with what it had stored, where it was.
func (n *natsProcess) again() {
	n.t.Helper()
	at, err := url.Parse(n.url)
	if err != nil {
		n.t.Fatal(err)
	}
	n.run(at.Port())
}

func (n *natsProcess) kill() {
	_ = n.command.Process.Kill() // it may have ended
	_ = n.command.Wait()
}

func (n *natsProcess) signal(signal syscall.Signal) {
	n.t.Helper()
	if err := n.command.Process.Signal(signal); err != nil {
		n.t.Fatal(err)
	}
}

// pause stops the server where it stands and returns when none of its threads
// runs any more: until then it may still take a message in and answer.
func (n *natsProcess) pause() {
	n.t.Helper()
	n.signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(n.command.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		n.t.Fatalf("the NATS server did not stop: status %#x, error %v", status, err)
	}
}

func (n *natsProcess) resume() {
	n.t.Helper()
	n.signal(syscall.SIGCONT)
}

// on is the bus of a bridge that uses this server.
func (n *natsProcess) on() string {
	return fmt.Sprintf("nats: {url: %q, stream: {max_bytes: 64MiB}}\n", n.url)
}

// jetStream connects a client that knows nothing of jethook.
func (n *natsProcess) jetStream() jetstream.JetStream {
	n.t.Helper()
	connection, err := nats.Connect(n.url)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(connection.Close)
	js, err := jetstream.New(connection)
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// stream opens a stream with such a client.
func (n *natsProcess) stream(name string) jetstream.Stream {
	n.t.Helper()
	stream, err := n.jetStream().Stream(n.t.Context(), name)
	if err != nil {
		n.t.Fatal(err)
	}
	return stream
}

// messages reads all that a stream holds, in its order, as any consumer would.
func messages(t *testing.T, stream jetstream.Stream) []*nats.Msg {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var all []*nats.Msg
	for range info.State.Msgs {
		m, err := consumer.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
	}
	return all
}
