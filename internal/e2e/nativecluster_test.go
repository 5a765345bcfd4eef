package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/vault"
)

func TestTheServersConfigurationAdmitsASubscriberToItsDurableAlone(t *testing.T) {
	t.Parallel()
	const account = "jetstream: enabled, users: [{user: jethook, password: geheim}]"
	cluster := &natsProcess{t: t, dir: t.TempDir()}
	file := filepath.Join(cluster.dir, "nats.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("accounts {JETHOOK {" + account + "}}\n")
	cluster.flags = []string{"-c", file}
	cluster.run("-1")
	t.Cleanup(cluster.kill)
	keyset, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keysetFile := filepath.Join(cluster.dir, "keyset.json")
	if err := os.WriteFile(keysetFile, []byte(keyset), 0o600); err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(cluster.dir, "nats", "context")
	if err := os.MkdirAll(known, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(known, "cluster.json"), fmt.Appendf(nil, `{"url": %q, "user": "jethook", "password": "geheim"}`, cluster.url), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBridge(t, fmt.Sprintf("nats: {context: cluster, stream: {max_bytes: 64MiB}}\nencryption: {keyset: \"${file:%s}\"}\n", keysetFile), adminKeys, sources(desk))
	b.overlay(managed)
	b.env = []string{"XDG_CONFIG_HOME=" + cluster.dir}
	b.run()
	n := &native{b, t, t.TempDir()}
	n.subscribers("create", "audit", "--events", "desk.>", "--save", "audit.nk")
	n.subscribers("create", "ledger", "--events", "desk.>", "--save", "ledger.nk")
	text := n.subscribers("show", "ledger", "--snippet", "nats-server.conf")
	if strings.Contains(text, "geheim") || !strings.Contains(text, "JETHOOK {") {
		t.Fatalf("the configuration names another account, or a password:\n%s", text)
	}
	write(strings.Replace(text, "JETHOOK {", "JETHOOK {"+account+"\n", 1))
	cluster.signal(syscall.SIGHUP)

	n.addresses["nats"] = strings.TrimPrefix(cluster.url, "nats://")
	connection := n.admitted("ledger.nk")
	js, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	cluster.signal(syscall.SIGHUP)
	var consumer jetstream.Consumer
	eventually(t, "the subscriber finds its durable", func() bool {
		consumer, err = js.Consumer(t.Context(), "EVENTS_PROD", "ledger")
		return err == nil
	})
	for i := range 3 {
		id := n.hand("order.paid", fmt.Sprint(i))
		m, err := consumer.Next(jetstream.FetchMaxWait(patience / 2))
		if err != nil || m.Headers().Get("ce-id") != id {
			t.Fatalf("got %v, error %v; want %s", m, err, id)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Errorf("acknowledge: %v", err)
		}
	}
	refused := make(chan error, 1)
	connection.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	if err := connection.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.audit", "_INBOX_ledger.x", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-refused:
	case <-time.After(patience):
		t.Error("another's durable was reached")
	}
	// An answer goes no further than its account.
	n.hand("order.paid", "last")
	if err := connection.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.EVENTS_PROD.ledger", "$JS.API.CONSUMER.DELETE.EVENTS_PROD.audit", []byte(`{"batch":1,"expires":1000000000}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	outside, err := nats.Connect(strings.Replace(cluster.url, "//", "//jethook:geheim@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	own, err := jetstream.New(outside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Consumer(t.Context(), "EVENTS_PROD", "audit"); err != nil {
		t.Errorf("the consumer of another subscriber: %v", err)
	}
}
