package fanout

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func subscriber(patterns ...event.Pattern) Subscriber {
	return Subscriber{Name: "ledger", Env: event.Prod, Events: patterns}
}

func TestFiltersThatAreEditedKeepThePlace(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.apply(t, nil, subscriber("shop.order.*"))
	publish(t, b, "order.a", "order.b", "order.c")
	take(t, durable(t, b, "ledger"), 2)

	r.apply(t, nil, subscriber("shop.order.*", "shop.refund.>"))
	publish(t, b, "refund.full.d")
	got := take(t, durable(t, b, "ledger"), 2)
	want := []string{"events.prod.shop.order.c", "events.prod.shop.refund.full.d"}
	if !slices.Equal(got, want) {
		t.Errorf("after the edit: got %q, want %q", got, want)
	}
}

func TestAConsumerThatDiffersInNothingIsNotTouched(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.b.>", "shop.a.>")
	e.Start, e.Description = Start{Beginning: true}, "ledger postings"
	r.apply(t, []Endpoint{e})
	durable(t, b, "billing") // which the server does not know before
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		edit func(*Endpoint)
		want bool
	}{
		{"nothing", func(*Endpoint) {}, false},
		{"the order of patterns", func(e *Endpoint) { e.Events = []event.Pattern{"shop.a.>", "shop.b.>"} }, false},
		{"where it began", func(e *Endpoint) { e.Start = Start{} }, false},
		{"the timeout", func(e *Endpoint) { e.Timeout = time.Minute }, true},
		{"the description", func(e *Endpoint) { e.Description = "postings" }, true},
		{"the patterns", func(e *Endpoint) { e.Events = []event.Pattern{"shop.c.>"} }, true},
	} {
		next := e
		test.edit(&next)
		have, err := lookConsumer(t.Context(), stream, "billing")
		if err != nil {
			t.Fatal(err)
		}
		c := endpointConsumer(&next, true)
		if got, err := ensureConsumer(t.Context(), stream, &c, have); got != test.want || err != nil {
			t.Errorf("edited %s: changed %v, error %v; want changed %v", test.name, got, err, test.want)
		}
		c = endpointConsumer(&e, true)
		if _, err := ensureConsumer(t.Context(), stream, &c, nil); err != nil {
			t.Errorf("edited %s and back: %v", test.name, err)
		}
	}
}

func TestPatternsThatOthersCoverAreNoFilters(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	for _, test := range []struct {
		patterns []event.Pattern
		want     []string
	}{
		{[]event.Pattern{"shop.order.paid", "shop.order.*", "shop.order.>"}, []string{"events.prod.shop.order.>"}},
		{[]event.Pattern{"shop.>", ">", "bank.in"}, []string{"events.prod.>"}},
		{[]event.Pattern{"shop.a.*", "shop.*.b"}, []string{"events.prod.shop.*.b", "events.prod.shop.a.*"}},
	} {
		r.apply(t, nil, subscriber(test.patterns...))
		config := durable(t, b, "ledger").CachedInfo().Config
		got := config.FilterSubjects
		if diff := cmp.Diff(append(test.want, "again.prod.ledger.>"), got); diff != "" {
			t.Errorf("filters of %q (-want +got):\n%s", test.patterns, diff)
		}
	}
}

func TestWhereANewEndpointBegins(t *testing.T) {
	b := openBus(t, t.TempDir())
	publish(t, b, "order.first")
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, "order.second")
	r := newReplica(t, b, nil)
	paused := func(name string, start Start) Endpoint {
		e := endpoint(t, name, "http://127.0.0.1:1", ">")
		e.Start, e.Enabled = start, false
		return e
	}
	r.apply(t, []Endpoint{
		paused("beginning", Start{Beginning: true}),
		paused("time", Start{At: first.Time.Add(time.Nanosecond)}),
		paused("now", Start{}),
		paused("sequence", Start{Sequence: 2}),
		paused("later", Start{Sequence: 4711}),
	})
	publish(t, b, "order.third")
	for name, want := range map[string][]string{
		"beginning": {"events.prod.shop.order.first", "events.prod.shop.order.second", "events.prod.shop.order.third"},
		"time":      {"events.prod.shop.order.second", "events.prod.shop.order.third"},
		"now":       {"events.prod.shop.order.third"},
		"sequence":  {"events.prod.shop.order.second", "events.prod.shop.order.third"},
		"later":     {"events.prod.shop.order.third"},
	} {
		if got := take(t, durable(t, b, name), len(want)); !slices.Equal(got, want) {
			t.Errorf("start %s: got %q, want %q", name, got, want)
		}
	}
}

func TestAConsumerOfSomebodyElseIsRefused(t *testing.T) {
	b := openBus(t, t.TempDir())
	for _, test := range []struct {
		name     string
		metadata map[string]string
		want     string
	}{
		{"made by hand", nil, "the file does not own"},
		{"of another origin", map[string]string{metaOrigin: "api", metaKind: "endpoint"}, "the file does not own"},
		{"of the other kind", map[string]string{metaOrigin: originFile, metaKind: "subscriber"}, "for a subscriber"},
	} {
		if _, err := b.JetStream().CreateOrUpdateConsumer(t.Context(), bus.StreamName(event.Prod), jetstream.ConsumerConfig{
			Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.prod.x", Metadata: test.metadata,
		}); err != nil {
			t.Fatal(err)
		}
		r := newReplica(t, b, nil)
		err := r.Apply(t.Context(), []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">"), endpoint(t, "other", "http://127.0.0.1:1", ">")}, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "prod/billing") {
			t.Errorf("a consumer %s: got error %v, want one about prod/billing that says %q", test.name, err, test.want)
		}
		if durable(t, b, "other") != nil {
			t.Errorf("a consumer %s: the refused list made consumer other", test.name)
		}
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	b := openBus(t, t.TempDir())
	var group sync.WaitGroup
	for range 4 {
		r := newReplica(t, b, nil)
		var list []Endpoint
		for _, name := range strings.Fields("a b c d e f g h") {
			e := endpoint(t, name, "http://127.0.0.1:1", ">")
			e.Start.At = time.Now().Add(-time.Hour) // differs from replica to replica
			list = append(list, e)
		}
		group.Go(func() {
			if err := r.Apply(t.Context(), list, []Subscriber{subscriber(">")}); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	group.Wait()
	if durable(t, b, "h") == nil || durable(t, b, "ledger") == nil {
		t.Error("consumers are missing")
	}
}
