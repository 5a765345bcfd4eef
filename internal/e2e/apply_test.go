package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jethook/jethook/api"
)

// manage runs a command about the bridge to its end, with more variables.
func manage(t *testing.T, server string, env []string, args ...string) result {
	t.Helper()
	r := begin(t, append(env, "JETHOOK_SERVER="+server, "JETHOOK_KEY="+prodKey), args...)
	<-r.exited
	return result{r.command.ProcessState.ExitCode(), r.stdout.String(), r.stderr.String()}
}

// firstOrder sells an order and returns what was delivered of it.
func (b *bridge) firstOrder(t *testing.T, to *receiver, id string) delivery {
	t.Helper()
	b.sell("shop", order(id)).accepted(t)
	return to.next()
}

func TestWhatIsExportedAndAppliedElsewhereDeliversTheSameEvents(t *testing.T) {
	t.Parallel()
	one, other := startManaged(t, embeddedIn(t.TempDir()), adminKeys), startManaged(t, embeddedIn(t.TempDir()), adminKeys)
	to := newReceiver(t, nil)
	client := one.manager(prodKey)
	done[api.Source](t)(client.CreateSource(t.Context(), api.SourceSpec{Name: "shop", Secrets: []string{shopSecret}, DeliveryID: []string{"json:id"}, Verify: map[string]any{
		"algorithm": "hmac-sha256", "signature": map[string]any{"header": "X-Shop-Signature", "encoding": "hex", "prefix": "sha256="},
		"timestamp": map[string]any{"header": "X-Shop-Timestamp", "unit": "s"}, "signed": "{timestamp}.{body}",
	}}))
	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{Name: "billing", URL: to.server.URL + "/events?token=hunter2",
		Events: []string{"shop.order.*"}, Headers: map[string]string{"X-Team": "payments ${team}"}, Filter: "amount > 10"}))
	done[api.Subscriber](t)(client.CreateSubscriber(t.Context(), api.SubscriberSpec{Name: "ledger", Events: []string{"shop.>"}}))

	file := filepath.Join(t.TempDir(), "made.yaml")
	exported := manage(t, one.url("admin", ""), nil, "export", "-o", file)
	text, err := os.ReadFile(file)
	if err != nil || exported.code != 0 {
		t.Fatalf("%+v, %v", exported, err)
	}
	for _, secret := range []string{shopSecret, made.Secret, "hunter2", "payments"} {
		if strings.Contains(string(text)+exported.stderr, secret) {
			t.Errorf("the export shows a secret:\n%s%s", text, exported.stderr)
		}
	}
	env := []string{"SOURCE_SHOP_SECRET=" + shopSecret, "ENDPOINT_BILLING_SECRET=" + made.Secret,
		"ENDPOINT_BILLING_URL=" + to.server.URL + "/events?token=hunter2", "ENDPOINT_BILLING_HEADERS_X_TEAM=payments ${team}"}
	if got := manage(t, one.url("admin", ""), env, "plan", "-f", file, "--prune", "--exit-code"); got.code != 0 || !strings.Contains(got.stderr, "3 unchanged") {
		t.Errorf("the plan of an export: %+v, want no change\n%s", got, text)
	}
	applied := manage(t, other.url("admin", ""), env, "apply", "-f", file, "--yes")
	if applied.code != 0 || strings.Count(applied.stdout, "created ") != 3 || strings.Contains(applied.stdout, "whsec_") {
		t.Fatalf("%+v, want three made and no secret shown", applied)
	}
	if again := manage(t, other.url("admin", ""), env, "apply", "-f", file, "--yes", "-o", "json"); again.code != 0 || again.stdout != "[]\n" {
		t.Errorf("a second time: %+v, want nothing done", again)
	}

	for _, id := range []string{"1", "2"} {
		first, second := one.firstOrder(t, to, id), other.firstOrder(t, to, id)
		if !bytes.Equal(first.body, second.body) || first.header.Get("webhook-id") != second.header.Get("webhook-id") || first.path != second.path ||
			second.header.Get("X-Team") != "payments ${team}" {
			t.Errorf("order %s was delivered as %+v and as %+v", id, first, second)
		}
		second.signedWith(t, made.Secret)
	}
}

func TestAnEditWhileAFileIsAppliedIsAConflict(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), adminKeys, sources(desk))
	client := b.manager(prodKey)
	done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{Name: "billing", URL: "http://127.0.0.1:1/", Events: []string{"desk.>"}}))
	admin, err := url.Parse(b.url("admin", ""))
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else is faster, between the plan and the change.
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(admin)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			once.Do(func() {
				if _, err := client.UpdateEndpoint(r.Context(), "billing", api.EndpointSpec{Description: "edited"}); err != nil {
					t.Error(err)
				}
			})
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	file := filepath.Join(t.TempDir(), "endpoints.yaml")
	if err := os.WriteFile(file, []byte("endpoints:\n  - {name: archive, url: \"http://127.0.0.1:1/\", all_events: true}\n  - {name: billing, url: \"http://127.0.0.1:1/\", events: [desk.>], timeout: 3s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := manage(t, between.URL, nil, "apply", "-f", file, "--yes")
	if got.code != 5 || !strings.Contains(got.stderr, "somebody else") || !strings.Contains(got.stderr, "1 of 2 changes") || !strings.Contains(got.stdout, "created endpoints/archive") {
		t.Errorf("%+v, want 5 after the first change", got)
	}
	if e := done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing")); e.Description != "edited" || e.Timeout != "15s" {
		t.Errorf("it is %+v, want the edit alone", e)
	}
	if got := manage(t, between.URL, nil, "apply", "-f", file, "--yes"); got.code != 0 || strings.Contains(got.stdout, "archive") {
		t.Errorf("the next time: %+v, want the rest done", got)
	}
	if e := done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing")); e.Description != "" || e.Timeout != "3s" {
		t.Errorf("it is %+v, want what the file says", e)
	}
}
