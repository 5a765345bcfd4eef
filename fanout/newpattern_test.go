package fanout

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jethook/jethook/deliver"
)

func TestAPatternThatIsAddedSelectsNothingOlder(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		b := openBus(t, t.TempDir())
		r := newReplica(t, b, nil)
		r.start(t)
		to := newReceiver(t)
		e := endpoint(t, "billing", to.url, "shop.order.>")
		r.apply(t, []Endpoint{e})
		publish(t, b, "order.a")
		to.wants(t, "order.a")
		e.Enabled = enabled
		r.apply(t, []Endpoint{e})
		publish(t, b, "refund.a", "refund.b") // which it does not select, awake as it is
		e.Events = append(e.Events, "shop.refund.>")
		r.apply(t, []Endpoint{e})
		publish(t, b, "refund.c", "order.b")
		e.Enabled = true
		r.apply(t, []Endpoint{e})
		to.wants(t, "refund.c", "order.b")
	}
}

func TestAPatternThatIsAddedWhileAnEventIsInWorkSelectsNothingOlder(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	begun, release, got := make(chan struct{}), make(chan struct{}), make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.Header.Get("ce-type") == "order.a" {
			close(begun)
			<-release
		}
		got <- req.Header.Get("ce-type")
	}))
	t.Cleanup(server.Close)
	e := endpoint(t, "billing", server.URL, "shop.order.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	<-begun
	publish(t, b, "refund.a")
	e.Events = append(e.Events, "shop.refund.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "refund.b")
	if first := <-got; first != "refund.b" {
		t.Errorf("%s was delivered, want refund.b, which was stored after the pattern", first)
	}
	close(release)
	if next := <-got; next != "order.a" {
		t.Errorf("%s was delivered, want order.a", next)
	}
	eventually(t, "nothing waits", func() bool {
		return waits(durable(t, b, "billing").CachedInfo()) == 0
	})
}

func TestAPatternThatIsAddedToAnEndpointWithARetrySelectsNothingOlder(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	to.status.Store(http.StatusTeapot)
	e := endpoint(t, "billing", to.url, "shop.order.>")
	e.Retry = deliver.Retry{Initial: time.Hour}
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	eventually(t, "the event waits for its retry", func() bool {
		info := durable(t, b, "billing").CachedInfo()
		return info.Delivered.Consumer == 1 && info.NumAckPending == 0
	})
	publish(t, b, "refund.a")
	to.status.Store(http.StatusOK)
	e.Events = append(e.Events, "shop.refund.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "refund.b")
	to.wants(t, "refund.b")
}
