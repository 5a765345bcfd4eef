package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/event"
)

func names(list api.List[api.Endpoint]) []string {
	var all []string
	for _, e := range list.Data {
		all = append(all, e.Name)
	}
	return all
}

func TestEndpointsAreListedByTheirFiltersWithoutPasswords(t *testing.T) {
	d := newDesk(t)
	off := endpoint("off", event.Prod, "shop.>")
	off.Enabled = false
	d.directory.SetEndpoints([]fanout.Endpoint{endpoint("billing", event.Prod, "shop.>"), endpoint("ledger", event.Prod, "shop.order.*"), off,
		endpoint("tests", event.Test, event.AllEvents)})
	for query, want := range map[string][]string{
		"": {"billing", "ledger", "off"}, "?limit=1": {"billing"}, "?limit=1&offset=1": {"ledger"}, "?offset=9": nil,
		"?enabled=true": {"billing", "ledger"}, "?enabled=false": {"off"},
		"?event=shop.order.paid": {"billing", "ledger", "off"}, "?event=shop.customer": {"billing", "off"}, "?event=other.order": nil,
	} {
		w := d.ask(http.MethodGet, "/v1/endpoints"+query, prodKey, "")
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%q shows a password: %s", query, w.Body)
		}
		if got := names(read[api.List[api.Endpoint]](d, http.MethodGet, "/v1/endpoints"+query, prodKey, "")); !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", query, got, want)
		}
	}
	if got := names(read[api.List[api.Endpoint]](d, http.MethodGet, "/v1/endpoints", testKey, "")); !slices.Equal(got, []string{"tests"}) {
		t.Errorf("the test key lists %v, want tests alone", got)
	}
	one := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/off", prodKey, "")
	if one.State != "disabled" || one.Enabled || one.ManagedBy != "file" || one.Reason == "" || one.URL != "https://jethook:xxxxx@off.example/events" {
		t.Errorf("shown as %+v", one)
	}
	d.refused(d.ask(http.MethodPost, "/v1/endpoints/off/resume", prodKey, ""), 409, "endpoint_not_enabled")
	for _, path := range []string{"", "/pause", "/resume"} {
		method := http.MethodPost
		if path == "" {
			method = http.MethodGet
		}
		d.refused(d.ask(method, "/v1/endpoints/tests"+path, prodKey, ""), 404, "not_found")
	}
}

func TestPausingAndResumingMayBeRepeated(t *testing.T) {
	d := newDesk(t)
	var since []string
	for range 2 {
		got := read[api.Endpoint](d, http.MethodPost, "/v1/endpoints/billing/pause", prodKey, "")
		if got.State != "paused" || got.Since.IsZero() {
			t.Errorf("paused: %+v", got)
		}
		since = append(since, got.Since.String())
	}
	if since[0] != since[1] {
		t.Errorf("paused since %v, want the first time", since)
	}
	if got := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/billing", testKey, ""); got.State != "enabled" {
		t.Errorf("the one of the other environment is %s, want enabled", got.State)
	}
	for range 2 {
		if got := read[api.Endpoint](d, http.MethodPost, "/v1/endpoints/billing/resume", prodKey, ""); got.State != "enabled" || !got.Since.IsZero() {
			t.Errorf("resumed: %+v", got)
		}
	}
}

func TestAURLIsShownWithoutWhatMayBeASecret(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/events":                 "https://a.example/events",
		"https://user:hunter2@a.example/":          "https://user:xxxxx@a.example/",
		"https://a.example/?key=hunter2&b=hunter2": "https://a.example/?key=xxxxx&b=xxxxx",
		"https://a.example/?hunter2":               "https://a.example/?xxxxx",
		"":                                         "",
	} {
		if got := masked(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
