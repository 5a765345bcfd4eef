package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestEventsAreListedByTheirFilters(t *testing.T) {
	d := newDesk(t)
	for _, kind := range []string{"order.paid", "order.refunded", "customer.created"} {
		d.publish(event.Prod, kind, kind)
	}
	for query, want := range map[string][]string{
		"":                               {"customer.created", "order.refunded", "order.paid"},
		"?source=shop":                   {"customer.created", "order.refunded", "order.paid"},
		"?source=other":                  {},
		"?type=order.*":                  {"order.refunded", "order.paid"},
		"?type=order.paid":               {"order.paid"},
		"?source=shop&type=order.>":      {"order.refunded", "order.paid"},
		"?since=1h":                      {"customer.created", "order.refunded", "order.paid"},
		"?until=1h":                      {},
		"?since=2200-01-01T00:00:00Z":    {},
		"?limit=1":                       {"customer.created"},
		"?limit=1&offset=1":              {"order.refunded"},
		"?limit=2&offset=2":              {"order.paid"},
		"?type=order.*&since=1h&limit=1": {"order.refunded"},
	} {
		list := read[api.List[api.Event]](d, http.MethodGet, "/v1/events"+query, prodKey, "")
		got := []string{}
		for _, e := range list.Data {
			got = append(got, e.Type)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
	if list := read[api.List[api.Event]](d, http.MethodGet, "/v1/events?limit=2", prodKey, ""); !list.HasMore {
		t.Error("two of three: has_more is false")
	}
}

func TestAnEventIsShownWithItsBodyByteForByte(t *testing.T) {
	d := newDesk(t)
	e := &event.Event{ID: event.NewID(event.Prod, "shop", "raw"), Env: event.Prod, Source: "shop", Type: "order.paid", Time: time.Now(),
		ContentType: "text/html; charset=utf-8", Data: []byte("<script>\x00\xff</script>\n"), Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	receipt, err := d.bus.Publish(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{string(e.ID), "1"} {
		got := read[api.Event](d, http.MethodGet, "/v1/events/"+id, prodKey, "")
		want := api.Event{ID: string(e.ID), Type: "order.paid", Source: "shop", Env: "prod", Time: e.Time.UTC(), Sequence: receipt.Sequence,
			Size: len(e.Data), ContentType: e.ContentType, Traceparent: e.Traceparent}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		w := d.ask(http.MethodGet, "/v1/events/"+id+"/body", prodKey, "")
		if w.Body.String() != string(e.Data) || w.Header().Get("Content-Type") != e.ContentType {
			t.Errorf("%s: body %q of %q, want the event's own", id, w.Body, w.Header().Get("Content-Type"))
		}
		if w.Header().Get("Content-Disposition") != "attachment" || w.Header().Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%s: a browser would show a stranger's page: %v", id, w.Header())
		}
	}
	for _, id := range []string{"evt_aaaaaaaaaaaaaaaaaaaaaaaaaa", "2", "0", "x", "-1", "99999999999999999999"} {
		d.refused(d.ask(http.MethodGet, "/v1/events/"+id, prodKey, ""), 404, "not_found")
	}
}

// record stores a group of attempts as a worker does.
func (d *desk) record(endpoint string, attempts ...deliver.Attempt) {
	d.t.Helper()
	var group []byte
	for _, a := range attempts {
		line, err := json.Marshal(a)
		if err != nil {
			d.t.Fatal(err)
		}
		group = append(append(group, line...), '\n')
	}
	if _, err := d.bus.JetStream().Publish(d.t.Context(), deliver.AttemptsSubject(attempts[0].Env, endpoint), group); err != nil {
		d.t.Fatal(err)
	}
}

func TestTheAttemptsOfAnEventAreShown(t *testing.T) {
	d := newDesk(t)
	e, other := d.publish(event.Prod, "order.paid", "1"), d.publish(event.Prod, "order.paid", "2")
	at := time.Now().UTC()
	of := func(e *event.Event, endpoint string, number int, outcome deliver.Outcome) deliver.Attempt {
		return deliver.Attempt{EventID: e.ID, EventType: e.Type, Env: e.Env, Endpoint: endpoint, Number: number, At: at,
			DurationMS: 1.5, Status: 500, Outcome: outcome, Error: "answered " + string(other.ID), Response: "no"}
	}
	d.record("billing", of(e, "billing", 1, deliver.OutcomeRetry), of(other, "billing", 1, deliver.OutcomeDelivered))
	d.record("ledger", of(e, "ledger", 1, deliver.OutcomeDelivered))
	d.record("billing", of(e, "billing", 2, deliver.OutcomeDead))
	for query, want := range map[string][]string{"": {"billing 1", "ledger 1", "billing 2"}, "?endpoint=ledger": {"ledger 1"}, "?endpoint=nobody": nil} {
		list := read[api.Attempts](d, http.MethodGet, "/v1/events/"+string(e.ID)+"/attempts"+query, prodKey, "")
		var got []string
		for _, a := range list.Data {
			got = append(got, a.Endpoint+" "+string(rune('0'+a.Attempt)))
		}
		if diff := cmp.Diff(want, got); diff != "" || !list.Complete {
			t.Errorf("%q: complete %v (-want +got):\n%s", query, list.Complete, diff)
		}
	}
}

func TestAnEventIsSentAgainAsOftenAsItIsAskedFor(t *testing.T) {
	d := newDesk(t)
	e := d.publish(event.Prod, "order.paid", "1")
	for range 2 {
		got := read[api.Redelivery](d, http.MethodPost, "/v1/events/"+string(e.ID)+"/resend", prodKey, `{"endpoint":"billing"}`)
		if got != (api.Redelivery{EventID: string(e.ID), Endpoint: "billing"}) {
			t.Errorf("answer %+v", got)
		}
	}
	d.eventually("both are due", func() bool {
		due, err := d.bus.Subjects(t.Context(), bus.Retry, bus.RetryDue+".>")
		return err == nil && len(due) == 1 && due[deliver.DueSubject(event.Prod, "billing")] == 2
	})
	d.refused(d.ask(http.MethodPost, "/v1/events/"+string(e.ID)+"/resend", prodKey, `{"endpoint":"nobody"}`), 404, "not_found")
}

// eventually waits for what nothing tells of.
func (d *desk) eventually(what string, holds func() bool) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			d.t.Fatalf("it did not come about that %s", what)
		}
	}
}

