package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName = "EVENTS_PROD"
	// maxStreamBytes is enough for minutes of measuring, and no disk is filled.
	maxStreamBytes = 4 << 30
	dedupeWindow   = 10 * time.Minute
	startTimeout   = time.Minute
)

// store is an embedded server with one stream, set up as jethook sets up its
// own.
type store struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

func openStore(ctx context.Context, dir string, syncAlways bool) (s *store, err error) {
	s = &store{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.server, err = server.NewServer(&server.Options{
		ServerName: "bench", DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: dir, JetStreamMaxStore: 1 << 40,
		SyncAlways: syncAlways,
	}); err != nil {
		return s, fmt.Errorf("start the NATS server: %w", err)
	}
	go s.server.Start()
	if !s.server.ReadyForConnections(startTimeout) {
		return s, errors.New("start the NATS server: not ready in time")
	}
	if s.conn, err = nats.Connect("", nats.InProcessServer(s.server)); err != nil {
		return s, fmt.Errorf("connect to the NATS server: %w", err)
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return s, err
	}
	if _, err = s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{"events.prod.>"},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: maxStreamBytes, Duplicates: dedupeWindow, AllowDirect: true,
	}); err != nil {
		return s, fmt.Errorf("make stream %s: %w", streamName, err)
	}
	return s, nil
}

func (s *store) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
}
