package fanout

import (
	"testing"

	"github.com/jethook/jethook/internal/event"
)

func TestAnEndpointWithALaterIDHasNothingOfTheEarlierOneOfItsName(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	to := newReceiver(t)
	first := endpoint(t, "billing", to.url, "shop.>")
	first.ID, first.Enabled = "a", false
	r.apply(t, []Endpoint{first})
	r.start(t)
	publish(t, b, "order.a")
	putRetries(t, b, "billing")
	if _, err := r.disable(t, "billing", to.url); err != nil {
		t.Fatal(err)
	}

	second := endpoint(t, "billing", to.url, "shop.>")
	second.ID = "b"
	r.apply(t, []Endpoint{second})
	publish(t, b, "order.b")
	to.wants(t, "order.b")

	r.apply(t, []Endpoint{first}) // a process that has not heard of the second
	publish(t, b, "order.c")
	eventually(t, "the second keeps its consumer", func() bool {
		return durable(t, b, "billing").CachedInfo().Config.Metadata[metaID] == "b"
	})
}

func TestAnEndpointThatMovesToTheFileKeepsItsPlace(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	managed, filed := endpoint(t, "billing", to.url, "shop.>"), endpoint(t, "billing", to.url, "shop.>")
	managed.ID, managed.Enabled = "a", false
	newReplica(t, b, nil).apply(t, []Endpoint{managed})
	publish(t, b, "order.a")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{filed})
	r.start(t)
	to.wants(t, "order.a")
}

func TestWhatWasDeletedWhileNobodyDeliveredIsRemovedByTheSecondList(t *testing.T) {
	b := openBus(t, t.TempDir())
	deleted := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	deleted.ID = "a"
	newReplica(t, b, nil).apply(t, []Endpoint{deleted})
	r := newReplica(t, b, nil)
	r.apply(t, nil)
	if parked, err := b.Parked("EVENTS_PROD"); err != nil || len(parked) != 1 {
		t.Fatalf("after the first list %d consumers are parked, error %v; want 1", len(parked), err)
	}
	r.apply(t, nil)
	if parked, err := b.Parked("EVENTS_PROD"); err != nil || len(parked) != 0 || durable(t, b, "billing") != nil {
		t.Errorf("after the second list %d consumers are parked, error %v; want none", len(parked), err)
	}
}

func TestWhatWasMadeAndCannotBeInForceKeepsNothingElseFromIt(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	newReplica(t, b, nil).apply(t, nil, Subscriber{Name: "billing", Env: event.Prod, Events: []event.Pattern{"shop.>"}})
	wrong, right := endpoint(t, "billing", to.url, "shop.>"), endpoint(t, "ledger", to.url, "shop.>")
	wrong.ID = "a" // the name is a subscriber's, whose entry this process does not have
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{wrong, right})
	r.start(t)
	publish(t, b, "order.a")
	to.wants(t, "order.a")
}
