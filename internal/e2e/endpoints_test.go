package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jethook/jethook/api"
)

// signedWith fails the test unless the reference library takes a delivery as
// signed with the secret.
func (d delivery) signedWith(t *testing.T, secret string) {
	t.Helper()
	hook, err := standard.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.Verify(d.body, d.header); err != nil {
		t.Errorf("%s is not signed with the secret that was shown: %v", d.header.Get("webhook-id"), err)
	}
}

func TestAnEndpointThatIsMadeOverTheAPIGetsWhatIsStoredFromThenOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startManaged(t, embeddedIn(dir), sources(desk), adminKeys)
	b.hand("order.paid", "before")
	to := newReceiver(t, nil)
	client := b.manager(prodKey)

	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{URL: to.server.URL, Events: []string{"desk.order.*"}}))
	id := b.hand("order.paid", "1")
	d := to.next()
	if d.header.Get("webhook-id") != id {
		t.Errorf("%s was delivered first, want %s", d.header.Get("webhook-id"), id)
	}
	d.signedWith(t, made.Secret)
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_")); err != nil || len(raw) != 32 {
		t.Errorf("the secret is %d bytes, error %v; want 32", len(raw), err)
	}
	shown := done[api.Endpoint](t)(client.Endpoint(t.Context(), made.Name))
	if want := "whsec_..." + made.Secret[len(made.Secret)-4:]; shown.Secret != "" || shown.MaskedSecret != want || shown.ManagedBy != "api" || shown.Timeout != "15s" {
		t.Errorf("shown as %+v, want the secret as %s", shown, want)
	}
	if again := done[api.Endpoint](t)(client.Endpoint(t.Context(), made.ID)); again.Name != made.Name {
		t.Errorf("the id finds %q, want %q", again.Name, made.Name)
	}
	_, err := b.manager(testKey).Endpoint(t.Context(), made.Name)
	refusedAs(t, err, http.StatusNotFound)

	b.kill()
	b.run()
	before, id := id, b.hand("order.paid", "2")
	for d = to.next(); d.header.Get("webhook-id") == before; d = to.next() { // the kill may repeat it
	}
	if d.header.Get("webhook-id") != id {
		t.Errorf("after a restart %s was delivered, want %s", d.header.Get("webhook-id"), id)
	}
	d.signedWith(t, made.Secret)
}

func TestAnEndpointIsChangedInWhatIsGivenAlone(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	to, other := newReceiver(t, nil), newReceiver(t, nil)
	client := b.manager(prodKey)
	made := done[api.Endpoint](t)(client.EnsureEndpoint(t.Context(), api.EndpointSpec{
		URL: to.server.URL, Events: []string{"desk.order.*"}, Timeout: "3s", Description: "ledger postings",
	}))
	changed := done[api.Endpoint](t)(client.EnsureEndpoint(t.Context(), api.EndpointSpec{URL: to.server.URL, Concurrency: 2}))
	if changed.Name != made.Name || changed.Timeout != "3s" || changed.Concurrency != 2 || changed.Description != "ledger postings" || changed.Secret != "" {
		t.Errorf("changed to %+v, want what it was but for the concurrency, and no secret", changed)
	}
	done[api.Endpoint](t)(client.UpdateEndpoint(t.Context(), made.Name, api.EndpointSpec{URL: other.server.URL}))
	eventually(t, "deliveries go to the new address", func() bool {
		b.hand("order.paid", fmt.Sprint(len(other.deliveries), len(to.deliveries)))
		return len(other.deliveries) > 0
	})

	off := false
	if e := done[api.Endpoint](t)(client.UpdateEndpoint(t.Context(), made.Name, api.EndpointSpec{Enabled: &off})); e.State != "disabled" {
		t.Errorf("with enabled: false the state is %s, want disabled", e.State)
	}
	if err := client.DeleteEndpoint(t.Context(), made.Name); err != nil {
		t.Error(err)
	}
	refusedAs(t, client.DeleteEndpoint(t.Context(), made.Name), http.StatusNotFound)
}

func TestASecretIsRotatedWithAnOverlapInWhichBothSign(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	to := newReceiver(t, nil)
	client := b.manager(prodKey)
	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{Name: "billing", URL: to.server.URL, Events: []string{">"}}))
	b.hand("order.paid", "1")
	to.next().signedWith(t, made.Secret)
	rotated := done[api.Endpoint](t)(client.RotateSecret(t.Context(), "billing", api.RotateSecret{Overlap: "1h"}))
	if rotated.Secret == "" || rotated.Secret == made.Secret || rotated.RetiresAt.IsZero() {
		t.Fatalf("rotated to %+v, want another secret and until when the old one is valid", rotated)
	}
	var d delivery
	handed := 0
	eventually(t, "deliveries are signed with both", func() bool {
		handed++
		b.hand("order.paid", fmt.Sprint("both", handed)) // another event each time
		d = to.next()
		return len(strings.Fields(d.header.Get("webhook-signature"))) == 2
	})
	d.signedWith(t, made.Secret)
	d.signedWith(t, rotated.Secret)
	last := done[api.Endpoint](t)(client.RotateSecret(t.Context(), "billing", api.RotateSecret{Overlap: "0s"}))
	eventually(t, "deliveries are signed with the last one alone", func() bool {
		handed++
		b.hand("order.paid", fmt.Sprint("last", handed)) // another event each time
		d = to.next()
		return len(strings.Fields(d.header.Get("webhook-signature"))) == 1
	})
	d.signedWith(t, last.Secret)
}

