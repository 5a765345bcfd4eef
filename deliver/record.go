package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of a group of records.
const (
	maxGroup      = 256
	maxGroupBytes = 256 << 10
)

// recorder stores the records of attempts in groups: while one group is being
// stored the next collects, so that a busy endpoint costs one message for many
// attempts and an idle one no wait.
type recorder struct {
	js      jetstream.JetStream
	subject string
	logger  *slog.Logger
	entries chan entry
	stopped chan struct{}
}

// entry is one record and what follows once it is stored or has failed to be.
// done must not block.
type entry struct {
	line []byte
	done func(error)
}

func newRecorder(js jetstream.JetStream, subject string, logger *slog.Logger) *recorder {
	return &recorder{js: js, subject: subject, logger: logger,
		entries: make(chan entry, maxGroup), stopped: make(chan struct{})}
}

// add hands over a record. It blocks while the bus is behind.
func (r *recorder) add(a *Attempt, done func(error)) {
	line, err := json.Marshal(a)
	if err != nil {
		done(fmt.Errorf("write record: %w", err))
		return
	}
	r.entries <- entry{line: append(line, '\n'), done: done}
}

// run stores what is added until close is called. ctx carries values only.
func (r *recorder) run(ctx context.Context) {
	defer close(r.stopped)
	group := make([]entry, 0, maxGroup)
	for first := range r.entries {
		group = r.collect(append(group[:0], first))
		err := r.store(ctx, group)
		if err != nil {
			r.logger.Error("attempts could not be recorded; their events are tried again", "attempts", len(group), "error", err)
		}
		for i := range group {
			group[i].done(err)
			group[i] = entry{}
		}
	}
}

// close waits until everything that was added is stored.
func (r *recorder) close() {
	close(r.entries)
	<-r.stopped
}

// collect adds what is waiting.
func (r *recorder) collect(group []entry) []entry {
	size := len(group[0].line)
	for len(group) < maxGroup && size < maxGroupBytes {
		select {
		case next, ok := <-r.entries:
			if !ok {
				return group
			}
			group, size = append(group, next), size+len(next.line)
		default:
			return group
		}
	}
	return group
}

func (r *recorder) store(ctx context.Context, group []entry) error {
	data := group[0].line
	if len(group) > 1 {
		size := 0
		for _, e := range group {
			size += len(e.line)
		}
		data = make([]byte, 0, size)
		for _, e := range group {
			data = append(data, e.line...)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := r.js.PublishMsg(ctx, &nats.Msg{Subject: r.subject, Data: data})
	return err
}
