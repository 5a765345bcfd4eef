package deliver

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"pgregory.net/rapid"

	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

const (
	traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceID     = "0af7651916cd43dd8448eb211c80319c"
)

func sample() *event.Event {
	return &event.Event{ID: event.NewID(event.Test, "shop", "1"), Env: event.Test, Source: "shop", Type: "order.paid",
		Time: time.Date(2026, 11, 23, 10, 0, 0, 5, time.UTC), ContentType: "application/json; charset=utf-8",
		Traceparent: traceparent, Tracestate: "a=b", Data: []byte(`{"amount":1}`)}
}

func TestADeliveryHasExactlyTheseHeaders(t *testing.T) {
	b := newBench(t, always(200))
	b.endpoint.Header = http.Header{"x-team": {"payments"}, "Authorization": {"Bearer abc"}}
	e := sample()
	e.Header = map[string]string{"x-shop-topic": "orders", "x-team": "theirs", "webhook-id": "forged", "ce-id": "forged",
		"authorization": "Basic stolen", "cookie": "a=b", "host": "elsewhere", "content-length": "9", "connection": "close",
		"traceparent": "forged", "jethook-attempt": "9", "user-agent": "shop", "content-type": "text/plain"}
	before := time.Now()
	if a := b.worker().Try(b.ctx, e); a.Outcome != OutcomeDelivered {
		t.Fatalf("attempt is %+v, want it delivered", a)
	}
	got := b.receiver.next().header
	seconds := got.Get("Webhook-Timestamp")
	if n := fmt.Sprint(before.Unix()); seconds != n && seconds != fmt.Sprint(time.Now().Unix()) {
		t.Errorf("webhook-timestamp is %s, want about %s", seconds, n)
	}
	want := http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {string(e.ID)}, "Ce-Source": {"/test/shop"}, "Ce-Type": {"order.paid"},
		"Ce-Time": {"2026-11-23T10:00:00.000000005Z"}, "Content-Type": {"application/json; charset=utf-8"}, "Content-Length": {"12"},
		"Webhook-Id": {string(e.ID)}, "Webhook-Timestamp": {seconds}, "Webhook-Signature": {got.Get("Webhook-Signature")},
		"Traceparent": {traceparent}, "Tracestate": {"a=b"}, "Jethook-Attempt": {"1"}, "User-Agent": {"jethook/1.2.3"},
		"X-Team": {"payments"}, "Authorization": {"Bearer abc"}, "X-Shop-Topic": {"orders"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers differ (-want +got):\n%s", diff)
	}
}

func TestADeliveryWithoutContentTypeHasNone(t *testing.T) {
	b := newBench(t, always(200))
	e := sample()
	e.ContentType, e.Data = "", nil
	b.worker().Try(b.ctx, e)
	got := b.receiver.next()
	if values, ok := got.header["Content-Type"]; ok || len(got.body) != 0 || got.header.Get("Content-Length") != "0" {
		t.Errorf("content type %q, body %q, length %s; want none, and an empty body", values, got.body, got.header.Get("Content-Length"))
	}
}

func TestABodyArrivesByteForByte(t *testing.T) {
	b := newBench(t, always(200))
	worker := b.worker()
	rapid.Check(t, func(t *rapid.T) {
		e := sample()
		e.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		if a := worker.Try(context.Background(), e); a.Outcome != OutcomeDelivered {
			t.Fatalf("attempt is %+v, want it delivered", a)
		}
		if got := b.receiver.next().body; !bytes.Equal(got, e.Data) {
			t.Errorf("got %q, want %q", got, e.Data)
		}
	})
}

// verified checks a request as a receiver does.
func verified(t *testing.T, scheme signature.Scheme, key string, got request) error {
	t.Helper()
	parsed, err := signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, key)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.NewVerifier(scheme, []signature.Key{parsed})
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Verify(signature.Request{Method: got.method, URL: got.path, Header: got.header, Body: got.body}, time.Now())
}

