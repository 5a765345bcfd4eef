package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// bury stores an event as dead, as a worker does.
func (d *desk) bury(e *event.Event, endpoint string) string {
	d.t.Helper()
	found, err := d.bus.Find(d.t.Context(), e.Env, e.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	body, err := json.Marshal(deliver.Dead{EventID: e.ID, Type: e.Type, Source: e.Source, Env: e.Env, Endpoint: endpoint,
		Stream: bus.StreamName(e.Env), Sequence: found.Sequence, Reason: "gave up", Attempts: 10, LastStatus: 500,
		FirstAttemptAt: time.Now().Add(-time.Hour).UTC(), LastAttemptAt: time.Now().UTC()})
	if err != nil {
		d.t.Fatal(err)
	}
	number, err := d.bus.Put(d.t.Context(), bus.Dead, &nats.Msg{Subject: deliver.DeadSubject(e.Env, endpoint), Data: body})
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("dead_%d", number)
}

// due returns how many deliveries are due at an endpoint.
func (d *desk) due(env event.Env, endpoint string) uint64 {
	d.t.Helper()
	due, err := d.bus.Subjects(d.t.Context(), bus.Retry, deliver.DueSubject(env, endpoint))
	if err != nil {
		d.t.Fatal(err)
	}
	return due[deliver.DueSubject(env, endpoint)]
}

func deadIDs(list api.List[api.Dead]) []string {
	ids := []string{}
	for _, d := range list.Data {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestADeadEventIsListedRetriedAtItsEndpointAloneAndThenNotListed(t *testing.T) {
	d := newDesk(t)
	e := d.publish(event.Prod, "order.paid", "1")
	id, other := d.bury(e, "billing"), d.bury(e, "ledger")
	list := read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead", prodKey, "")
	if got := deadIDs(list); len(got) != 2 || got[0] != other || got[1] != id {
		t.Errorf("listed %v, want %s and %s", got, other, id)
	}
	list = read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead?endpoint=billing&since=1h", prodKey, "")
	if got := deadIDs(list); len(got) != 1 || got[0] != id {
		t.Errorf("of billing: listed %v, want %s", got, id)
	}
	one := read[api.Dead](d, http.MethodGet, "/v1/dead/"+id, prodKey, "")
	if one != list.Data[0] || one.EventID != string(e.ID) || one.EventType != "order.paid" || one.Reason != "gave up" || one.Attempts != 10 || one.LastStatus != 500 {
		t.Errorf("shown as %+v", one)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		d.refused(d.ask(method, "/v1/dead/"+id, testKey, ""), 404, "not_found")
	}
	d.refused(d.ask(http.MethodPost, "/v1/dead/"+id+"/retry", testKey, ""), 404, "not_found")

	got := read[api.Redelivery](d, http.MethodPost, "/v1/dead/"+id+"/retry", prodKey, "")
	if got != (api.Redelivery{EventID: string(e.ID), Endpoint: "billing"}) {
		t.Errorf("answer %+v", got)
	}
	if d.due(event.Prod, "billing") != 1 || d.due(event.Prod, "ledger") != 0 {
		t.Errorf("due: %d at billing and %d at ledger, want one at billing alone", d.due(event.Prod, "billing"), d.due(event.Prod, "ledger"))
	}
	d.refused(d.ask(http.MethodPost, "/v1/dead/"+id+"/retry", prodKey, ""), 404, "not_found")
	if got := deadIDs(read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead", prodKey, "")); len(got) != 1 || got[0] != other {
		t.Errorf("listed %v, want %s alone", got, other)
	}
	if w := d.ask(http.MethodDelete, "/v1/dead/"+other, prodKey, ""); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("drop: %d %s, want 204", w.Code, w.Body)
	}
	d.refused(d.ask(http.MethodGet, "/v1/dead/"+other, prodKey, ""), 404, "not_found")
	for _, id := range []string{"dead_0", "dead_x", "1", "dead_99"} {
		d.refused(d.ask(http.MethodGet, "/v1/dead/"+id, prodKey, ""), 404, "not_found")
	}
}

func TestDeadEventsOfANameThatIsNotThereAreNotFound(t *testing.T) {
	d := newDesk(t)
	if got := deadIDs(read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead?endpoint=billing", prodKey, "")); len(got) != 0 {
		t.Errorf("of billing: listed %v, want none", got)
	}
	d.refused(d.ask(http.MethodGet, "/v1/dead?endpoint=biling", prodKey, ""), 404, "not_found")
	id := d.bury(d.publish(event.Prod, "order.paid", "1"), "removed")
	if got := deadIDs(read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead?endpoint=removed", prodKey, "")); len(got) != 1 || got[0] != id {
		t.Errorf("of an endpoint that was removed: listed %v, want %s", got, id)
	}
}

func TestDeadEventsAreListedByTypeHoweverManyOthersDiedSince(t *testing.T) {
	d := newDesk(t)
	want := []string{}
	for n := range 3 {
		want = append([]string{d.bury(d.publish(event.Prod, "customer.created", fmt.Sprint("old ", n)), "billing")}, want...)
	}
	other := d.bury(d.publish(event.Prod, "customer.created", "other"), "ledger")
	paid := d.publish(event.Prod, "order.paid", "1")
	for range 700 {
		d.bury(paid, "billing")
	}
	for query, ids := range map[string][]string{
		"type=customer.*&endpoint=billing":                   want,
		"type=customer.created&limit=2":                      {other, want[0]},
		"type=customer.*&limit=2&offset=2":                   want[1:],
		"type=%3E&limit=1&endpoint=ledger":                   {other},
		"type=customer&endpoint=billing":                     {},
		"type=customer.*.x":                                  {},
		"type=customer.created&endpoint=billing&until=1h":    {},
		"type=customer.created&endpoint=billing&since=1000h": want,
	} {
		list := read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead?"+query, prodKey, "")
		if got := deadIDs(list); !slices.Equal(got, ids) {
			t.Errorf("%s: listed %v, want %v", query, got, ids)
		}
		if want := query == "type=customer.created&limit=2"; list.HasMore != want {
			t.Errorf("%s: has more is %t, want %t", query, list.HasMore, want)
		}
	}
	d.refused(d.ask(http.MethodGet, "/v1/dead?type=customer..x", prodKey, ""), 422, "invalid")
	d.refused(d.ask(http.MethodGet, "/v1/dead?type=order.*&endpoint=biling", prodKey, ""), 404, "not_found")
}

func TestADeadEventWhoseBodyIsGoneIsNotRetried(t *testing.T) {
	d := newDesk(t)
	e := d.publish(event.Prod, "order.paid", "1")
	id := d.bury(e, "billing")
	stream, err := d.bus.JetStream().Stream(t.Context(), bus.StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.refused(d.ask(http.MethodPost, "/v1/dead/"+id+"/retry", prodKey, ""), 409, "event_gone")
	if got := read[api.Retried](d, http.MethodPost, "/v1/dead/retry", prodKey, `{"endpoint":"billing"}`); got != (api.Retried{Gone: 1}) {
		t.Errorf("answer %+v, want one gone", got)
	}
	if got := read[api.Dead](d, http.MethodGet, "/v1/dead/"+id, prodKey, ""); got.ID != id {
		t.Errorf("it is not listed any more: %+v", got)
	}
}

func TestTheDeadEventsOfAnEndpointAreRetriedInBatches(t *testing.T) {
	d := newDesk(t)
	kept := d.bury(d.publish(event.Prod, "customer.created", "kept"), "billing")
	other := d.bury(d.publish(event.Prod, "order.paid", "other"), "ledger")
	const many = 1003
	for n := range many {
		d.bury(d.publish(event.Prod, "order.paid", fmt.Sprint(n)), "billing")
	}
	first := read[api.Retried](d, http.MethodPost, "/v1/dead/retry", prodKey, `{"endpoint":"billing","type":"order.*","since":"1h"}`)
	if first.Retried != 1000 || first.Next == "" {
		t.Fatalf("first batch %+v, want 1000 and a next", first)
	}
	second := read[api.Retried](d, http.MethodPost, "/v1/dead/retry", prodKey, fmt.Sprintf(`{"endpoint":"billing","type":"order.*","after":%q}`, first.Next))
	if second != (api.Retried{Retried: 3}) {
		t.Errorf("second batch %+v, want 3 and no next", second)
	}
	if got := d.due(event.Prod, "billing"); got != many {
		t.Errorf("%d are due, want %d", got, many)
	}
	if got := deadIDs(read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead", prodKey, "")); len(got) != 2 || got[0] != other || got[1] != kept {
		t.Errorf("left are %v, want %s and %s", got, other, kept)
	}
	d.refused(d.ask(http.MethodPost, "/v1/dead/retry", prodKey, `{"endpoint":"nobody"}`), 404, "not_found")
	d.refused(d.ask(http.MethodPost, "/v1/dead/retry", prodKey, `{"endpoint":"billing","after":"x"}`), 422, "invalid")
}

func TestTheDeadEventsOfAnEndpointAreDroppedInBatchesAndStayEvents(t *testing.T) {
	d := newDesk(t)
	kept := d.bury(d.publish(event.Prod, "customer.created", "kept"), "billing")
	paid := d.publish(event.Prod, "order.paid", "paid")
	other := d.bury(paid, "ledger")
	for range 1003 {
		d.bury(paid, "billing")
	}
	d.refused(d.ask(http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"billing","type":"order..x"}`), 422, "invalid")
	d.refused(d.ask(http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"billing","after":"x"}`), 422, "invalid")
	d.refused(d.ask(http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"nobody"}`), 404, "not_found")
	d.refused(d.ask(http.MethodPost, "/v1/dead/drop", prodKey, `{}`), 422, "invalid")
	for _, many := range []string{"*", ">", "billing.>"} {
		d.refused(d.ask(http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"`+many+`"}`), 422, "invalid")
	}
	if got := read[api.Dropped](d, http.MethodPost, "/v1/dead/drop", testKey, `{"endpoint":"billing"}`); got != (api.Dropped{}) {
		t.Errorf("of the other environment: %+v, want none", got)
	}
	if got := read[api.Dropped](d, http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"billing","until":"1h"}`); got != (api.Dropped{}) {
		t.Errorf("of an hour ago: %+v, want none", got)
	}
	first := read[api.Dropped](d, http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"billing","type":"order.*","since":"1h"}`)
	if first.Dropped != 1000 || first.Next == "" {
		t.Fatalf("first batch %+v, want 1000 and a next", first)
	}
	second := read[api.Dropped](d, http.MethodPost, "/v1/dead/drop", prodKey, fmt.Sprintf(`{"endpoint":"billing","type":"order.*","after":%q}`, first.Next))
	if second != (api.Dropped{Dropped: 3}) {
		t.Errorf("second batch %+v, want 3 and no next", second)
	}
	if got := deadIDs(read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead", prodKey, "")); len(got) != 2 || got[0] != other || got[1] != kept {
		t.Errorf("left are %v, want %s and %s", got, other, kept)
	}
	if got := d.due(event.Prod, "billing"); got != 0 {
		t.Errorf("%d are delivered again, want none", got)
	}
	if got := read[api.Event](d, http.MethodGet, "/v1/events/"+string(paid.ID), prodKey, ""); got.ID != string(paid.ID) {
		t.Errorf("the event is %+v, want it as before", got)
	}
}

func TestWhatIsDeadAtAnEndpointThatWasRemovedIsDropped(t *testing.T) {
	d := newDesk(t)
	d.bury(d.publish(event.Prod, "order.paid", "1"), "removed")
	if got := read[api.Dropped](d, http.MethodPost, "/v1/dead/drop", prodKey, `{"endpoint":"removed"}`); got != (api.Dropped{Dropped: 1}) {
		t.Errorf("answer %+v, want one", got)
	}
}
