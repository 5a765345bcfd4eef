package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestAnEndpointThatIsNotEnabledGetsItsEventsWhenItIsAgain(t *testing.T) {
	t.Parallel()
	r, other := newReceiver(t, nil), newReceiver(t, nil)
	store := embeddedIn(t.TempDir())
	configured := func(more ...string) []string {
		return []string{store, sources(desk), endpoints(
			to("billing", r.server.URL, append(more, signed)...), to("other", other.server.URL, signed))}
	}
	b := start(t, configured()...)
	b.hand("order.paid", "before")
	r.next()
	other.next()

	b.reconfigure(configured("enabled: false")...)
	ids := []string{b.hand("order.paid", "1"), b.hand("order.paid", "2")}
	other.of(2)
	r.empty()

	b.reconfigure(configured("enabled: true")...)
	got := r.of(2)
	for _, id := range ids {
		if len(got[id]) != 1 || got[id][0].attempt() != "1" {
			t.Errorf("%s was delivered %d times, want once", id, len(got[id]))
		}
	}
}

func TestANewEndpointBeginsWhereStartSays(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	b := start(t, n.on(), sources(desk))
	first := b.hand("order.paid", "1")
	between := time.Now()
	second := b.hand("order.paid", "2")

	all, since, now, unsaid := newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil)
	b.reconfigure(n.on(), sources(desk), endpoints(
		to("all", all.server.URL, signed, "start: beginning"),
		to("since", since.server.URL, signed, "start: "+between.UTC().Format(time.RFC3339Nano)),
		to("now", now.server.URL, signed, "start: now"),
		to("unsaid", unsaid.server.URL, signed)))
	third := b.hand("order.paid", "3")
	for _, c := range []struct {
		name string
		r    *receiver
		want []string
	}{
		{"all", all, []string{first, second, third}},
		{"since", since, []string{second, third}},
		{"now", now, []string{third}},
		{"unsaid", unsaid, []string{third}},
	} {
		got := c.r.of(len(c.want))
		for _, id := range c.want {
			if len(got[id]) != 1 {
				t.Errorf("%s got %s %d times, want once", c.name, id, len(got[id]))
			}
		}
		n.idle(c.name)
		c.r.empty()
	}
}

func TestOtherEventsInTheFileKeepTheEndpointsPlace(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	configured := func(events, enabled string) []string {
		return []string{n.on(), sources(desk), endpoints(`{name: billing, url: "` + r.server.URL + `", events: ` + events + `, enabled: ` + enabled + `, ` + signed + `}`)}
	}
	b := start(t, configured("[desk.order.*]", "true")...)
	delivered := b.hand("order.paid", "1")
	if got := r.next().id(); got != delivered {
		t.Fatalf("%s was delivered, want %s", got, delivered)
	}
	n.idle("billing")
	b.reconfigure(configured("[desk.order.*]", "false")...)
	waiting := b.hand("order.paid", "2")
	b.reconfigure(configured("[desk.order.*, desk.refund.made]", "false")...)
	added := b.hand("refund.made", "3")
	b.hand("refund.asked", "4")
	b.reconfigure(configured("[desk.order.*, desk.refund.made]", "true")...)
	got := r.of(2)
	if len(got[waiting]) != 1 || len(got[added]) != 1 {
		t.Errorf("delivered were %v, want what waited, %s, and what was added, %s", got, waiting, added)
	}
	n.idle("billing")
	r.empty()
}

func TestAnEndpointThatIsRemovedFromTheFileGetsNothingMore(t *testing.T) {
	t.Parallel()
	n, r, other := newNATS(t), newReceiver(t, refusing), newReceiver(t, nil)
	living := to("other", other.server.URL, signed)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, "retry: {initial: 1h}"), living))
	b.hand("order.paid", "1")
	n.nextAttempt("billing", 1)

	b.reconfigure(n.on(), sources(desk), endpoints(living))
	b.hand("order.paid", "2")
	other.of(2)
	r.of(1)
	r.empty()
	if _, err := n.stream("EVENTS_PROD").Consumer(t.Context(), "billing"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("its consumer: %v, want that it is gone", err)
	}
	if info, err := n.stream("RETRY").Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("%v attempts wait (%v), want none", info.State.Msgs, err)
	}
}