func TestBothKeysSignWhileARotationOverlaps(t *testing.T) {
	const other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
	b := newBench(t, always(200))
	b.endpoint.Keys = append(b.endpoint.Keys, mustKey(t, StyleStandard, other))
	b.worker().Try(b.ctx, sample())
	got := b.receiver.next()
	for _, key := range []string{secret, other} {
		theirs, err := standardwebhooks.NewWebhook(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := theirs.Verify(got.body, got.header); err != nil {
			t.Errorf("the Standard Webhooks library refuses %v: %v", got.header, err)
		}
		if err := verified(t, signature.StandardWebhooks(), key, got); err != nil {
			t.Errorf("our verifier refuses %v: %v", got.header, err)
		}
	}
}

func TestADeliveryInTheStyleOfClinkVerifiesAsClinks(t *testing.T) {
	b := newBench(t, always(200))
	b.endpoint.Signature, b.endpoint.Keys = StyleClink, []signature.Key{mustKey(t, StyleClink, secret)}
	b.worker().Try(b.ctx, sample())
	got := b.receiver.next()
	if err := verified(t, signature.Clink(), secret, got); err != nil {
		t.Errorf("refused: %v", err)
	}
	if ms := got.header.Get("X-Clink-Timestamp"); len(ms) != 13 {
		t.Errorf("X-Clink-Timestamp is %s, want milliseconds", ms)
	}
	if got.header.Get("Webhook-Id") == "" || got.header.Get("Webhook-Timestamp") == "" || got.header.Get("Webhook-Signature") != "" {
		t.Errorf("headers are %v, want webhook-id and webhook-timestamp without webhook-signature", got.header)
	}
}

func TestADeliveryInTheStyleOfCHIPVerifiesWithThePublicKey(t *testing.T) {
	private, err := signature.GenerateSecret(signature.RSASHA256)
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t, StyleCHIP, private)
	public, err := signature.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, always(200))
	b.endpoint.Signature, b.endpoint.Keys = StyleCHIP, []signature.Key{key}
	b.worker().Try(b.ctx, sample())
	if err := verified(t, signature.CHIP(), public, b.receiver.next()); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestAnUnsignedDeliveryCarriesNoSignature(t *testing.T) {
	b := newBench(t, always(200))
	b.endpoint.Signature, b.endpoint.Keys = StyleNone, nil
	b.worker().Try(b.ctx, sample())
	got := b.receiver.next().header
	if i := slices.IndexFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return strings.Contains(name, "Signature") }); i >= 0 {
		t.Errorf("headers are %v, want no signature", got)
	}
	if got.Get("Webhook-Id") == "" {
		t.Error("webhook-id is absent")
	}
}

func TestAnAttemptIsASpanUnderTheEventsOwn(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	b := newBench(t, always(500))
	b.config.Tracer = provider.Tracer("test")
	b.worker().Try(b.ctx, sample())
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans, want 1", len(ended))
	}
	span := ended[0]
	if got := span.Parent().SpanID().String(); got != "b7ad6b7169203331" || span.SpanContext().TraceID().String() != traceID {
		t.Errorf("span %s in trace %s, want a child of %s", got, span.SpanContext().TraceID(), traceparent)
	}
	want := "00-" + traceID + "-" + span.SpanContext().SpanID().String() + "-01"
	header := b.receiver.next().header
	if header.Get("Traceparent") != want || header.Get("Tracestate") != "a=b" {
		t.Errorf("traceparent %s and tracestate %s, want %s and a=b", header.Get("Traceparent"), header.Get("Tracestate"), want)
	}
}

func TestTheUserAndPasswordOfTheURLAreSentAsBasicAuthentication(t *testing.T) {
	b := newBench(t, always(200))
	b.endpoint.URL = strings.Replace(b.endpoint.URL, "http://", "http://anna:geheim@", 1)
	b.worker().Try(b.ctx, sample())
	if got := b.receiver.next().header.Get("Authorization"); got != "Basic YW5uYTpnZWhlaW0=" {
		t.Errorf("authorization is %q, want anna and geheim", got)
	}
}
