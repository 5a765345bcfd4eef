package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
)

// attemptsAt waits until so many attempts at an event are recorded.
func attemptsAt(t *testing.T, client *api.Client, id string, n int) (all []api.Attempt) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d attempts at %s are recorded", n, id), func() bool {
		all = done[api.Attempts](t)(client.Attempts(t.Context(), id, "billing")).Data
		return len(all) >= n
	})
	return all
}

// ended is when the answer to an attempt had come.
func ended(a api.Attempt) time.Time {
	return a.At.Add(time.Duration(a.DurationMS * float64(time.Millisecond)))
}

func TestRetryAfterIsExactToASecondInBothForms(t *testing.T) {
	t.Parallel()
	const events, wait = 4, 2 * time.Second
	r := newReceiver(t, func(w http.ResponseWriter, d delivery) int {
		if d.attempt() != "1" {
			return http.StatusOK
		}
		form, status, _ := strings.Cut(strings.TrimPrefix(d.header.Get("ce-type"), "answer."), ".")
		if w.Header().Set("Retry-After", "2"); form == "date" {
			w.Header().Set("Retry-After", time.Now().Add(wait+time.Second).UTC().Format(http.TimeFormat)) // in whole seconds
		}
		code, _ := strconv.Atoi(status) // written below
		return code
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys,
		endpoints(to("billing", r.server.URL, signed, "retry: {initial: 1h}")))
	client := b.manager(prodKey)
	for _, form := range []string{"seconds", "date"} {
		for _, status := range []string{"429", "503"} {
			name := form + "." + status
			ids := make([]string, events)
			for i := range ids {
				ids[i] = b.hand("answer."+name, fmt.Sprint(name, i))
			}
			r.of(2 * events)
			latest := patience
			for _, id := range ids {
				attempts := attemptsAt(t, client, id, 2)
				asked, due := attempts[0].NextAt.Sub(ended(attempts[0])), attempts[0].NextAt
				if asked < wait-10*time.Millisecond || asked > wait+time.Second {
					t.Errorf("%s: the next attempt is %s after the answer, want %s or up to a second more", name, asked, wait)
				}
				if form == "date" && !due.Equal(due.Truncate(time.Second)) {
					t.Errorf("%s: the next attempt is at %s, want the date", name, due)
				}
				if attempts[1].At.Before(due) {
					t.Errorf("%s: tried again %s too early", name, due.Sub(attempts[1].At))
				}
				latest = min(latest, attempts[1].At.Sub(due))
			}
			if latest > time.Second { // none of them, so that it is not the machine
				t.Errorf("%s: tried again %s after its time or later", name, latest)
			}
		}
	}
	r.empty()
}

func TestTheWaitsOfTheScheduleLieWithinTheirJitter(t *testing.T) {
	t.Parallel()
	const events, attempts, jitter = 40, 4, 0.5
	const lag = 250 * time.Millisecond // until the answer is looked at
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		return http.StatusTooManyRequests // which is no failure of the endpoint, and opens no breaker
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed,
		fmt.Sprintf("retry: {attempts: %d, initial: 400ms, multiplier: 2, jitter: %v}", attempts, jitter))))
	client := b.manager(prodKey)
	ids := make([]string, events)
	for i := range ids {
		ids[i] = b.hand("order.paid", strconv.Itoa(i))
	}
	for id, got := range r.of(events * attempts) {
		if len(got) != attempts {
			t.Errorf("%s was attempted %d times, want %d", id, len(got), attempts)
		}
	}
	var sooner, later int
	for _, id := range ids {
		all := attemptsAt(t, client, id, attempts)
		interval := 400 * time.Millisecond
		for i, a := range all[:attempts-1] {
			waits, spread := a.NextAt.Sub(ended(a)), time.Duration(jitter*float64(interval))
			if waits < interval-spread-10*time.Millisecond || waits > interval+spread+lag {
				t.Errorf("%s: after attempt %d it waits %s, want %s, %s more or less", id, i+1, waits, interval, spread)
			}
			if next := all[i+1].At; next.Before(a.NextAt) {
				t.Errorf("%s: attempt %d began %s too early", id, i+2, a.NextAt.Sub(next))
			}
			if waits < interval-spread/3 {
				sooner++
			}
			if waits > interval+spread/3 {
				later++
			}
			interval *= 2
		}
		if last := all[attempts-1]; last.Outcome != "dead" || !last.NextAt.IsZero() {
			t.Errorf("%s: the last attempt is %+v, want it dead", id, last)
		}
	}
	if sooner == 0 || later == 0 {
		t.Errorf("of %d waits %d were much sooner and %d much later than the interval, want some of both", events*(attempts-1), sooner, later)
	}
	r.empty()
}

func TestA410DisablesTheEndpointBeforeItsNextAttempt(t *testing.T) {
	t.Parallel()
	const events = 20
	begun, handed := make(chan struct{}, events), make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		begun <- struct{}{}
		<-handed
		return http.StatusGone
	})
	other := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(
		to("billing", r.server.URL, signed, "concurrency: 1", soon), to("other", other.server.URL, signed)))
	client := b.manager(prodKey)
	for i := range events {
		b.hand("order.paid", strconv.Itoa(i))
	}
	<-begun
	close(handed)
	r.next()
	eventually(t, "the endpoint is disabled, and all wait", func() bool {
		e := done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing"))
		return e.State == "disabled" && e.Waiting == events
	})
	b.hand("order.paid", "after")
	other.of(events + 1)
	r.empty()
}
