package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestAnEndpointThatAnswers410IsDisabledUntilItsURLChanges(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.path == "/old" {
			return http.StatusGone
		}
		return http.StatusOK
	})
	operators, other := newReceiver(t, nil), newReceiver(t, nil)
	store := embeddedIn(t.TempDir())
	configured := func(url string) []string {
		return []string{store, sources(desk), endpoints(
			to("billing", url, signed),
			to("other", other.server.URL, signed),
			`{name: operators, url: "`+operators.server.URL+`", events: ["jethook.endpoint.*"], `+signed+`}`)}
	}
	b := start(t, configured(r.server.URL+"/old")...)

	ids := []string{b.hand("order.paid", "1")}
	if got := r.next(); got.status != http.StatusGone || got.id() != ids[0] {
		t.Fatalf("%s was answered %d", got.id(), got.status)
	}
	t.Run("an event tells of it", func(t *testing.T) { toldOfDisabling(t, operators.next()) })
	b.waitLog("endpoint is disabled and its events wait")
	t.Run("nothing more is delivered to it", func(t *testing.T) {
		ids = append(ids, b.hand("order.paid", "2"))
		other.of(2)
		r.empty()
	})
	t.Run("nor after a restart", func(t *testing.T) {
		if code := b.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
		b.run()
		ids = append(ids, b.hand("order.paid", "3"))
		if got := other.next().id(); got != ids[2] {
			t.Errorf("the other endpoint got %s, want %s", got, ids[2])
		}
		r.empty()
	})
	t.Run("with another url it gets its backlog", func(t *testing.T) {
		b.reconfigure(configured(r.server.URL + "/new")...)
		got := r.of(len(ids))
		for _, id := range ids {
			if len(got[id]) != 1 || got[id][0].path != "/new" {
				t.Errorf("%s was delivered %d times at the new url, want once", id, len(got[id]))
			}
		}
	})
	other.empty()
	operators.empty()
}

func toldOfDisabling(t *testing.T, d delivery) {
	t.Helper()
	verifies(t, endpointSecret, d)
	if got := d.header.Get("ce-type"); got != "jethook.endpoint.disabled" {
		t.Errorf("ce-type %q, want jethook.endpoint.disabled", got)
	}
	var body struct {
		Type string
		Data struct{ Endpoint, Env, Reason string }
	}
	if err := json.Unmarshal(d.body, &body); err != nil {
		t.Fatalf("body %s: %v", d.body, err)
	}
	if body.Type != "jethook.endpoint.disabled" || body.Data.Endpoint != "billing" || body.Data.Env != "prod" || !strings.Contains(body.Data.Reason, "410") {
		t.Errorf("body %s, want that billing in prod is disabled because of a 410", d.body)
	}
}

func TestADisabledEndpointIsEnabledByTheFile(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		if back.Load() {
			return http.StatusOK
		}
		return http.StatusGone
	})
	store := embeddedIn(t.TempDir())
	configured := func(more ...string) []string {
		return []string{store, sources(desk), endpoints(to("billing", r.server.URL, append(more, signed)...))}
	}
	b := start(t, configured()...)
	id := b.hand("order.paid", "1")
	r.next()
	b.waitLog("endpoint is disabled and its events wait")
	back.Store(true)
	b.reconfigure(configured("enabled: false")...)
	b.reconfigure(configured()...)
	if got := r.next(); got.id() != id || got.status != http.StatusOK {
		t.Errorf("%s was answered %d, want %s and 200", got.id(), got.status, id)
	}
}
