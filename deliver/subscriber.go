package deliver

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// AgainSubjects selects the events that one subscriber alone gets once more. They
// are copies in the stream of its environment, for its consumer reads nothing else.
func AgainSubjects(env event.Env, subscriber string) string {
	return againRoot(env, subscriber) + ".>"
}

func againRoot(env event.Env, subscriber string) string {
	return bus.Again + "." + string(env) + "." + subscriber
}

// handAgain stores a copy of an event for one subscriber; the same id does so once.
func handAgain(ctx context.Context, b *bus.Bus, e *event.Event, subscriber, id string) error {
	subject, header := e.Encode()
	header[headerMsgID] = []string{id}
	m := &nats.Msg{
		Subject: againRoot(e.Env, subscriber) + strings.TrimPrefix(subject, event.SubjectRoot+"."+string(e.Env)),
		Header:  header, Data: e.Data,
	}
	if _, err := b.Put(ctx, bus.StreamName(e.Env), m); err != nil {
		return fmt.Errorf("store the event for subscriber %s: %w", subscriber, err)
	}
	return nil
}

// Bury stores an event as dead for a subscriber. The same id does so once.
func Bury(ctx context.Context, b *bus.Bus, d Dead, id string) error {
	d.Subscriber = true
	_, err := d.store(ctx, b, id)
	return err
}
