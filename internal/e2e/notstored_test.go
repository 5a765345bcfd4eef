package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWhatTheBusDoesNotConfirmIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, bus.on(), sources(shop("shop")))
	before := b.sold(t, "before")
	bus.pause()
	got := b.sell("shop", order("during"))
	got.refused(t, http.StatusServiceUnavailable, "not_stored")
	retryAfter(t, got)
	bus.resume()

	var during receipt
	eventually(t, "the bridge stores again", func() bool {
		a := b.sell("shop", order("during"))
		if a.status == http.StatusServiceUnavailable {
			return false
		}
		during = a.accepted(t)
		return true
	})
	stored := messages(t, bus.stream("EVENTS_PROD"))
	if len(stored) != 2 || stored[0].Header.Get("Nats-Msg-Id") != before || stored[1].Header.Get("Nats-Msg-Id") != during.ID {
		t.Errorf("the stream holds %d messages, want %s and %s, each once", len(stored), before, during.ID)
	}
}

func TestAFullStreamRefusesAndDropsNothingUndelivered(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, "nats: {url: \""+bus.url+"\", stream: {max_bytes: 1MiB}}\n", sources(shop("shop")),
		endpoints(endpoint("asleep", newReceiver(t, nil), "enabled: false")))
	body := func(i int) []byte { return order(strconv.Itoa(i) + strings.Repeat("x", 100<<10)) }
	var ids []string
	var last answer
	for len(ids) < 20 {
		if last = b.sell("shop", body(len(ids))); last.status != http.StatusOK {
			break
		}
		ids = append(ids, last.accepted(t).ID)
	}
	last.refused(t, http.StatusServiceUnavailable, "not_stored")
	retryAfter(t, last)

	stream := bus.stream("EVENTS_PROD")
	stored := messages(t, stream)
	if len(stored) != len(ids) {
		t.Fatalf("%d messages are stored of %d acknowledged", len(stored), len(ids))
	}
	for i, message := range stored {
		if got := message.Header.Get("Nats-Msg-Id"); got != ids[i] {
			t.Errorf("message %d is %s, want %s", i, got, ids[i])
		}
	}
	if got := b.sell("shop", body(0)).accepted(t); got != (receipt{ids[0], true}) {
		t.Errorf("what is stored already is answered %+v, want %s as a duplicate", got, ids[0])
	}
	if got := b.get("ops", "/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "stream EVENTS_PROD: full") {
		t.Errorf("readyz says %d %q, want 503 and which stream is full", got.status, got.body)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.sell("shop", body(len(ids))).accepted(t)
}

func TestCopiesThatComeAtOnceAreStoredOnce(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	b := start(t, bus.on(), sources(shop("shop")))
	body := order("copied")
	header := signShop(shopSecret, time.Now(), body)
	answers := make([]answer, 32)
	var senders sync.WaitGroup
	for i := range answers {
		senders.Go(func() {
			var err error
			if answers[i], err = send(t.Context(), http.MethodPost, b.url("ingest", "/in/shop"), header, body); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	first := 0
	for _, a := range answers {
		r := a.accepted(t)
		if r.ID != answers[0].accepted(t).ID {
			t.Errorf("two ids: %s and %s", r.ID, answers[0].body)
		}
		if !r.Duplicate {
			first++
		}
	}
	if stored := messages(t, bus.stream("EVENTS_PROD")); first != 1 || len(stored) != 1 {
		t.Errorf("%d answers say it is new and %d messages are stored, want 1 and 1", first, len(stored))
	}
}
