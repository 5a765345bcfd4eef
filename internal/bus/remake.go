package bus

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// restoreTimeout bounds one change of a consumer: on a large stream the server
// looks for the place where its filters begin.
const restoreTimeout = time.Minute

// move has a consumer go on at a sequence. Its clients notice nothing, unless
// the server refuses because the sequence lies before the consumer's beginning,
// as the time it began at may be found later now that older events are gone.
func (b *Bus) move(ctx context.Context, stream jetstream.Stream, name string, config *server.ConsumerConfig, to uint64) error {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	_, err := stream.ResetConsumerToSequence(ctx, name, to)
	if !errors.Is(err, jetstream.ErrConsumerInvalidReset) {
		return err
	}
	if err := stream.DeleteConsumer(ctx, name); err != nil {
		return err
	}
	return b.create(ctx, stream, startingAt(config, to))
}

func startingAt(config *server.ConsumerConfig, sequence uint64) *server.ConsumerConfig {
	next := *config
	next.DeliverPolicy, next.OptStartSeq, next.OptStartTime = server.DeliverByStartSequence, sequence, nil
	return &next
}

// replace makes a consumer that the server could not load. What is left of it
// goes first: the server would read it again, and refuse.
func (b *Bus) replace(ctx context.Context, stream jetstream.Stream, dir string, config *server.ConsumerConfig) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return b.create(ctx, stream, config)
}

// create makes a consumer of the server's own definition.
func (b *Bus) create(ctx context.Context, stream jetstream.Stream, config *server.ConsumerConfig) error {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	wanted, err := clientConfig(config)
	if err != nil {
		return err
	}
	if wanted.DeliverSubject != "" {
		_, err = stream.CreatePushConsumer(ctx, wanted)
	} else {
		_, err = stream.CreateConsumer(ctx, wanted)
	}
	return err
}

// unloaded names the consumers that have a directory and that the server does
// not know.
func unloaded(dir string, loaded map[string]bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !loaded[entry.Name()] {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// definition reads a durable's definition from its directory, or returns nil.
func definition(dir string) *server.ConsumerConfig {
	data, err := os.ReadFile(filepath.Join(dir, server.JetStreamMetaFile))
	if err != nil {
		return nil
	}
	var info server.FileConsumerInfo
	if err := json.Unmarshal(data, &info); err != nil || info.Durable != filepath.Base(dir) {
		return nil
	}
	return &info.ConsumerConfig
}
