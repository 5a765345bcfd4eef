package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// checkpoint is the content of the file.
type checkpoint struct {
	// Boot is the kernel's boot in which this was written. In another one, what
	// the server had not flushed may be lost.
	Boot string `json:"boot"`
	// Clean is set when the server has stopped and its consumers' states are on
	// the disk as well.
	Clean   bool                     `json:"clean"`
	Streams map[string]streamCursors `json:"streams"`
}

type streamCursors struct {
	Created   time.Time         `json:"created"`
	Consumers map[string]cursor `json:"consumers"`
}

// cursor is enough to make the consumer anew.
type cursor struct {
	Created time.Time              `json:"created"`
	Floor   uint64                 `json:"floor"`
	Settled [][2]uint64            `json:"settled,omitempty"` // above the floor, from and to
	Last    *uint64                `json:"last,omitempty"`    // event up to the floor that was selected, 0 for none; absent where it is not known
	Config  *server.ConsumerConfig `json:"config"`

	client *jetstream.ConsumerConfig // the same, of a parked one that was asked for
}

// of returns what is to be kept, with mu held. Progress is asked after the server, so that what
// it says belongs to the floor or lies above it.
func (c *cursors) of(streams map[string]server.StreamDetail) map[string]streamCursors {
	all := make(map[string]streamCursors)
	for name := range eventStreams() {
		stream, ok := streams[name]
		if !ok {
			continue
		}
		consumers := maps.Clone(c.parked[name])
		if consumers == nil {
			consumers = make(map[string]cursor)
		}
		for _, info := range stream.Consumer {
			if info.Config.Durable != "" {
				floor := info.AckFloor.Stream
				progress := c.progressOf(name, info.Name)
				settled := progress.above(info.Created, floor)
				consumers[info.Name] = cursor{Created: info.Created, Floor: floor, Config: info.Config,
					Settled: settled, Last: progress.chain.upTo(info.AckFloor.Consumer, floor)}
			}
		}
		all[name] = streamCursors{Created: stream.Created, Consumers: consumers}
	}
	return all
}

// write replaces the file at once, so that a crash leaves the old or the new. It
// flushes whatever the durability, for an empty file would lose every place.
func (c *cursors) write(content checkpoint) error {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("write the checkpoint of cursors: %w", err)
	}
	if bytes.Equal(data, c.written) {
		return nil
	}
	if err := c.replace(data); err != nil {
		return fmt.Errorf("write the checkpoint of cursors: %w", err)
	}
	c.written = data
	return nil
}

func (c *cursors) replace(data []byte) error {
	next := c.path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	if err := syncPath(next); err != nil {
		return err
	}
	if err := os.Rename(next, c.path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(c.path))
}
