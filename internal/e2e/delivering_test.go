package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// desk is an entry of sources: a sender that signs nothing and names its events
// in headers, for tests of what follows.
const desk = `{name: desk, verify: {algorithm: none}, event: ["header:X-Event"], delivery_id: ["header:X-Id", "hash:body"]}`

// soon is a schedule that tests can wait for.
const soon = "retry: {initial: 50ms, multiplier: 1, jitter: 0}"

// to is an entry of endpoints at a URL, which gets what the desk sends.
func to(name, url string, more ...string) string {
	return fmt.Sprintf("{name: %s, url: %q, events: [desk.>]%s}", name, url, also(more))
}

// signed is the key that has deliveries signed with the tests' secret.
const signed = "secrets: [" + endpointSecret + "]"

// hand posts an event of the desk that must be stored, and returns its id. name
// tells it from others and is its body's.
func (b *bridge) hand(event, name string) string {
	b.t.Helper()
	header := http.Header{"X-Event": {event}, "X-Id": {name}, "Content-Type": {"application/json"}}
	return b.post("desk", header, fmt.Appendf(nil, `{"name":%q}`, name)).accepted(b.t).ID
}

// reconfigure writes another configuration and returns when it is in force.
func (b *bridge) reconfigure(parts ...string) {
	b.t.Helper()
	const line = `"msg":"configuration reloaded","because":"SIGHUP"`
	before := strings.Count(b.log.String(), line)
	b.configure(parts...)
	if err := b.command.Process.Signal(syscall.SIGHUP); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the configuration is reloaded", func() bool { return strings.Count(b.log.String(), line) > before })
}

func (d delivery) id() string      { return d.header.Get("webhook-id") }
func (d delivery) attempt() string { return d.header.Get("jethook-attempt") }

// idle waits until an endpoint has settled every event and no attempt waits:
// nothing more can be delivered to it.
func (n *natsProcess) idle(endpoint string) {
	n.t.Helper()
	consumer, err := n.stream("EVENTS_PROD").Consumer(n.t.Context(), endpoint)
	if err != nil {
		n.t.Fatal(err)
	}
	retry := n.stream("RETRY")
	eventually(n.t, endpoint+" has nothing to do", func() bool {
		// In this order: a retry is stored before its event is acknowledged.
		live, err := consumer.Info(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		waiting, err := retry.Info(n.t.Context(), jetstream.WithSubjectFilter("retry.>"))
		if err != nil {
			n.t.Fatal(err)
		}
		attempts := 0
		for subject := range waiting.State.Subjects { // retry.wait.prod.billing.1, retry.due.prod.billing
			if strings.Split(subject, ".")[3] == endpoint {
				attempts++
			}
		}
		return live.NumPending == 0 && live.NumAckPending == 0 && attempts == 0
	})
}

func TestTheProvidersBodyAndContentTypeAreDeliveredUntouched(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL+"/events", signed)))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, sent := range []struct {
		name        string
		contentType []string
		body        []byte
	}{
		{"JSON that a parser would write otherwise", []string{"application/json"}, []byte("{ \"a\" : 1.0,\r\n\t\"a\":2 } ")},
		{"every byte there is, of an odd type", []string{`application/x-odd; v="1;2"; charset=KOI8-R`}, every},
		{"no content type", nil, []byte("plain")},
		{"no body", []string{"text/plain"}, nil},
		{"half a MiB", []string{"application/octet-stream"}, bytes.Repeat(every, 2048)},
	} {
		t.Run(sent.name, func(t *testing.T) {
			header := http.Header{"X-Event": {"order.paid"}}
			if sent.contentType != nil {
				header["Content-Type"] = sent.contentType
			}
			b.post("desk", header, sent.body).accepted(t)
			got := r.next()
			if got.method != http.MethodPost || got.path != "/events" {
				t.Errorf("%s %s, want POST /events", got.method, got.path)
			}
			if !bytes.Equal(got.body, sent.body) {
				t.Errorf("body %.80q of %d bytes, want %.80q of %d", got.body, len(got.body), sent.body, len(sent.body))
			}
			if diff := cmp.Diff(sent.contentType, got.header["Content-Type"]); diff != "" {
				t.Errorf("content type (-sent +delivered):\n%s", diff)
			}
		})
	}
}

func TestADeliverySaysWhatItIs(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed,
		"headers: {X-Team: payments, Authorization: Bearer t0ken}")))
	before := time.Now()
	id := b.hand("order.paid", "1")
	got := r.next()
	stored := messages(t, n.stream("EVENTS_PROD"))[0]

	want := map[string]string{
		"webhook-id": id, "ce-id": id, "ce-specversion": "1.0", "ce-source": "/prod/desk", "ce-type": "order.paid",
		"ce-time": stored.Header.Get("ce-time"), "jethook-attempt": "1",
		"user-agent": "jethook/" + version(t), "x-team": "payments", "authorization": "Bearer t0ken",
	}
	for name, value := range want {
		if got := got.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	t.Run("the ce- headers are those of the message", func(t *testing.T) {
		for name, values := range stored.Header {
			if strings.HasPrefix(name, "ce-") && got.header.Get(name) != values[0] {
				t.Errorf("%s: %q, want %q", name, got.header.Get(name), values[0])
			}
		}
		at, err := time.Parse(time.RFC3339Nano, got.header.Get("ce-time"))
		if err != nil || at.Before(before.Truncate(time.Second)) || at.After(got.at) {
			t.Errorf("ce-time %q (%v), want a time between %s and %s", got.header.Get("ce-time"), err, before, got.at)
		}
	})
	t.Run("webhook-timestamp is the time of the attempt in seconds", func(t *testing.T) {
		seconds, err := strconv.ParseInt(got.header.Get("webhook-timestamp"), 10, 64)
		if err != nil || seconds < before.Unix() || seconds > got.at.Unix() {
			t.Errorf("%q (%v), want between %d and %d", got.header.Get("webhook-timestamp"), err, before.Unix(), got.at.Unix())
		}
	})
	t.Run("traceparent is valid, and of the trace of the message", func(t *testing.T) {
		form := regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$`)
		delivered := form.FindStringSubmatch(got.header.Get("traceparent"))
		message := form.FindStringSubmatch(stored.Header.Get("traceparent"))
		if delivered == nil || message == nil {
			t.Fatalf("delivered %q of message %q, want both as W3C writes them", got.header.Get("traceparent"), stored.Header.Get("traceparent"))
		}
		if delivered[1] != message[1] || strings.Trim(delivered[1], "0") == "" {
			t.Errorf("trace %s, want that of the message, %s", delivered[1], message[1])
		}
		if strings.Trim(delivered[2], "0") == "" {
			t.Errorf("span %s, want one that is not zero", delivered[2])
		}
	})
}

func TestAttemptsAreCountedAndEachIsSignedAnew(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	r := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.attempt() != "3" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	id := b.hand("order.paid", "1")
	for _, want := range []string{"1", "2", "3"} {
		got := r.next()
		if got.attempt() != want || got.id() != id || string(got.body) != `{"name":"1"}` {
			t.Errorf("attempt %s of %s with %q, want attempt %s of %s", got.attempt(), got.id(), got.body, want, id)
		}
		verifies(t, endpointSecret, got)
	}
	n.idle("billing")
	r.empty()
}
