package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsbinding "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	httpbinding "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestAMessageHasExactlyTheseHeadersAndTheProvidersBytes(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, bus.on(), sources(shop("shop", "keep_headers: [X-Region]")))
	body := []byte(`{"id":"order-1042", "type":"order.paid" }`)
	header := signShop(shopSecret, time.Now(), body)
	header["X-Region"] = []string{"ap-southeast-1"}
	// What a stranger sends is no command to the server, and no trace of ours.
	header["Nats-Rollup"], header["Nats-Msg-Id"], header["Ce-Id"] = []string{"all"}, []string{"evt_forged"}, []string{"evt_forged"}
	header["Traceparent"] = []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	before := time.Now()
	id := b.post("shop", header, body).accepted(t).ID
	after := time.Now()

	stored := messages(t, bus.stream("EVENTS_PROD"))
	if len(stored) != 1 {
		t.Fatalf("%d messages are stored, want 1", len(stored))
	}
	m := stored[0]
	want := nats.Header{
		"Nats-Msg-Id":             {id},
		"ce-specversion":          {"1.0"},
		"ce-id":                   {id},
		"ce-source":               {"/prod/shop"},
		"ce-type":                 {"order.paid"},
		"ce-time":                 m.Header["ce-time"],
		"content-type":            {"application/json"},
		"traceparent":             m.Header["traceparent"],
		"jethook-header-x-region": {"ap-southeast-1"},
	}
	if diff := cmp.Diff(want, m.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if m.Subject != "events.prod.shop.order.paid" || !bytes.Equal(m.Data, body) {
		t.Errorf("stored %q under %s, want %q under events.prod.shop.order.paid", m.Data, m.Subject, body)
	}
	received, err := time.Parse(time.RFC3339Nano, first(m.Header["ce-time"]))
	if err != nil || received.Before(before.Add(-time.Millisecond)) || received.After(after) {
		t.Errorf("ce-time %q is not the time of receipt, %s to %s", m.Header["ce-time"], before, after)
	}
	parent := first(m.Header["traceparent"])
	if len(parent) != 55 || strings.Contains(parent, "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("traceparent %q, want a trace of its own", parent)
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func TestAHostileNameCanNeitherSelectNorForgeAnotherSubject(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, bus.on(), sources(shop("shop")))
	names := []struct{ name, subject, kind string }{
		{`a.*.>`, "a.%2A.%3E", "a.*.>"},
		{`>`, "%3E", ">"},
		{`*`, "%2A", "*"},
		{`a..b`, "a.%.b", "a..b"},
		{`.`, "%.%", "."},
		{`a.%.b`, "a.%25.b", "a.%25.b"},
		{`..events.prod.bank.paid`, "%.%.events.prod.bank.paid", "..events.prod.bank.paid"},
		{`$JS.API.STREAM.DELETE.EVENTS_PROD`, "$JS.API.STREAM.DELETE.EVENTS_PROD", "$JS.API.STREAM.DELETE.EVENTS_PROD"},
		{"a b\\u0000\\u007f", "a%20b%00%7F", "a%20b%00%7F"},
		{"x\\r\\nNats-Rollup: all", "x%0D%0ANats-Rollup:%20all", "x%0D%0ANats-Rollup:%20all"},
		{"zażółć", "za%C5%BC%C3%B3%C5%82%C4%87", "za%C5%BC%C3%B3%C5%82%C4%87"},
	}
	for i, n := range names {
		b.sell("shop", fmt.Appendf(nil, `{"id":"%d","type":"%s"}`, i, n.name)).accepted(t)
	}
	stored := messages(t, bus.stream("EVENTS_PROD"))
	if len(stored) != len(names) {
		t.Fatalf("%d messages are stored, want %d", len(stored), len(names))
	}
	for i, n := range names {
		if want := "events.prod.shop." + n.subject; stored[i].Subject != want {
			t.Errorf("%q is stored under %q, want %q", n.name, stored[i].Subject, want)
		}
		if got := first(stored[i].Header["ce-type"]); got != n.kind {
			t.Errorf("%q has ce-type %q, want %q", n.name, got, n.kind)
		}
		if first(stored[i].Header["Nats-Rollup"]) != "" {
			t.Errorf("%q has become a command to the server: %v", n.name, stored[i].Header)
		}
	}
}

func TestStreamsAreOneForEachEnvironmentAndRefuseRatherThanDrop(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, fmt.Sprintf("nats: {url: %q, stream: {max_bytes: 32MiB, max_age: 7d, dedupe_window: 2m}}\n", bus.url),
		sources(shop("shop"), shop("shop-test", "env: test")))
	b.sell("shop", order("a")).accepted(t)
	b.sell("shop-test", order("a")).accepted(t)
	for env, subject := range map[string]string{"prod": "events.prod.shop.order.paid", "test": "events.test.shop-test.order.paid"} {
		stream := bus.stream("EVENTS_" + strings.ToUpper(env))
		got := stream.CachedInfo().Config
		want := jetstream.StreamConfig{
			Name: "EVENTS_" + strings.ToUpper(env), Subjects: []string{"events." + env + ".>", "again." + env + ".>"}, // and what subscribers are handed again
			Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxBytes: 32 << 20, MaxAge: 7 * 24 * time.Hour, Duplicates: 2 * time.Minute,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1, Replicas: 1,
		}
		beside := cmpopts.IgnoreFields(jetstream.StreamConfig{}, "Description", "Metadata", "AllowDirect", "ConsumerLimits")
		if diff := cmp.Diff(want, got, beside); diff != "" {
			t.Errorf("stream of %s (-want +got):\n%s", env, diff)
		}
		if stored := messages(t, stream); len(stored) != 1 || stored[0].Subject != subject {
			t.Errorf("stream of %s holds %d messages, want one under %s", env, len(stored), subject)
		}
	}
}