func TestWhatCannotBeAnEndpointIsRefusedWithItsField(t *testing.T) {
	t.Parallel()
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk, source("clink", "clink", "whsec_clink-secret-of-the-tests")), endpoints("{name: filed, url: \"http://127.0.0.1:9/x\", all_events: true}"), adminKeys)
	client := b.manager(prodKey)
	for name, test := range map[string]struct {
		spec          api.EndpointSpec
		status        int
		field, remedy string
	}{
		"no url":            {api.EndpointSpec{Events: []string{">"}, Name: "a"}, 422, "url", "missing"},
		"no events":         {api.EndpointSpec{URL: "https://a.example", Name: "a"}, 422, "events", "all_events"},
		"metadata":          {api.EndpointSpec{URL: "http://169.254.169.254/latest", Events: []string{">"}}, 422, "", "169.254.169.254"},
		"private":           {api.EndpointSpec{URL: "http://10.1.2.3/", Events: []string{">"}}, 422, "", "allow_networks"},
		"a name of a file":  {api.EndpointSpec{Name: "filed", URL: "https://a.example", Events: []string{">"}}, 409, "", ""},
		"an unknown event":  {api.EndpointSpec{URL: "https://a.example", Events: []string{"clink.invoice.payd"}}, 422, "events[0]", "invoice.paid"},
		"no event at all":   {api.EndpointSpec{URL: "https://a.example", Events: []string{"desk.>", "clink.invoic.*"}}, 422, "events[1]", "invoice.*"},
		"a wrong duration":  {api.EndpointSpec{URL: "https://a.example", Events: []string{">"}, Timeout: "15"}, 422, "timeout", "unit"},
		"another env":       {api.EndpointSpec{URL: "https://a.example", Events: []string{">"}, Env: "test"}, 422, "env", "prod"},
		"a file's variable": {api.EndpointSpec{URL: "https://a.example", Events: []string{">"}, Rate: "${file:/etc/passwd}"}, 422, "rate", "rate"},
	} {
		_, err := client.CreateEndpoint(t.Context(), test.spec)
		refusedAs(t, err, test.status)
		if text := fmt.Sprint(err); !strings.Contains(text, test.field) || !strings.Contains(text, test.remedy) || strings.Contains(text, "root:") {
			t.Errorf("%s: %v, want the field %s and %q", name, err, test.field, test.remedy)
		}
	}
	_, err := client.UpdateEndpoint(t.Context(), "filed", api.EndpointSpec{Timeout: "1s"})
	refusedAs(t, err, http.StatusConflict)
	if list := done[api.List[api.Endpoint]](t)(client.Endpoints(t.Context(), api.EndpointQuery{})); len(list.Data) != 1 || list.Data[0].ManagedBy != "file" {
		t.Errorf("listed: %+v, want the file's alone", list.Data)
	}
}

func TestATestEventIsSentAtOnceAndItsAttemptAnswered(t *testing.T) {
	t.Parallel()
	to := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.path == "/refuses" {
			return http.StatusTeapot
		}
		return http.StatusOK
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(
		"{name: filed, url: \""+to.server.URL+"\", all_events: true, enabled: false}"))
	shown := regexp.MustCompile(`endpoint filed: .*(whsec_\S+)`).FindStringSubmatch(b.waitOut("endpoint filed"))
	client := b.manager(prodKey)
	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{Name: "made", URL: to.server.URL, Events: []string{"desk.>"}}))
	for name, secret := range map[string]string{"filed": shown[1], "made": made.Secret} {
		a := done[api.Attempt](t)(client.TestEndpoint(t.Context(), name))
		if a.Outcome != "delivered" || a.Status != http.StatusOK || a.Endpoint != name {
			t.Errorf("%s: %+v, want it delivered", name, a)
		}
		d := to.next()
		d.signedWith(t, secret)
		if d.header.Get("ce-type") != "jethook.test" || d.header.Get("jethook-attempt") != "1" || d.header.Get("webhook-id") != a.EventID {
			t.Errorf("%s: delivered %v", name, d.header)
		}
	}
	done[api.Endpoint](t)(client.UpdateEndpoint(t.Context(), "made", api.EndpointSpec{URL: to.server.URL + "/refuses"}))
	if a := done[api.Attempt](t)(client.TestEndpoint(t.Context(), "made")); a.Outcome != "failed" || a.Status != http.StatusTeapot || a.Error != "" {
		t.Errorf("%+v, want the refusal", a)
	}
	to.next()
	_, err := client.TestEndpoint(t.Context(), "nobody")
	refusedAs(t, err, http.StatusNotFound)
	if list := done[api.List[api.Event]](t)(client.Events(t.Context(), api.EventQuery{Type: "jethook.test"})); len(list.Data) != 0 {
		t.Errorf("%d test events are stored", len(list.Data))
	}
}
