package fanout

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// disabledIn waits until the replica has stopped the endpoint for its state.
func (r *replica) disabledIn(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" is disabled", func() bool {
		return strings.Contains(r.logs.String(), "endpoint is disabled") && len(r.at(name)) == 0
	})
}

func TestAnEndpointThatIsGoneIsDisabledEverywhere(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	to.status.Store(http.StatusGone)
	e := endpoint(t, "billing", to.url, "shop.>")
	first, second := newReplica(t, b, nil), newReplica(t, b, nil)
	for _, r := range []*replica{first, second} {
		r.apply(t, []Endpoint{e}, Subscriber{Name: "watcher", Env: event.Prod, Events: []event.Pattern{"jethook.>"}})
		r.start(t)
	}
	publish(t, b, "order.a")
	first.disabledIn(t, "billing")
	second.disabledIn(t, "billing")

	publish(t, b, "order.b")
	eventually(t, "both events wait", func() bool {
		info := durable(t, b, "billing").CachedInfo()
		return int(info.NumPending)+info.NumAckPending == 2
	})
	told := toldOf(t, b)
	if told.Data.Endpoint != "billing" || told.Data.Env != event.Prod || told.Data.Reason == "" || told.Type != disabledType {
		t.Errorf("event: got %+v, want one about prod/billing with its reason", told)
	}
	if info := durable(t, b, "watcher").CachedInfo(); info.NumPending != 0 {
		t.Errorf("the disabling was told %d times more", info.NumPending)
	}

	well := newReceiver(t)
	e.URL = well.url
	first.apply(t, []Endpoint{e})
	second.apply(t, []Endpoint{e})
	well.wants(t, "order.a", "order.b")
	if keys := keysOf(t, b, bus.Endpoints); len(keys) != 0 {
		t.Errorf("states after the change of URL: got %q, want none", keys)
	}
}

// toldOf returns the notice that the subscriber watcher has next.
func toldOf(t *testing.T, b *bus.Bus) noticeBody {
	t.Helper()
	message, err := durable(t, b, "watcher").Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatalf("next notice: %v", err)
	}
	got, err := event.Decode(message.Headers(), message.Data())
	if err != nil {
		t.Fatal(err)
	}
	var body noticeBody
	if err := json.Unmarshal(got.Data, &body); err != nil {
		t.Fatalf("body %s: %v", got.Data, err)
	}
	if got.Source != event.System || got.Type != body.Type || got.ContentType != "application/json" {
		t.Errorf("event: got source %q, type %q, content type %q about a %q", got.Source, got.Type, got.ContentType, body.Type)
	}
	if err := message.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDisablingOutlivesTheProcess(t *testing.T) {
	b := openBus(t, t.TempDir())
	to, witness := newReceiver(t), newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	before := newReplica(t, b, nil)
	before.apply(t, []Endpoint{e})
	if _, err := before.disable(t, "billing", e.URL); err != nil {
		t.Fatal(err)
	}

	after := newReplica(t, b, nil)
	list := []Endpoint{e, endpoint(t, "witness", witness.url, "shop.>")}
	after.apply(t, list)
	after.start(t)
	publish(t, b, "order.a")
	witness.wants(t, "order.a")
	if len(to.got) != 0 {
		t.Error("a disabled endpoint was delivered to after a restart")
	}
	if got := strings.Count(after.logs.String(), "endpoint is disabled"); got != 1 {
		t.Errorf("warnings after the restart: got %d, want 1 in\n%s", got, after.logs)
	}
}

func TestSayingNotEnabledClearsTheDisabling(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e})
	r.start(t)
	if _, err := r.disable(t, "billing", e.URL); err != nil {
		t.Fatal(err)
	}
	r.disabledIn(t, "billing")
	publish(t, b, "order.a")

	e.Enabled = false
	r.apply(t, []Endpoint{e})
	e.Enabled = true
	r.apply(t, []Endpoint{e})
	to.wants(t, "order.a")
	if !strings.Contains(r.logs.String(), "no longer disabled") {
		t.Errorf("the clearing was not logged:\n%s", r.logs)
	}
}

func TestReplicasThatFindAnEndpointGoneTellOfItOnce(t *testing.T) {
	b := openBus(t, t.TempDir())
	first, second := newReplica(t, b, nil), newReplica(t, b, nil)
	billing, other := endpoint(t, "billing", "http://127.0.0.1:1", ">"), endpoint(t, "other", "http://127.0.0.1:1", ">")
	for _, r := range []*replica{first, second} {
		r.apply(t, []Endpoint{billing, other}, Subscriber{Name: "watcher", Env: event.Prod, Events: []event.Pattern{"jethook.>"}})
	}
	for _, r := range []*replica{first, second} {
		if err := r.gone(t.Context(), &billing.Endpoint, "410 Gone", time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.gone(t.Context(), &other.Endpoint, "410 Gone", time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"billing", "other"} {
		if told := toldOf(t, b); told.Data.Endpoint != want {
			t.Errorf("told of %q, want %q", told.Data.Endpoint, want)
		}
	}
}

func TestAnAnswerFromAnAddressThatIsNoLongerTheEndpointsDisablesNothing(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	moved, paused := e, e
	moved.URL, paused.Enabled = "http://127.0.0.1:2", false
	for name, list := range map[string][]Endpoint{"moved": {moved}, "paused": {paused}, "removed": nil} {
		r.apply(t, list)
		if err := r.gone(t.Context(), &e.Endpoint, "410 Gone", time.Time{}); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, b, bus.Endpoints); len(keys) != 0 {
			t.Errorf("%s meanwhile: got states %q, want none", name, keys)
		}
	}
}

func TestTheFirstToDisableIsHeard(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	first, err := r.disable(t, "billing", "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.disable(t, "billing", "http://127.0.0.1:1")
	if err != nil || again.revision != first.revision || !again.Disabled.At.Equal(first.Disabled.At) {
		t.Errorf("disabled again: got %+v, error %v; want the record of the first, %+v", again, err, first)
	}
	moved, err := r.disable(t, "billing", "http://127.0.0.1:2")
	if err != nil || !moved.bars("http://127.0.0.1:2") || moved.bars("http://127.0.0.1:1") {
		t.Errorf("disabled at another URL: got %+v, error %v; want a record of that URL alone", moved, err)
	}
}

func TestAnOldStateThatComesLateIsPassedOver(t *testing.T) {
	r := newReplica(t, openBus(t, t.TempDir()), nil)
	barred := state{Disabled: &disabled{At: time.Now(), Fingerprint: fingerprint("u")}}
	for _, step := range []struct {
		name string
		record
		want bool
	}{
		{"disabled", record{state: barred, revision: 5}, true},
		{"an older end", record{revision: 4, deleted: true}, true},
		{"the end of this very one", record{revision: 5, deleted: true}, false},
		{"this one again", record{state: barred, revision: 5}, false},
		{"a newer one", record{state: barred, revision: 6}, true},
	} {
		r.note(ref{event.Prod, "billing"}, step.record)
		if got := r.records[ref{event.Prod, "billing"}].bars("u"); got != step.want {
			t.Errorf("after %s: barred %v, want %v", step.name, got, step.want)
		}
	}
}
