package fanout

import (
	"strings"
	"testing"

	"github.com/jethook/jethook/internal/event"
)

func TestAChangeIsOfTheNamesThatItIsGiven(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	kept, changed, added := newReceiver(t), newReceiver(t), newReceiver(t)
	r.apply(t, []Endpoint{endpoint(t, "kept", kept.url, "shop.paid"), endpoint(t, "changed", "http://127.0.0.1:1", "shop.none"), endpoint(t, "removed", kept.url, "shop.paid")},
		Subscriber{Name: "orders", Env: event.Prod, Events: []event.Pattern{"shop.>"}},
		Subscriber{Name: "left", Env: event.Prod, Events: []event.Pattern{"shop.>"}})
	publish(t, b, "paid")
	kept.wants(t, "paid", "paid")
	if err := r.Change(t.Context(),
		[]Name{{event.Prod, "changed"}, {event.Prod, "added"}, {event.Prod, "removed"}, {event.Prod, "left"}, {event.Prod, "never"}},
		[]Endpoint{endpoint(t, "changed", changed.url, "shop.refunded"), endpoint(t, "added", added.url, "shop.refunded")}, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"kept": true, "changed": true, "added": true, "orders": true, "removed": false, "left": false} {
		if is := durable(t, b, name) != nil; is != want {
			t.Errorf("there is a consumer %s: %v, want %v", name, is, want)
		}
	}
	publish(t, b, "refunded")
	changed.wants(t, "refunded")
	added.wants(t, "refunded")
	take(t, durable(t, b, "orders"), 2)
	// What is in force is what an Apply of the same list would have found.
	before := r.logs.String()
	r.apply(t, []Endpoint{endpoint(t, "kept", kept.url, "shop.paid"), endpoint(t, "changed", changed.url, "shop.refunded"), endpoint(t, "added", added.url, "shop.refunded")},
		Subscriber{Name: "orders", Env: event.Prod, Events: []event.Pattern{"shop.>"}})
	if text := strings.TrimPrefix(r.logs.String(), before); strings.Contains(text, "consumer is as it is configured") || strings.Contains(text, "removed with its consumer") {
		t.Errorf("an Apply of the list that is in force changes something:\n%s", text)
	}
}

func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")})
	if err := r.Change(t.Context(), []Name{{event.Prod, "billing"}, {event.Prod, "fresh"}},
		[]Endpoint{endpoint(t, "fresh", "ftp://x", "shop.>")}, nil); err == nil || !strings.Contains(err.Error(), "prod/fresh") {
		t.Errorf("got error %v, want one of the endpoint that is wrong", err)
	}
	if durable(t, b, "billing") == nil || durable(t, b, "fresh") != nil {
		t.Error("the refused change is in force")
	}
}

func TestANameThatIsTakenFromAnEndpointIsANewSubscribersAfterwards(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	e.ID = "1"
	r.apply(t, []Endpoint{e})
	names := []Name{{event.Prod, "billing"}}
	if err := r.Change(t.Context(), names, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Change(t.Context(), names, nil, []Subscriber{{Name: "billing", Env: event.Prod, Events: []event.Pattern{"shop.>"}, ID: "2"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "paid")
	take(t, durable(t, b, "billing"), 1)
}
