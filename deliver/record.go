package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of a group of records.
const (
	maxGroup      = 256
	maxGroupBytes = 256 << 10
	usualRecord   = 384 // bytes: the room of most
)

// groupPause is for how long after one group the records of the next collect,
// where nobody waits for them.
const groupPause = 5 * time.Millisecond

// recorder stores the records of attempts in groups, so that a busy endpoint
// costs one message for many attempts and an idle one no wait.
type recorder struct {
	js      jetstream.JetStream
	subject string
	logger  *slog.Logger
	entries chan entry
	hurry   chan struct{} // ends the pause between two groups
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
		entries: make(chan entry, maxGroup), hurry: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// add hands over a record that nobody waits for. It blocks while the bus is
// behind.
func (r *recorder) add(a *Attempt, done func(error)) {
	line, err := a.appendJSON(make([]byte, 0, usualRecord))
	if err != nil {
		done(fmt.Errorf("write record: %w", err))
		return
	}
	r.entries <- entry{line: append(line, '\n'), done: done}
	if len(r.entries) >= maxGroup/2 {
		r.hasten()
	}
}

// store returns when a record is stored, or has failed to be.
func (r *recorder) store(a *Attempt) error {
	stored := make(chan error, 1)
	r.add(a, func(err error) { stored <- err })
	r.hasten()
	return <-stored
}

func (r *recorder) hasten() {
	select {
	case r.hurry <- struct{}{}:
	default:
	}
}

// run stores what is added until close is called. ctx carries values only.
func (r *recorder) run(ctx context.Context) {
	defer close(r.stopped)
	group := make([]entry, 0, maxGroup)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for first := range r.entries {
		select {
		case <-pause.C:
		case <-r.hurry:
		}
		group = r.collect(append(group[:0], first))
		err := r.publish(ctx, group)
		pause.Reset(groupPause)
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
	r.hasten()
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

func (r *recorder) publish(ctx context.Context, group []entry) error {
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