func TestWhereAnEventIsDeadIsShownBesideItsAttemptsAlsoWithoutOne(t *testing.T) {
	d := newDesk(t)
	e, other := d.publish(event.Prod, "order.paid", "1"), d.publish(event.Prod, "order.paid", "2")
	d.postpone(e, "billing", time.Now().Add(time.Hour))
	gone := d.bury(e, "ledger")
	d.bury(other, "billing")
	read[api.Counted](d, http.MethodDelete, "/v1/endpoints/billing/retries", prodKey, "")
	of := func(query string) []string {
		list := read[api.Attempts](d, http.MethodGet, "/v1/events/"+string(e.ID)+"/attempts"+query, prodKey, "")
		if len(list.Data) != 0 || !list.Complete {
			t.Errorf("%d attempts and complete is %t, want none and all", len(list.Data), list.Complete)
		}
		where := []string{}
		for _, one := range list.Dead {
			shown := read[api.Dead](d, http.MethodGet, "/v1/dead/"+one.ID, prodKey, "")
			if one != shown || one.EventID != string(e.ID) {
				t.Errorf("%+v beside the attempts of %s, and %+v in the list", one, e.ID, shown)
			}
			where = append(where, one.Endpoint+": "+one.Reason)
		}
		return where
	}
	for query, want := range map[string][]string{
		"": {"ledger: gave up", "billing: cancelled"}, "?endpoint=billing": {"billing: cancelled"}, "?endpoint=nobody": {},
	} {
		if got := of(query); !slices.Equal(got, want) {
			t.Errorf("%q: dead are %q, want %q", query, got, want)
		}
	}
	read[api.Redelivery](d, http.MethodPost, "/v1/dead/"+gone+"/retry", prodKey, "")
	if got := of(""); !slices.Equal(got, []string{"billing: cancelled"}) {
		t.Errorf("dead are %q after one was retried", got)
	}
}
