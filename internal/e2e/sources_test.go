package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/jethook/jethook/api"
)

func TestASourceThatIsMadeOverTheAPIReceivesAtOnceAndAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startManaged(t, embeddedIn(dir), adminKeys, sources(desk))
	client := b.manager(prodKey)
	spec := api.SourceSpec{Name: "shop", Secrets: []string{shopSecret}, DeliveryID: []string{"json:id"}, Verify: map[string]any{
		"algorithm": "hmac-sha256", "signature": map[string]any{"header": "X-Shop-Signature", "encoding": "hex", "prefix": "sha256="},
		"timestamp": map[string]any{"header": "X-Shop-Timestamp", "unit": "s"}, "signed": "{timestamp}.{body}",
	}}
	made := done[api.Source](t)(client.CreateSource(t.Context(), spec))
	if made.Path != "/in/shop" || made.ManagedBy != "api" || len(made.MaskedSecrets) != 1 || strings.Contains(made.MaskedSecrets[0], shopSecret) {
		t.Errorf("made as %+v", made)
	}
	b.sold(t, "1")
	b.kill()
	b.run()
	b.sold(t, "2")
	client = b.manager(prodKey)

	for name, of := range map[string]struct {
		spec   api.SourceSpec
		status int
		says   string
	}{
		"the name":          {api.SourceSpec{Name: "shop", Preset: "stripe", Secrets: []string{"x"}}, 409, ""},
		"a name of a file":  {api.SourceSpec{Name: "desk", Preset: "stripe", Secrets: []string{"x"}}, 409, ""},
		"no secret":         {api.SourceSpec{Name: "other", Preset: "stripe"}, 422, "secrets"},
		"no such preset":    {api.SourceSpec{Name: "other", Preset: "strip", Secrets: []string{"x"}}, 422, "stripe"},
		"the other's name":  {api.SourceSpec{Name: "jethook", Preset: "stripe", Secrets: []string{"x"}}, 422, "name"},
		"another parameter": {api.SourceSpec{Name: "other", Preset: "stripe", Secrets: []string{"x"}, MaxBody: "9MiB"}, 422, "7MiB"},
	} {
		_, err := client.CreateSource(t.Context(), of.spec)
		refusedAs(t, err, of.status)
		if err != nil && !strings.Contains(err.Error(), of.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, of.says)
		}
	}
	_, err := b.manager(testKey).CreateSource(t.Context(), spec) // one set of names, for the address names no environment
	refusedAs(t, err, http.StatusConflict)

	done[api.Source](t)(client.UpdateSource(t.Context(), "shop", api.SourceSpec{Secrets: []string{shopOldSecret}}))
	b.sell("shop", order("3")).refused(t, http.StatusUnauthorized, "signature_mismatch")
	if err := client.DeleteSource(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
	b.sell("shop", order("4")).refused(t, http.StatusNotFound, "unknown_source")
	if list := done[api.List[api.Source]](t)(client.Sources(t.Context(), api.Page{})); len(list.Data) != 1 || list.Data[0].Name != "desk" {
		t.Errorf("listed %+v, want the file's alone", list.Data)
	}
}

func TestASubscriberThatIsMadeOverTheAPIConsumesWhatIsStoredFromThenOn(t *testing.T) {
	t.Parallel()
	b := startManaged(t, fmt.Sprintf("nats: {embedded: {store_dir: %q, listen: \"127.0.0.1:0\"}, stream: {max_bytes: 256MiB}}\n", t.TempDir()), adminKeys, sources(desk))
	client := b.manager(prodKey)
	b.hand("order.paid", "before")
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	made := done[api.Subscriber](t)(client.CreateSubscriber(t.Context(), api.SubscriberSpec{Name: "ledger", Events: []string{"desk.>"}, NKey: public}))
	id := b.hand("order.paid", "1")
	var js jetstream.JetStream
	eventually(t, "the subscriber is admitted", func() bool {
		conn, err := nats.Connect("nats://"+b.addresses["nats"], nats.Nkey(public, user.Sign), nats.CustomInboxPrefix("_INBOX_ledger"))
		if err != nil {
			return false
		}
		t.Cleanup(conn.Close)
		js, err = jetstream.New(conn)
		return err == nil
	})
	consumer, err := js.Consumer(t.Context(), made.Stream, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil || m.Headers().Get("ce-id") != id {
		t.Errorf("got %v, error %v; want %s", m, err, id)
	}
	if err := client.DeleteSubscriber(t.Context(), "ledger"); err != nil {
		t.Error(err)
	}
	_, err = client.Subscriber(t.Context(), "ledger")
	refusedAs(t, err, http.StatusNotFound)
}

func TestSubscribersThatCannotConnectAreWarnedOfAtTheStart(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, "subscribers: [{name: books, events: [desk.>]}]\n")
	made := done[api.Subscriber](t)(b.manager(prodKey).CreateSubscriber(t.Context(), api.SubscriberSpec{Name: "ledger", Events: []string{"desk.>"}}))
	b.kill()
	b.run()
	for _, name := range []string{"books", made.Name} {
		if !regexp.MustCompile(`"level":"WARN","msg":"no subscriber can connect[^"]*nats.embedded.listen[^"]*","by":"` + name + `"`).MatchString(b.log.String()) {
			t.Errorf("the log does not warn of %s:\n%s", name, b.log.String())
		}
	}
}
