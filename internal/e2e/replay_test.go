package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/jethook/jethook/api"
)

// replayed waits until a replay is over.
func replayed(t *testing.T, client *api.Client, id string) (r api.Replay) {
	t.Helper()
	eventually(t, "the replay is over", func() bool {
		r = done[api.Replay](t)(client.Replay(t.Context(), id))
		return r.State != "running"
	})
	return r
}

func TestAReplayDeliversWhatIsStoredToOneEndpointAgain(t *testing.T) {
	t.Parallel()
	billing, ledger := newReceiver(t, nil), newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(
		to("billing", billing.server.URL, signed, "filter: 'true'"), to("ledger", ledger.server.URL, signed)))
	client := b.manager(prodKey)
	var ids []string
	for i := range 20 {
		ids = append(ids, b.hand("order.paid", fmt.Sprint(i)))
	}
	b.hand("order.refunded", "other")
	billing.of(21)
	ledger.of(21)
	done[api.Endpoint](t)(client.Pause(t.Context(), "billing"))
	b.hand("order.paid", "waits")

	spec := api.ReplaySpec{Endpoint: "billing", Events: []string{"desk.order.paid"}, DryRun: true}
	if dry := done[api.Replay](t)(client.CreateReplay(t.Context(), spec)); dry.Count != 21 || dry.ID != "" {
		t.Errorf("a dry run answers %+v, want 21 events", dry)
	}
	spec.DryRun = false
	made := done[api.Replay](t)(client.CreateReplay(t.Context(), spec))
	got := billing.of(21) // although it is paused
	for _, id := range ids {
		if len(got[id]) != 1 || "rpl_"+got[id][0].header.Get("jethook-replay") != made.ID {
			t.Errorf("%s was delivered %d times in the replay, want once with its id", id, len(got[id]))
		}
	}
	if r := replayed(t, client, made.ID); r.State != "done" || r.Handled != 21 || r.Count != 21 {
		t.Errorf("ended as %+v, want all 21 done", r)
	}
	if e := done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing")); e.State != "paused" || e.Waiting != 1 {
		t.Errorf("after it the endpoint is %s and %d wait, want it paused with 1", e.State, e.Waiting)
	}
	ledger.next() // the one that waits for the other
	ledger.empty()
	billing.empty()
}

func TestAReplayGoesOnAfterAKillWithoutAGap(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	const events = 100
	for i := range events {
		b.hand("order.paid", fmt.Sprint(i))
	}
	r.of(events)
	made := done[api.Replay](t)(b.manager(prodKey).CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "billing", Rate: "50/s"}))
	again := map[string]bool{}
	take := func() {
		if d := r.next(); d.header.Get("jethook-replay") != "" {
			again[d.header.Get("webhook-id")] = true
		}
	}
	for len(again) < events/4 {
		take()
	}
	b.kill()
	b.run()
	for len(again) < events {
		take()
	}
	if r := replayed(t, b.manager(prodKey), made.ID); r.State != "done" {
		t.Errorf("ended as %+v", r)
	}
}

func TestAReplayIsPausedAndCancelled(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	client := b.manager(prodKey)
	for i := range 50 {
		b.hand("order.paid", fmt.Sprint(i))
	}
	r.of(50)
	made := done[api.Replay](t)(client.CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "billing", Rate: "5/s"}))
	r.next()
	if paused := done[api.Replay](t)(client.PauseReplay(t.Context(), made.ID)); paused.State != "paused" {
		t.Errorf("paused as %+v", paused)
	}
	done[api.Replay](t)(client.ResumeReplay(t.Context(), made.ID))
	r.next()
	if over := done[api.Replay](t)(client.CancelReplay(t.Context(), made.ID)); over.State != "cancelled" || over.Handled >= 50 {
		t.Errorf("cancelled as %+v", over)
	}
	if list := done[api.List[api.Replay]](t)(client.Replays(t.Context(), api.Page{})); len(list.Data) != 1 || list.Data[0].State != "cancelled" {
		t.Errorf("listed %+v", list.Data)
	}
	for _, spec := range []api.ReplaySpec{{Endpoint: "billing", Where: "data."}, {Endpoint: "billing", Since: "yesterday"}, {Endpoint: "billing", Rate: "fast"}, {Endpoint: "billing", Events: []string{"desk"}}} {
		_, err := client.CreateReplay(t.Context(), spec)
		refusedAs(t, err, http.StatusUnprocessableEntity)
	}
	_, err := client.CreateReplay(t.Context(), api.ReplaySpec{Endpoint: "nobody"})
	refusedAs(t, err, http.StatusNotFound)
	_, err = b.manager(testKey).Replay(t.Context(), made.ID)
	refusedAs(t, err, http.StatusNotFound)
}
