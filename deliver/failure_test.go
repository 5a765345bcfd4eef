package deliver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestARedirectIsRefusedAndTheEventTriedAgain(t *testing.T) {
	target := newReceiver(t, always(200))
	b := newBench(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, target.server.URL, http.StatusTemporaryRedirect)
	})
	b.endpoint.Retry.Attempts = 2
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); got.LastStatus != 307 || got.LastError != "redirects are not followed" || got.Attempts != 2 {
		t.Errorf("dead event is %+v, want it dead after two redirects", got)
	}
	if len(target.got) != 0 {
		t.Error("the redirect was followed")
	}
}

func TestAnEventIsTriedAgainAfterABrokenConnection(t *testing.T) {
	b := newBench(t, inTurn(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, always(200)))
	b.start()
	b.publish("1", []byte(`{}`))
	records := b.attempts(2)
	if got, want := numbers(records), "1 retry 0; 2 delivered 200; "; got != want || records[0].Error == "" {
		t.Errorf("recorded %s with error %q, want %s", got, records[0].Error, want)
	}
}

func TestAnEventIsTriedAgainWhenNobodyListens(t *testing.T) {
	b := newBench(t, always(200))
	closed := httptest.NewServer(http.NotFoundHandler())
	b.endpoint.URL = closed.URL
	closed.Close()
	b.endpoint.Retry.Attempts = 2
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); got.Attempts != 2 || !strings.Contains(got.LastError, "refused") {
		t.Errorf("dead event is %+v, want it dead after two refused connections", got)
	}
}

func TestAnEventIsTriedAgainAfterATimeout(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, inTurn(func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-release:
		}
	}, always(200)))
	defer close(release)
	b.endpoint.Timeout = 50 * time.Millisecond
	b.start()
	b.publish("1", []byte(`{}`))
	records := b.attempts(2)
	if got, want := numbers(records[:1]), "1 retry 0; "; got != want || records[0].Error != "timeout: no answer within 50ms" {
		t.Errorf("recorded %s with error %q, want %s and the timeout", got, records[0].Error, want)
	}
}

func TestAnAnswerIsDeliveredThoughItsBodyIsEndless(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("\xff", 1<<20)))
	})
	a := b.worker().Try(b.ctx, sample())
	if a.Outcome != OutcomeDelivered || len(a.Response) != len("\uFFFD") {
		t.Errorf("attempt is %s with %d bytes of answer, want it delivered and the answer valid UTF-8", a.Outcome, len(a.Response))
	}
	b = newBench(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("a", 1<<20)))
	})
	if a := b.worker().Try(b.ctx, sample()); a.Outcome != OutcomeDelivered || len(a.Response) != headBytes {
		t.Errorf("attempt is %s with %d bytes of answer, want it delivered and %d", a.Outcome, len(a.Response), headBytes)
	}
}

func TestAnAddressIsRefusedAtTheDialAfterItsNameIsResolved(t *testing.T) {
	b := newBench(t, always(200))
	client, err := NewClient(ClientConfig{Guard: guardOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	b.config.Client = client
	b.endpoint.URL = strings.Replace(b.endpoint.URL, "127.0.0.1", "localhost", 1)
	b.endpoint.Retry.Attempts = 1
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); !strings.Contains(got.LastError, ErrAddressRefused.Error()) || !strings.Contains(got.LastError, "deliver.allow_networks") {
		t.Errorf("dead event is %+v, want the refused address and the remedy", got)
	}
	if len(b.receiver.got) != 0 {
		t.Error("the receiver was reached")
	}
	if !strings.Contains(b.log.String(), "deliver.allow_networks") {
		t.Errorf("the log has no remedy:\n%s", b.log)
	}
}

func TestAnAddressIsRefusedThoughAProxyIsSet(t *testing.T) {
	b := newBench(t, always(200))
	t.Setenv("HTTP_PROXY", b.receiver.server.URL)
	b.endpoint.URL = "http://169.254.169.254/latest/meta-data"
	if a := b.worker().Try(b.ctx, sample()); a.Outcome != OutcomeRetry || !strings.Contains(a.Error, ErrAddressRefused.Error()) {
		t.Errorf("attempt is %+v, want the address refused", a)
	}
}

func TestAnEndpointThatIsGoneIsDisabledAndItsBacklogKept(t *testing.T) {
	for _, test := range []struct {
		name            string
		answer          http.HandlerFunc
		stream, durable string
		attempts        int
	}{
		{"at the first attempt", always(410), "EVENTS_TEST", "billing", 1},
		{"at a later attempt", inTurn(always(500), always(410)), bus.Retry, "test_billing", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.answer)
			b.endpoint.Concurrency = 1
			calls := make(chan string, 10)
			b.config.OnGone = func(_ context.Context, reason string) error { calls <- reason; return nil }
			stop := b.start()
			e := b.publish("1", []byte(`{}`))
			select {
			case reason := <-calls:
				if !strings.Contains(reason, "410") || !strings.Contains(reason, string(e.ID)) {
					t.Errorf("reason is %q, want 410 and %s", reason, e.ID)
				}
			case <-time.After(patience):
				t.Fatalf("OnGone is not called; log:\n%s", b.log)
			}
			stop()
			records := b.attempts(test.attempts)
			if last := records[test.attempts-1]; last.Outcome != OutcomeGone || last.Status != 410 {
				t.Errorf("last record is %+v, want gone", last)
			}
			b.until(test.stream, test.durable, func(info *jetstream.ConsumerInfo) bool {
				return info.NumAckPending+int(info.NumPending) == 1
			})
			if n := b.count(bus.Dead, ">"); n != 0 || len(calls) != 0 {
				t.Errorf("%d dead events and %d more calls of OnGone, want none", n, len(calls))
			}
		})
	}
}

