package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	eventStream = "EVENTS_PROD"
	// clusterTimeout bounds each wait for the servers. A server that comes back
	// has to be told what it missed.
	clusterTimeout = 2 * time.Minute
)

// natsServer is one of a cluster. Others reach it, and it reaches the others,
// through proxies.
type natsServer struct {
	trial   *trial
	name    string
	dir     string
	process *process
	address string   // of the process
	clients *proxy   // through which bridges come
	routes  []*proxy // of the others, one for each that it reaches
	others  []*proxy // through which the others come
}

// servers is a cluster of three.
type servers [3]*natsServer

// startServers returns when the cluster can hold a stream of three replicas.
func startServers(ctx context.Context, t *trial) (servers, error) {
	var all servers
	var err error
	for i := range all {
		name := fmt.Sprintf("nats-%d", i+1)
		all[i] = &natsServer{trial: t, name: name, dir: filepath.Join(t.dir, name)}
		if all[i].clients, err = t.newProxy(); err != nil {
			return all, err
		}
	}
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			p, err := t.newProxy()
			if err != nil {
				return all, err
			}
			from.routes, to.others = append(from.routes, p), append(to.others, p)
		}
	}
	for _, s := range all {
		if err := s.configure(); err != nil {
			return all, err
		}
		t.cleanup = append(t.cleanup, s.kill)
		if err := s.start(ctx); err != nil {
			return all, err
		}
	}
	return all, all.await(ctx, "form a cluster", func(ctx context.Context, js jetstream.JetStream) error {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "FORMED", Replicas: len(all)}); err != nil {
			return err
		}
		return js.DeleteStream(ctx, "FORMED")
	})
}

// configure has the server flush as deploy/nats/nats.conf does. It tells the
// others no address of its own, so that they go by the proxies.
func (s *natsServer) configure() error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	var routes []string
	for _, p := range s.routes {
		routes = append(routes, "nats://"+p.address())
	}
	text := fmt.Sprintf(`
server_name: %s
listen: "127.0.0.1:-1"
ports_file_dir: %q
jetstream { store_dir: %q, sync_interval: always, max_file_store: 8GiB, limits { default_max_consumers: -1 } }
cluster { name: jethook, listen: "127.0.0.1:-1", advertise: "127.0.0.1:1", no_advertise: true, routes: ["%s"] }
`, s.name, s.dir, filepath.Join(s.dir, "store"), strings.Join(routes, `", "`))
	return os.WriteFile(filepath.Join(s.dir, "nats.conf"), []byte(text), 0o600)
}

// start runs the server, also again, and leads the proxies to it.
func (s *natsServer) start(ctx context.Context) (err error) {
	if s.process, err = s.trial.start(s.name, s.trial.nats, "-c", filepath.Join(s.dir, "nats.conf")); err != nil {
		return err
	}
	file := filepath.Join(s.dir, fmt.Sprintf("nats-server_%d.ports", s.process.command.Process.Pid))
	var ports struct{ Nats, Cluster []string }
	err = await(ctx, "start "+s.name, func(context.Context) error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &ports); err != nil {
			return err
		}
		if len(ports.Nats) == 0 || len(ports.Cluster) == 0 {
			return errors.New("it does not listen")
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.address = strings.TrimPrefix(ports.Nats[0], "nats://")
	s.clients.lead(s.address)
	for _, p := range s.others {
		p.lead(strings.TrimPrefix(ports.Cluster[0], "nats://"))
	}
	return nil
}

func (s *natsServer) kill() {
	if s.process != nil {
		s.process.kill()
	}
}

// network is all that leads to the server and away from it.
func (s *natsServer) network() []*proxy {
	return append(append([]*proxy{s.clients}, s.routes...), s.others...)
}

// url is of the cluster as bridges know it.
func (all servers) url() string {
	var urls []string
	for _, s := range all {
		urls = append(urls, "nats://"+s.clients.address())
	}
	return strings.Join(urls, ",")
}

// leader returns the server that leads the stream of events, and the others.
func (all servers) leader(ctx context.Context) (leader *natsServer, followers []*natsServer, err error) {
	err = all.await(ctx, "find the leader of "+eventStream, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, eventStream)
		if err != nil {
			return err
		}
		leader, followers = nil, nil
		for _, s := range all {
			if s.name == stream.CachedInfo().Cluster.Leader {
				leader = s
			} else {
				followers = append(followers, s)
			}
		}
		if leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leader, followers, err
}

// whole returns when every stream has its replicas and each is up to date.
func (all servers) whole(ctx context.Context) error {
	return all.await(ctx, "bring the servers up to date", func(ctx context.Context, js jetstream.JetStream) error {
		streams := js.ListStreams(ctx)
		for info := range streams.Info() {
			current := 0
			for _, replica := range info.Cluster.Replicas {
				if replica.Current && !replica.Offline {
					current++
				}
			}
			if info.Cluster.Leader == "" || current < len(all)-1 {
				return fmt.Errorf("stream %s is not whole", info.Config.Name)
			}
		}
		return streams.Err()
	})
}

// await asks any server again until it agrees.
func (all servers) await(ctx context.Context, what string, holds func(context.Context, jetstream.JetStream) error) error {
	return await(ctx, what, func(ctx context.Context) error {
		var urls []string
		for _, s := range all {
			urls = append(urls, "nats://"+s.address)
		}
		connection, err := nats.Connect(strings.Join(urls, ","))
		if err != nil {
			return err
		}
		defer connection.Close()
		js, err := jetstream.New(connection)
		if err != nil {
			return err
		}
		return holds(ctx, js)
	})
}

// await asks again until there is no error, each time with a while of its own.
func await(ctx context.Context, what string, holds func(context.Context) error) error {
	const while = 5 * time.Second
	for begun := time.Now(); ; {
		asking, cancel := context.WithTimeout(ctx, while)
		err := holds(asking)
		cancel()
		if err == nil {
			return nil
		}
		if time.Since(begun) > clusterTimeout {
			return fmt.Errorf("%s: not within %s: %w", what, clusterTimeout, err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
