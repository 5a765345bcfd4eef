package e2e

import (
	"context"
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

// storedTimes returns how often a stream has each event, once it can be read
// whole: a server that is catching up may not answer.
func storedTimes(t *testing.T, stream jetstream.Stream) (stored map[string]int) {
	t.Helper()
	eventually(t, "the stream can be read whole", func() bool {
		var err error
		if stored, err = readIDs(t.Context(), stream); err != nil {
			t.Logf("the stream cannot be read yet: %v", err)
		}
		return err == nil
	})
	return stored
}

// readIDs consumes the stream, since single messages are asked of a server that
// may not have them yet.
func readIDs(ctx context.Context, stream jetstream.Stream) (map[string]int, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	batch, err := consumer.Fetch(int(info.State.Msgs))
	if err != nil {
		return nil, err
	}
	stored, read := map[string]int{}, uint64(0)
	for message := range batch.Messages() {
		stored[message.Headers().Get("ce-id")]++
		read++
	}
	if err := batch.Error(); err != nil {
		return nil, err
	}
	if read < info.State.Msgs {
		return nil, fmt.Errorf("%d of %d messages read", read, info.State.Msgs)
	}
	return stored, nil
}
