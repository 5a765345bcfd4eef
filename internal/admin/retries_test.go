package admin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// postpone stores a retry that waits, as a worker does.
func (d *desk) postpone(e *event.Event, endpoint string, at time.Time) {
	d.t.Helper()
	found, err := d.bus.Find(d.t.Context(), e.Env, e.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	p := deliver.Pointer{Env: e.Env, Endpoint: endpoint, Sequence: found.Sequence, EventID: e.ID, Attempts: 3, FirstAttempt: time.Now().Add(-time.Hour)}
	if _, err := d.bus.Put(d.t.Context(), bus.Retry, p.At(at)); err != nil {
		d.t.Fatal(err)
	}
}

func TestAllWaitingRetriesOfAnEndpointAreHastened(t *testing.T) {
	d := newDesk(t)
	for n := range 50 {
		e := d.publish(event.Prod, "order.paid", fmt.Sprint(n))
		d.postpone(e, "billing", time.Now().Add(time.Hour))
		if n < 2 {
			d.postpone(e, "ledger", time.Now().Add(time.Hour))
		}
	}
	if got := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/billing", prodKey, ""); got.Retries != 50 {
		t.Errorf("%d retries are shown, want 50", got.Retries)
	}
	d.refused(d.ask(http.MethodPost, "/v1/endpoints/ledger/retries/hasten", testKey, ""), 404, "not_found")
	if got := read[api.Counted](d, http.MethodPost, "/v1/endpoints/billing/retries/hasten", prodKey, ""); got != (api.Counted{Count: 50}) {
		t.Errorf("answer %+v, want 50", got)
	}
	d.eventually("all are due", func() bool { return d.due(event.Prod, "billing") == 50 })
	if got := d.due(event.Prod, "ledger"); got != 0 {
		t.Errorf("%d are due at another endpoint", got)
	}
	waiting, err := d.bus.Subjects(t.Context(), bus.Retry, bus.RetryWait+".prod.billing.>")
	if err != nil || len(waiting) != 0 {
		t.Errorf("%v still wait, %v", waiting, err)
	}
}

func TestCancelledRetriesBecomeDeadEvents(t *testing.T) {
	d := newDesk(t)
	waits, due := d.publish(event.Prod, "order.paid", "waits"), d.publish(event.Prod, "order.paid", "due")
	d.postpone(waits, "billing", time.Now().Add(time.Hour))
	d.postpone(waits, "ledger", time.Now().Add(time.Hour))
	d.postpone(due, "billing", time.Now())
	d.eventually("one is due", func() bool { return d.due(event.Prod, "billing") == 1 })
	for range 2 { // also again, after they were retried
		if got := read[api.Counted](d, http.MethodDelete, "/v1/endpoints/billing/retries", prodKey, ""); got != (api.Counted{Count: 2}) {
			t.Errorf("answer %+v, want 2", got)
		}
		list := read[api.List[api.Dead]](d, http.MethodGet, "/v1/dead?endpoint=billing", prodKey, "")
		if len(list.Data) != 2 {
			t.Fatalf("dead are %+v, want both", list.Data)
		}
		for _, of := range list.Data {
			if of.Reason != "cancelled" || of.EventType != "order.paid" || of.Source != "shop" {
				t.Errorf("dead event %+v, want one that was cancelled", of)
			}
		}
		shown := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/billing", prodKey, "")
		if shown.Retries != 0 || shown.Dead != 2 {
			t.Errorf("%d retries and %d dead are shown, want 0 and 2", shown.Retries, shown.Dead)
		}
		if got := read[api.Retried](d, http.MethodPost, "/v1/dead/retry", prodKey, `{"endpoint":"billing"}`); got.Retried != 2 {
			t.Errorf("retried %+v, want 2", got)
		}
	}
	if got := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/ledger", prodKey, ""); got.Retries != 1 {
		t.Errorf("another endpoint has %d retries, want its one", got.Retries)
	}
}
