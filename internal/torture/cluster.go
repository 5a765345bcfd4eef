package main

import (
	"context"
	"fmt"
	"time"
)

// clusterRows break a bus of three servers that two bridges share, or one of
// the bridges.
func clusterRows() []row {
	return []row{
		{name: "cluster: leader killed", strike: killLeader, prepare: prepareCluster, resumes: true},
		{name: "cluster: follower killed", strike: killFollower, prepare: prepareCluster, resumes: true},
		{name: "cluster: server partitioned", strike: partition, prepare: prepareCluster, resumes: true},
		{name: "cluster: replica kill -9", strike: killReplica, prepare: prepareCluster, resumes: true},
		{name: "cluster: replicas rolled", strike: rollReplicas, check: checkRolled, resumes: true,
			prepare: func(ctx context.Context, t *trial) error {
				t.receiver.delay.Store(int64(100 * time.Millisecond)) // there is something to finish
				return prepareCluster(ctx, t)
			}},
	}
}

func prepareCluster(ctx context.Context, t *trial) (err error) {
	if t.servers, err = startServers(ctx, t); err != nil {
		return err
	}
	t.bus = options{"url": t.servers.url(), "stream": options{"replicas": len(t.servers), "max_bytes": "256MiB"}}
	t.addBridge("jethook-2")
	return nil
}

// goesOn waits until the load goes on after a break: that many events are
// acknowledged, and as many delivered.
func (t *trial) goesOn(ctx context.Context) error {
	const events = 50
	before := t.ledger.count()
	return await(ctx, "acknowledge and deliver after the break", func(context.Context) error {
		now := t.ledger.count()
		acknowledged, delivered := now.acknowledged-before.acknowledged, now.delivered-before.delivered
		if acknowledged < events || delivered < events {
			return fmt.Errorf("%d acknowledged, %d delivered", acknowledged, delivered)
		}
		return nil
	})
}

func killLeader(ctx context.Context, t *trial) error {
	leader, _, err := t.servers.leader(ctx)
	if err != nil {
		return err
	}
	return t.killServer(ctx, leader)
}

func killFollower(ctx context.Context, t *trial) error {
	_, followers, err := t.servers.leader(ctx)
	if err != nil {
		return err
	}
	return t.killServer(ctx, followers[t.random.IntN(len(followers))])
}

func (t *trial) killServer(ctx context.Context, s *natsServer) error {
	t.ledger.breaks()
	s.kill()
	if err := t.goesOn(ctx); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	return t.servers.whole(ctx)
}

// partition has a server see nobody and nobody see it, for longer than it takes
// to choose another leader.
func partition(ctx context.Context, t *trial) error {
	const longest = 10 * time.Second
	s := t.servers[t.random.IntN(len(t.servers))]
	t.log.printf("%s is cut off", s.name)
	for _, p := range s.network() {
		p.cut()
	}
	err := t.goesOn(ctx)
	if err == nil {
		err = pause(ctx, t.within(longest))
	}
	t.log.printf("%s is back", s.name)
	for _, p := range s.network() {
		p.mend()
	}
	if err != nil {
		return err
	}
	return t.servers.whole(ctx)
}

func killReplica(ctx context.Context, t *trial) error {
	b := t.bridges[t.random.IntN(len(t.bridges))]
	b.kill()
	if err := t.goesOn(ctx); err != nil {
		return err
	}
	return b.start(ctx)
}

// rollReplicas does what an upgrade does.
func rollReplicas(ctx context.Context, t *trial) error {
	for _, b := range t.bridges {
		if err := b.terminate(ctx); err != nil {
			return err
		}
		if err := t.goesOn(ctx); err != nil {
			return err
		}
		if err := b.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkRolled demands that no sender noticed, and that nothing came twice but
// what was in flight.
func checkRolled(t *trial) error {
	refused, broken := t.load.refused.Load(), t.load.broken.Load()
	inFlight := concurrency * len(t.bridges) * t.rounds
	if duplicates := t.ledger.count().duplicates; refused+broken > 0 || duplicates > inFlight {
		return fmt.Errorf("%d requests were answered 503, %d not at all, and %d events were delivered again; want none, none and at most %d",
			refused, broken, duplicates, inFlight)
	}
	return nil
}
