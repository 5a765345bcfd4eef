package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheFilterSelectsEventsByTheirBody(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	b := start(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, "filter: 'data.object.amount >= 1000'")))
	post := func(body string) string {
		t.Helper()
		return b.post("desk", http.Header{"X-Event": {"order.paid"}, "Content-Type": {"application/json"}}, []byte(body)).accepted(t).ID
	}
	post(`{"data":{"object":{"amount":999.99}}}`)
	large := post(`{"data":{"object":{"amount":1000}}}`)
	post(`{"data":{"object":{"price":1000}}}`)
	post(`{"data":{}}`)
	post(`{"data":{"object":{"amount":-1e9}}}`)
	if got := r.next().id(); got != large {
		t.Errorf("%s was delivered, want %s", got, large)
	}
	n.idle("billing")
	r.empty()

	t.Run("what it cannot be asked of is dead and says why", func(t *testing.T) {
		id := post("amount=1000")
		if got := n.dead(1)[0]; got.EventID != id || got.Attempts != 0 || got.Reason != "filter: the body is not a JSON object" {
			t.Errorf("%+v, want %s without an attempt because its body is not JSON", got, id)
		}
	})
}

func TestARateIsNotExceeded(t *testing.T) {
	t.Parallel()
	const events, interval = 8, 100 * time.Millisecond
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL, signed, "rate: 10/s")))
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	first := r.next().at
	var last time.Time
	for range events - 1 {
		last = r.next().at
	}
	// One interval less, for the first may have taken that long on its way.
	if took := last.Sub(first); took < (events-2)*interval {
		t.Errorf("%d events were delivered within %s at 10/s, want %s or more", events, took, (events-2)*interval)
	}
}

func TestNoMoreAttemptsAreInFlightThanConcurrency(t *testing.T) {
	t.Parallel()
	const events, limit = 12, 3
	var inFlight, most atomic.Int32
	begun, end := make(chan struct{}, events), make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		now := inFlight.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		begun <- struct{}{}
		<-end
		inFlight.Add(-1)
		return http.StatusOK
	})
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL, signed, "concurrency: "+strconv.Itoa(limit))))
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	for i := range events {
		<-begun
		if i >= limit-1 { // so many are in flight
			end <- struct{}{}
		}
	}
	close(end)
	r.of(events)
	if got := most.Load(); got != limit {
		t.Errorf("%d attempts were in flight at once, want %d", got, limit)
	}
}

func TestReplicasShareTheRateOfAnEndpoint(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	r := newReceiver(t, nil)
	parts := []string{bus.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, "rate: 20/s"))}
	one, other := start(t, parts...), start(t, parts...)
	for _, b := range []*bridge{one, other} {
		b.waitLog(`"replicas":2`)
	}
	const events = 60
	for i := range events {
		one.hand("order.paid", fmt.Sprint(i))
	}
	first := r.next().at
	last := first
	for range events - 1 {
		last = r.next().at
	}
	// Each may begin two at once, and the work is not divided exactly.
	if took := last.Sub(first); took < (events-10)*time.Second/20 {
		t.Errorf("%d events were delivered in %v, want 20 a second by both together", events, took)
	}
}
