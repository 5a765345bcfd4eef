package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// servers is a cluster of three NATS servers.
type servers [3]*natsProcess

// startServers returns when the cluster can hold a stream of three replicas.
func startServers(t *testing.T) servers {
	t.Helper()
	var all servers
	for i := range all {
		all[i] = &natsProcess{t: t, dir: t.TempDir()}
		// Three routes, as in production. Those of later servers are not known
		// yet, and lead nowhere: servers tell each other of later ones.
		routes := make([]string, len(all))
		for j := range routes {
			routes[j] = fmt.Sprintf("nats://127.0.0.1:%d", j+1)
			if j < i {
				routes[j] = all[j].route
			}
		}
		all[i].flags = []string{"--name", fmt.Sprintf("nats-%d", i+1), "--cluster_name", "jethook",
			"--cluster", "nats://127.0.0.1:-1", "--routes", strings.Join(routes, ",")}
		all[i].run("-1")
		t.Cleanup(all[i].kill)
	}
	connection, err := nats.Connect(all[0].url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	js, err := jetstream.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the servers have formed a cluster", func() bool {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FORMED", Replicas: len(all)})
		return err == nil
	})
	if err := js.DeleteStream(t.Context(), "FORMED"); err != nil {
		t.Fatal(err)
	}
	return all
}

// on is the bus of a bridge that uses this cluster.
func (s servers) on() string {
	var urls []string
	for _, n := range s {
		urls = append(urls, n.url)
	}
	return fmt.Sprintf("nats: {url: %q, stream: {replicas: 3, max_bytes: 64MiB}}\n", strings.Join(urls, ","))
}

func TestOneOfThreeServersIsKilledAndNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	s, r := startServers(t), newReceiver(t, nil)
	c := startReplicas(t, s.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon, "timeout: 1s")))
	l := c.startLoad()
	l.more(t, 50)

	// The one that leads the stream is the worst to lose.
	leader := s[0].stream("EVENTS_PROD").CachedInfo().Cluster.Leader
	var survivor *natsProcess
	for _, n := range s {
		if n.flags[1] == leader {
			n.kill()
		} else {
			survivor = n
		}
	}
	l.more(t, 50)
	ids := l.end(t)
	delivered(t, r, ids)
	survivor.idle("billing")
	stored := storedTimes(t, survivor.stream("EVENTS_PROD"))
	for _, id := range ids {
		if stored[id] != 1 {
			t.Errorf("the stream has %s %d times, want once", id, stored[id])
		}
	}
}

// storedTimes reads how often a stream has each event. It consumes the stream,
// since a server that is catching up does not answer for single messages.
func storedTimes(t *testing.T, stream jetstream.Stream) map[string]int {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(int(info.State.Msgs))
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]int{}
	for message := range batch.Messages() {
		stored[message.Headers().Get("ce-id")]++
	}
	if err := batch.Error(); err != nil {
		t.Fatal(err)
	}
	return stored
}