func TestAWorkerGoesOnWhenTheEndpointCouldNotBeDisabled(t *testing.T) {
	b := newBench(t, inTurn(always(410), always(200)))
	b.config.OnGone = func(context.Context, string) error { return fmt.Errorf("the registry is away") }
	b.start()
	b.publish("1", []byte(`{}`))
	b.publish("2", []byte(`{}`))
	b.settled("EVENTS_TEST", "billing")
}

func TestADueEventThatIsNotThereIsDead(t *testing.T) {
	first := event.NewID(event.Test, "shop", "1")
	for _, test := range []struct {
		name    string
		pointer Pointer
		purge   bool
		reason  string
	}{
		{"expired", Pointer{Sequence: 1, EventID: first, Attempts: 4}, true, "event expired from the stream"},
		{"replaced after a power cut", Pointer{Sequence: 2, EventID: first, Attempts: 4}, false, "event is not in the stream: another one has its place"},
		{"without an id", Pointer{Sequence: 1, Attempts: 4}, false, "pointer cannot be read"},
		{"without a number", Pointer{Sequence: 1, EventID: first, Attempts: -4}, false, "pointer cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, always(200))
			stop := b.start()
			b.publish("1", []byte(`{}`))
			b.publish("2", []byte(`{}`))
			b.settled("EVENTS_TEST", "billing")
			if test.purge {
				stream, err := b.bus.JetStream().Stream(b.ctx, "EVENTS_TEST")
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.Purge(b.ctx, jetstream.WithPurgeSequence(2)); err != nil {
					t.Fatal(err)
				}
			}
			test.pointer.Env, test.pointer.Endpoint = b.endpoint.Env, b.endpoint.Name
			if _, err := b.bus.Put(b.ctx, bus.Retry, test.pointer.At(time.Now())); err != nil {
				t.Fatal(err)
			}
			got := b.dead()
			if !strings.HasPrefix(got.Reason, test.reason) || got.Attempts != test.pointer.Attempts && test.pointer.Attempts > 0 || got.EventID != test.pointer.EventID {
				t.Errorf("dead event is %+v, want reason %q after %d attempts", got, test.reason, test.pointer.Attempts)
			}
			b.settled(bus.Retry, "test_billing")
			stop()
		})
	}
}

// However often the pointer was handed back while the endpoint was down.
func TestAnEventThatAReplicaDoesNotHaveYetIsNotTakenForExpired(t *testing.T) {
	b := newBench(t, always(200))
	b.makeDurable()
	b.publish("1", []byte(`{}`))
	s, err := b.worker().open(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	pointer := Pointer{Env: b.endpoint.Env, Endpoint: b.endpoint.Name, Sequence: 1, EventID: event.NewID(event.Test, "shop", "1")}
	if _, err := b.bus.Put(b.ctx, bus.Retry, pointer.At(time.Now())); err != nil {
		t.Fatal(err)
	}
	var msg jetstream.Msg
	for range 6 {
		if msg, err = s.sources[1].consumer.Next(); err != nil {
			t.Fatal(err)
		}
		if err := msg.Nak(); err != nil {
			t.Fatal(err)
		}
	}
	// The server answers direct requests no more, and something else does as a
	// replica that lags.
	config := s.stream.CachedInfo().Config
	config.AllowDirect = false
	if _, err := b.bus.JetStream().UpdateStream(b.ctx, config); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 10)
	lagging, err := b.bus.JetStream().Conn().Subscribe("$JS.API.DIRECT.GET.EVENTS_TEST", func(request *nats.Msg) {
		asked <- struct{}{}
		_ = request.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lagging.Unsubscribe() }()
	d := &delivery{msg: &nats.Msg{Header: msg.Headers()}}
	if reason, err := s.load(b.ctx, d); reason != "" || err != nil || d.event == nil {
		t.Errorf("reason %q, error %v; want the event", reason, err)
	}
	if len(asked) != 1 {
		t.Error("no replica was asked")
	}
}

func TestAMessageThatIsNoEventIsDead(t *testing.T) {
	b := newBench(t, always(200))
	b.start()
	if _, err := b.bus.Put(b.ctx, "EVENTS_TEST", &nats.Msg{Subject: "events.test.shop.forged", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if got := b.dead(); !strings.HasPrefix(got.Reason, "decode event") || got.Sequence != 1 {
		t.Errorf("dead event is %+v, want it undecodable", got)
	}
	b.settled("EVENTS_TEST", "billing")
}
