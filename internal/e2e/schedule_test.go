package e2e

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// refusing is an endpoint that takes nothing.
func refusing(http.ResponseWriter, delivery) int { return http.StatusTeapot }

// dead is what stream DEAD keeps of an event.
type dead struct {
	EventID    string `json:"event_id"`
	Endpoint   string
	Stream     string
	Sequence   uint64
	Reason     string
	Attempts   int
	LastStatus int `json:"last_status"`
}

// dead waits for that many dead events and returns them.
func (n *natsProcess) dead(count int) []dead {
	n.t.Helper()
	stream := n.stream("DEAD")
	eventually(n.t, "the events are dead", func() bool {
		info, err := stream.Info(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		return info.State.Msgs >= uint64(count)
	})
	var all []dead
	for _, message := range messages(n.t, stream) {
		var d dead
		if err := json.Unmarshal(message.Data, &d); err != nil {
			n.t.Fatalf("dead event %q: %v", message.Data, err)
		}
		all = append(all, d)
	}
	return all
}

// nextAttempt waits until an event waits for an attempt after this many, and
// returns when it is due.
func (n *natsProcess) nextAttempt(endpoint string, after int) time.Time {
	n.t.Helper()
	waiting := n.waits(endpoint, after)
	text := waiting.Header.Get("jethook-due")
	if text == "" {
		text = strings.TrimPrefix(waiting.Header.Get("Nats-Schedule"), "@at ")
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		n.t.Fatalf("pointer %v: %v", waiting.Header, err)
	}
	return at
}

// waits returns the pointer of the one event that waits for an endpoint of prod
// after so many attempts.
func (n *natsProcess) waits(endpoint string, after int) (waiting *jetstream.RawStreamMsg) {
	n.t.Helper()
	stream := n.stream("RETRY")
	eventually(n.t, "the event waits for its next attempt", func() (ok bool) {
		for _, subject := range []string{".1", ".later.*"} {
			message, err := stream.GetMsg(n.t.Context(), 1, jetstream.WithGetMsgSubject("retry.wait.prod."+endpoint+subject))
			if err == nil && message.Header.Get("jethook-attempt") == strconv.Itoa(after) {
				waiting, ok = message, true
			}
		}
		return ok
	})
	return waiting
}

// The wait of an hour is made short by moving what waits to the present.
func TestAnEventThatWaitsLongForItsNextAttemptIsDeliveredAtItsTime(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.header.Get("Jethook-Attempt") == "1" {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, "retry: {initial: 1h}")))
	id := b.hand("order.paid", "1")
	r.next()
	waiting, due := n.waits("billing", 1), time.Now().Add(time.Second)
	moved := &nats.Msg{Subject: "retry.wait.prod.billing.later." + strconv.FormatInt(due.Unix()/300, 10), Header: waiting.Header}
	moved.Header.Set("jethook-due", due.Format(time.RFC3339Nano))
	if _, err := n.jetStream().PublishMsg(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	if err := n.stream("RETRY").DeleteMsg(t.Context(), waiting.Sequence); err != nil {
		t.Fatal(err)
	}
	if got := r.next(); got.id() != id || got.header.Get("Jethook-Attempt") != "2" || got.at.Before(due) {
		t.Errorf("got %s, attempt %s, at %s; want the second of %s from %s on", got.id(), got.header.Get("Jethook-Attempt"), got.at, id, due)
	}
	n.idle("billing")
	r.empty()
}

func TestAnEventWhoseAttemptsAreUsedUpIsDead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, retry string
		attempts    int
	}{
		{"three attempts are the first and two more", "retry: {attempts: 3, initial: 50ms, multiplier: 1, jitter: 0}", 3},
		{"one attempt is the first", "retry: {attempts: 1, initial: 50ms}", 1},
		{"however many fail in a row", "retry: {attempts: 12, initial: 100ms, multiplier: 1}", 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, r := newNATS(t), newReceiver(t, refusing)
			b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, c.retry)))
			id := b.hand("order.paid", "1")
			got := n.dead(1)[0]
			want := dead{EventID: id, Endpoint: "billing", Stream: "EVENTS_PROD", Sequence: 1, Attempts: c.attempts, LastStatus: http.StatusTeapot}
			reason := got.Reason
			if got.Reason = ""; got != want || !strings.Contains(reason, "attempts used up") {
				t.Errorf("%+v because %q, want %+v because its attempts are used up", got, reason, want)
			}
			n.idle("billing")
			r.of(c.attempts)
			r.empty()
		})
	}
}

func TestAnEventWhoseTimeIsUsedUpIsDead(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, refusing)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed,
		"retry: {attempts: 100, initial: 50ms, multiplier: 100, max_elapsed: 3s, jitter: 0}")))
	b.hand("order.paid", "1") // again after 50 ms, and 5 s later it would be too late
	if got := n.dead(1)[0]; got.Attempts != 2 || !strings.Contains(got.Reason, "time used up") {
		t.Errorf("%+v, want 2 attempts and that its time is used up", got)
	}
	n.idle("billing")
	r.of(2)
	r.empty()
}

func TestTheFirstWaitIsInitialAndEachNextOneTheMultiple(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, refusing)
	b := start(t, n.on(), sources(desk), endpoints(
		to("slow", r.server.URL, signed, "retry: {initial: 1h, jitter: 0}"),
		to("steep", r.server.URL, signed, "retry: {initial: 1s, multiplier: 100, jitter: 0}"),
		to("bounded", r.server.URL, signed, "retry: {initial: 1s, multiplier: 100, max_interval: 50s, jitter: 0}")))
	began := time.Now()
	b.hand("order.paid", "1")
	for _, c := range []struct {
		endpoint string
		after    int
		wait     time.Duration
	}{
		{"slow", 1, time.Hour}, {"steep", 2, 100 * time.Second}, {"bounded", 2, 50 * time.Second},
	} {
		// The last attempt was between the post and now.
		at := n.nextAttempt(c.endpoint, c.after)
		if at.Before(began.Add(c.wait)) || at.After(time.Now().Add(c.wait)) {
			t.Errorf("%s: after %d attempts the next is %s from the first, want %s from the last", c.endpoint, c.after, at.Sub(began), c.wait)
		}
	}
}

func TestRetryAfterIsCappedAtADay(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, func(w http.ResponseWriter, _ delivery) int {
		w.Header().Set("Retry-After", "99999999999999999999")
		return http.StatusTooManyRequests
	})
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, "retry: {max_elapsed: 7d}")))
	b.hand("order.paid", "1")
	const day = 24 * time.Hour
	if wait := time.Until(n.nextAttempt("billing", 1)); math.Abs((wait - day).Minutes()) > 2 {
		t.Errorf("the next attempt is in %s, want %s", wait, day)
	}
}

func TestADeadEndpointCostsTheLivingNothing(t *testing.T) {
	t.Parallel()
	const events = 100
	n, down, up := newNATS(t), newReceiver(t, func(http.ResponseWriter, delivery) int { return http.StatusBadGateway }), newReceiver(t, nil)
	b := start(t, n.on(), sources(desk), endpoints(to("down", down.server.URL, signed, soon), to("up", up.server.URL, signed)))
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	up.of(events)
	n.idle("up")
	up.empty()
	down.of(1)
}
