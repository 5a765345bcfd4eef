package deploy_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// startTimeout bounds the waits of these tests: the first election among the
// servers takes seconds.
const startTimeout = time.Minute

func TestJethookStoresEventsOnTheClusterOfNATSConf(t *testing.T) {
	secrets := makeSecrets(t)
	c := loadConfig(t, secrets)
	servers := startCluster(t, secrets)
	b := openBus(t, c, secrets, servers)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()

	t.Run("each stream is kept by all three servers", func(t *testing.T) {
		names := []string{bus.StreamName(event.Prod), bus.StreamName(event.Test), bus.Retry, bus.Dead, bus.Attempts}
		for _, name := range names {
			stream, err := b.JetStream().Stream(ctx, name)
			if err != nil {
				t.Fatalf("stream %s: %v", name, err)
			}
			if got := len(stream.CachedInfo().Cluster.Replicas); got != 2 {
				t.Errorf("stream %s has %d servers beside its leader, want 2", name, got)
			}
		}
	})
	t.Run("an event of the largest size is stored", func(t *testing.T) {
		receipt, err := b.Publish(ctx, sample("large", make([]byte, 8<<20)))
		if err != nil || receipt.Sequence == 0 {
			t.Errorf("Publish of 8 MiB = %+v, %v, want a sequence", receipt, err)
		}
	})
	t.Run("nobody gets in without the password", func(t *testing.T) {
		conn, err := nats.Connect(servers[0].ClientURL())
		if err == nil {
			conn.Close()
			t.Error("connected without credentials")
		}
	})
	t.Run("events are stored while one server is down", func(t *testing.T) {
		stop(servers[2])
		again := time.NewTicker(100 * time.Millisecond) // as a provider would, while leaders are elected
		defer again.Stop()
		for {
			_, err := b.Publish(ctx, sample("survivor", []byte("{}")))
			if err == nil {
				return
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				t.Fatalf("Publish with two of three servers: %v", err)
			}
		}
	})
}

func TestEveryServerFlushesBeforeItAcknowledges(t *testing.T) {
	options := serverOptions(t, makeSecrets(t), 0, nil)
	if !options.SyncAlways {
		t.Error("jetstream.sync_interval is not always: a 2xx would not survive power loss of all servers")
	}
}

func TestTheServersHoldWhatTheStreamsReserve(t *testing.T) {
	secrets := makeSecrets(t)
	const attempts = 1 << 30
	want := 2*int64(loadConfig(t, secrets).NATS.Stream.MaxBytes) + attempts
	if got := serverOptions(t, secrets, 0, nil).JetStreamMaxStore; got <= want {
		t.Errorf("jetstream.max_file_store is %d, want more than %d: two of nats.stream.max_bytes and the attempts", got, want)
	}
}

func TestEndpointsAreNotLimitedByTheServersDefault(t *testing.T) {
	if got := serverOptions(t, makeSecrets(t), 0, nil).JetStreamLimits.DefaultMaxConsumers; got != -1 {
		t.Errorf("jetstream.limits.default_max_consumers is %d, want -1", got)
	}
}

func sample(id string, data []byte) *event.Event {
	return &event.Event{
		ID: event.NewID(event.Prod, "clink", id), Env: event.Prod, Source: "clink", Type: "order.succeeded",
		Time: time.Now(), ContentType: "application/json", Data: data,
	}
}

// startCluster runs the three servers of compose.yaml from nats.conf, on free
// ports, and returns when they have formed a cluster.
func startCluster(t *testing.T, secrets string) []*server.Server {
	t.Helper()
	var servers []*server.Server
	for i := range 3 {
		s, err := server.NewServer(serverOptions(t, secrets, i, servers))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(s) })
		go s.Start()
		if !s.ReadyForConnections(startTimeout) {
			t.Fatalf("server %d was not ready in %s", i+1, startTimeout)
		}
		servers = append(servers, s)
	}
	waitFormed(t, servers)
	return servers
}

// waitFormed returns when every server passes the health check of compose.yaml
// and the leader has heard from all three.
func waitFormed(t *testing.T, servers []*server.Server) {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var peers []string
		var unhealthy []string
		for _, s := range servers {
			peers = append(peers, s.JetStreamClusterPeers()...) // of the leader; others have none
			if status := s.Healthz(&server.HealthzOptions{JSMetaOnly: true}); status.Error != "" {
				unhealthy = append(unhealthy, s.Name()+": "+status.Error)
			}
		}
		if len(peers) == len(servers) && len(unhealthy) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no cluster after %s: its leader knows %q; unhealthy are %q", startTimeout, peers, unhealthy)
		}
	}
}

// serverOptions reads nats.conf for one more server beside those that run. It
// names three routes as in production, where a server's port is not known yet
// one that nobody answers on: running servers tell each other of later ones.
func serverOptions(t *testing.T, secrets string, number int, running []*server.Server) *server.Options {
	t.Helper()
	text := readFile(t, filepath.Join(secrets, "nats.conf"))
	for i := range 3 {
		address := fmt.Sprintf("127.0.0.1:%d", i+1)
		if i < len(running) {
			address = running[i].ClusterAddr().String()
		}
		text = strings.ReplaceAll(text, fmt.Sprintf("nats-%d:6222", i+1), address)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secrets.conf"), text)
	writeFile(t, filepath.Join(dir, "nats.conf"), readFile(t, "nats/nats.conf"))
	t.Setenv("NATS_NAME", fmt.Sprintf("nats-%d", number+1))
	options, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(options.Routes); got != 3 {
		t.Fatalf("nats.conf has %d routes, want 3", got)
	}
	options.Host, options.Port = "127.0.0.1", server.RANDOM_PORT
	options.Cluster.Host, options.Cluster.Port = "127.0.0.1", server.RANDOM_PORT
	options.HTTPPort = 0
	options.StoreDir = filepath.Join(dir, "data")
	options.NoSigs, options.NoLog = true, true
	return options
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// openBus opens the bus as a replica does: by the context among the secrets,
// found as compose.yaml lets it be found.
func openBus(t *testing.T, c *config.Config, secrets string, servers []*server.Server) *bus.Bus {
	t.Helper()
	text := readFile(t, filepath.Join(secrets, "nats_context.json"))
	for i, s := range servers {
		port := s.Addr().(*net.TCPAddr).Port
		text = strings.ReplaceAll(text, fmt.Sprintf("nats-%d:4222", i+1), fmt.Sprintf("127.0.0.1:%d", port))
	}
	home := t.TempDir()
	writeFile(t, filepath.Join(home, "nats", "context", c.NATS.Context+".json"), text)
	t.Setenv("XDG_CONFIG_HOME", home)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{
		External: bus.External{Context: c.NATS.Context},
		Stream: bus.Stream{
			Replicas: c.NATS.Stream.Replicas, MaxAge: c.NATS.Stream.MaxAge,
			MaxBytes: int64(c.NATS.Stream.MaxBytes), DedupeWindow: c.NATS.Stream.DedupeWindow,
		},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
