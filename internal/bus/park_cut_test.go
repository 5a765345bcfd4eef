package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// cutOff returns a context that ends when the server is asked for something.
func cutOff(t *testing.T, b *Bus, question string) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	asked, err := b.publishing.Subscribe(question, func(*nats.Msg) { cancel() })
	if err == nil {
		err = b.publishing.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asked.Unsubscribe() })
	return ctx
}

func TestADurableWhoseParkingIsCutOffKeepsItsPlace(t *testing.T) {
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	config := billingConfig()
	config.MemoryStorage = true
	makeConsumer(t, b, "EVENTS_PROD", config)
	for n := range 3 {
		publish(t, b, numbered(n))
	}
	settle(t, b, 1, 3)
	eventually(t, "a parking is cut off after it was asked for", func() bool {
		ctx := cutOff(t, b, "$JS.API.CONSUMER.DELETE.EVENTS_PROD."+billing)
		_, err := b.Park(ctx, "EVENTS_PROD", billing)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err == nil {
			unpark(t, b)
		}
		return err != nil
	})
	eventually(t, "the server has done what it was asked for", func() bool { return !known(t, b) })
	publish(t, b, numbered(3))
	l.close()
	b = l.open()
	expect(t, "something waits", waiting(t, b), true)
	unpark(t, b)
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 1, 4), []uint64{4})
}

func TestADurableWhoseUnparkingIsCutOffKnowsWhatWasSettled(t *testing.T) {
	l, b, _ := remembered(t)
	settle(t, b, 2, 9, 10)
	l.close()
	b = l.open()
	eventually(t, "an unparking is cut off after it was asked for", func() bool {
		ctx := cutOff(t, b, "$JS.API.CONSUMER.CREATE.EVENTS_PROD."+billing)
		err := b.Unpark(ctx, "EVENTS_PROD", billing)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err == nil {
			l.close()
			b = l.open()
		}
		return err != nil
	})
	eventually(t, "the server has done what it was asked for", func() bool { return known(t, b) })
	l.close()
	b = l.open()
	unpark(t, b)
	expect(t, "settled", b.Progress("EVENTS_PROD", billing).Settled(9), true)
}
