package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
)

// asProvider is a bridge that speaks a provider's API and signs as it does, and a
// function that has it send an event.
func asProvider(t *testing.T) (b *bridge, send func(source, event, name string)) {
	t.Helper()
	entry := func(name string) string {
		return fmt.Sprintf(`{name: %s, verify: {algorithm: none}, event: ["header:X-Event"], delivery_id: ["header:X-Id"]}`, name)
	}
	b = startManaged(t, embeddedIn(t.TempDir()), adminKeys, sources(entry("clink"), entry("chip")))
	return b, func(source, event, name string) {
		t.Helper()
		b.post(source, http.Header{"X-Event": {event}, "X-Id": {name}, "Content-Type": {"application/json"}},
			fmt.Appendf(nil, `{"type":%q,"event_type":%q,"id":%q}`, event, event, name)).accepted(t)
	}
}

func TestASourceIsConnectedWithNothingConfiguredByHand(t *testing.T) {
	t.Parallel()
	for provider, test := range map[string]struct{ face, event string }{
		"clink": {"/compat/clink/api", "order.succeeded"}, "chip": {"/compat/chip", "purchase.paid"},
	} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			far, send := asProvider(t)
			to := newReceiver(t, nil)
			b := startManaged(t, embeddedIn(t.TempDir()), adminKeys, endpoints("{name: ledger, url: \""+to.server.URL+"\", all_events: true, secrets: ["+endpointSecret+"]}"))
			client := b.manager(prodKey)
			account := api.Account{Provider: provider, APIKey: prodKey, BaseURL: far.url("admin", test.face)}
			how := api.Connect{Account: account, PublicURL: b.url("ingest", ""), DryRun: true}
			if looked := done[api.Connected](t)(client.Connect(t.Context(), how)); looked.Webhook.ID != "" || len(done[api.List[api.Source]](t)(client.Sources(t.Context(), api.Page{})).Data) != 0 {
				t.Errorf("a dry run answers %+v", looked)
			}
			how.DryRun = false
			made := done[api.Connected](t)(client.Connect(t.Context(), how))
			if made.Webhook.ID == "" || made.Source == nil || made.Source.Name != provider || made.Source.ManagedBy != "api" {
				t.Fatalf("connected as %+v", made)
			}
			send(provider, test.event, "1")
			if got := to.next(); !strings.Contains(string(got.body), `"id":"1"`) {
				t.Errorf("delivered %s", got.body)
			}
			again := done[api.Connected](t)(client.Connect(t.Context(), how))
			if again.Webhook.ID != made.Webhook.ID {
				t.Errorf("connected again as %+v, want the same", again.Webhook)
			}
			if list := done[api.List[api.Webhook]](t)(client.Registered(t.Context(), account)); len(list.Data) != 1 || list.Data[0].ID != made.Webhook.ID {
				t.Errorf("registered are %+v, want the one", list.Data)
			}

			// While the secret is rotated under load nothing is lost: what is signed
			// with either is taken.
			how.Rotate = true
			stop, sent := make(chan struct{}), make(chan int)
			go func() {
				n := 0
				for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
					select {
					case <-stop:
						sent <- n
						return
					default:
						n++
						send(provider, test.event, fmt.Sprint("load-", n))
					}
				}
			}()
			done[api.Connected](t)(client.Connect(t.Context(), how))
			close(stop)
			arrived := map[string]bool{}
			for n := <-sent; len(arrived) < n; {
				arrived[string(to.next().body)] = true
			}
			send(provider, test.event, "after")
			for body := ""; !strings.Contains(body, `"after"`); body = string(to.next().body) {
			}

			if err := client.Disconnect(t.Context(), provider, account); err != nil {
				t.Error(err)
			}
			if list := done[api.List[api.Webhook]](t)(client.Registered(t.Context(), account)); len(list.Data) != 0 {
				t.Errorf("after it was disconnected %+v is registered", list.Data)
			}
			_, err := client.Source(t.Context(), provider)
			refusedAs(t, err, http.StatusNotFound)
		})
	}
}

func TestAHalfThatFailedIsRepairedByConnectingAgain(t *testing.T) {
	t.Parallel()
	far, send := asProvider(t)
	to := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), adminKeys, endpoints("{name: ledger, url: \""+to.server.URL+"\", all_events: true, secrets: ["+endpointSecret+"]}"))
	// It is registered, and nobody here knows its secret.
	far.ask(t, "POST", "/clink/api/webhook/endpoints", fmt.Sprintf(`{"url":%q,"events":["order.succeeded"]}`, b.url("ingest", "/in/clink")), asClink(prodKey))
	client := b.manager(prodKey)
	how := api.Connect{Account: api.Account{Provider: "clink", APIKey: prodKey, BaseURL: far.url("admin", "/compat/clink/api")}, PublicURL: b.url("ingest", "")}
	done[api.Connected](t)(client.Connect(t.Context(), how))
	send("clink", "order.succeeded", "1")
	to.next()
	for name, of := range map[string]struct {
		wrong  func(*api.Connect)
		status int
	}{
		"a wrong key":       {func(c *api.Connect) { c.APIKey = "sk_prod_wrong-key-of-this-test" }, http.StatusBadGateway},
		"nobody there":      {func(c *api.Connect) { c.BaseURL = "http://127.0.0.1:1/api" }, http.StatusGatewayTimeout},
		"no API of Clink's": {func(c *api.Connect) { c.BaseURL = far.url("ops", "/metrics") }, http.StatusBadGateway},
	} {
		other := how
		of.wrong(&other)
		_, err := client.Connect(t.Context(), other)
		refusedAs(t, err, of.status)
		if strings.Contains(fmt.Sprint(err), "wrong-key-of-this-test") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	how.Provider, how.Name = "diddo", "diddo"
	_, err := client.Connect(t.Context(), how)
	refusedAs(t, err, http.StatusUnprocessableEntity)
	if !strings.Contains(fmt.Sprint(err), "verify") {
		t.Errorf("Diddo without verify: %v", err)
	}
}