func TestTheCloudEventsSDKReadsMessagesAndDeliveries(t *testing.T) {
	t.Parallel()
	bus, r := newNATS(t), newReceiver(t, nil)
	b := start(t, bus.on(), sources(shop("shop")), endpoints(endpoint("all", r)))
	body := order("order-1042")
	id := b.sell("shop", body).accepted(t).ID

	m := messages(t, bus.stream("EVENTS_PROD"))[0]
	stored, err := binding.ToEvent(t.Context(), natsbinding.NewMessage(m))
	if err != nil {
		t.Fatal(err)
	}
	d := r.next()
	request, err := http.NewRequest(http.MethodPost, d.path, bytes.NewReader(d.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = d.header
	delivered, err := httpbinding.NewEventFromHTTPRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	for where, e := range map[string]*cloudevents.Event{"message": stored, "delivery": delivered} {
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		got := []string{e.SpecVersion(), e.ID(), e.Source(), e.Type(), e.DataContentType(), string(e.Data())}
		if diff := cmp.Diff([]string{"1.0", id, "/prod/shop", "order.paid", "application/json", string(body)}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
		if got := e.Time().Format(time.RFC3339Nano); got != first(m.Header["ce-time"]) {
			t.Errorf("%s: time %s, want %s", where, got, m.Header["ce-time"])
		}
	}
}

func TestAnEventsIDIsAFunctionOfEnvironmentSourceAndDeliveryAlone(t *testing.T) {
	t.Parallel()
	entries := sources(shop("shop"), shop("store"), shop("shop-test", "env: test"))
	one, other := start(t, embeddedIn(t.TempDir()), entries), start(t, newNATS(t).on(), entries)
	// It is the same in every version: a redelivery may come after an update.
	const want = "evt_issvoskxtnvstncdubwrid7e4q"
	for _, b := range []*bridge{one, other} {
		if got := b.sell("shop", order("order-1042")).accepted(t).ID; got != want {
			t.Errorf("the id is %s, want %s", got, want)
		}
	}
	changed := []byte(`{"type":"order.changed","id":"order-1042","more":true}`)
	if got := other.post("shop", signShop(shopSecret, time.Now().Add(-time.Minute), changed), changed).accepted(t); got != (receipt{want, true}) {
		t.Errorf("the same delivery id is answered %+v, want %s as a duplicate", got, want)
	}
	ids := []string{want}
	for source, delivery := range map[string]string{"store": "order-1042", "shop-test": "order-1042", "shop": "order-1043"} {
		id := one.sell(source, order(delivery)).accepted(t).ID
		if slices.Contains(ids, id) {
			t.Errorf("delivery %s of %s has the id %s of another", strconv.Quote(delivery), source, id)
		}
		ids = append(ids, id)
	}
}
