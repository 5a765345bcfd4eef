package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// events asks for the AsyncAPI document, which must be valid.
func (d *desk) events(key string) map[string]any {
	d.t.Helper()
	w := d.ask(http.MethodGet, "/asyncapi.yaml", key, "")
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != "application/vnd.aai.asyncapi+yaml;version=3.0.0" {
		d.t.Fatalf("%d %s: %s", w.Code, got, w.Body)
	}
	var parsed map[string]any
	if err := yaml.Unmarshal(w.Body.Bytes(), &parsed); err != nil {
		d.t.Fatal(err)
	}
	text, err := json.Marshal(parsed) // as the validator wants numbers
	if err != nil {
		d.t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := asyncSchema(d.t).Validate(value); err != nil {
		d.t.Errorf("not AsyncAPI 3.0: %v\n%s", err, w.Body)
	}
	resolves(d.t, parsed, parsed)
	return parsed
}

func asyncSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("testdata/asyncapi-3.0.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // only read
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("asyncapi.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// resolves checks that what is referred to is there.
func resolves(t *testing.T, root, part any) {
	t.Helper()
	switch of := part.(type) {
	case []any:
		for _, item := range of {
			resolves(t, root, item)
		}
	case map[string]any:
		if ref, ok := of["$ref"].(string); ok && at(root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
			t.Errorf("%s is not there", ref)
		}
		for _, member := range of {
			resolves(t, root, member)
		}
	}
}

// at returns what is under the names, or nil.
func at(part any, names ...string) any {
	for _, name := range names {
		of, _ := part.(map[string]any)
		part = of[name]
	}
	return part
}

// keysAt are the names of an object's members, sorted.
func keysAt(part any, names ...string) []string {
	of, _ := at(part, names...).(map[string]any)
	return slices.Sorted(maps.Keys(of))
}

// configured makes a source, an endpoint and a subscriber, whose names begin with
// that of the environment.
func (d *desk) configured(env string) {
	d.t.Helper()
	source := env + "-pay"
	for kind, text := range map[managed.Kind]string{
		managed.Sources: fmt.Sprintf(`{"name":%q,"preset":"clink","secrets":["whsec_of-the-source"]}`, source),
		managed.Endpoints: fmt.Sprintf(`{"name":"%s-billing","url":"https://billing.example.com:8443/events?token=hunter3",
			"events":["%s.order.*","%[2]s.invoice.paid","jethook.endpoint.failing"],"headers":{"X-Token":"hunter4"},"auth":{"bearer":"hunter2"}}`, env, source),
		managed.Subscribers: fmt.Sprintf(`{"name":"%s-ledger","events":["%s.refund.created","%[2]s.refund.>"]}`, env, source),
	} {
		spec, err := given([]byte(text))
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.config.Managed.Create(d.t.Context(), kind, event.Env(env), "", spec); err != nil {
			d.t.Fatalf("%s: %v", kind, err)
		}
	}
}

func TestTheEventsOfAnEnvironmentAreDescribedAsAsyncAPI(t *testing.T) {
	d := newDesk(t)
	d.configured("prod")
	d.configured("test")
	got := d.events(prodKey)

	if address := at(got, "channels", "event.prod-pay.order.succeeded", "address"); address != "events.prod.prod-pay.order.succeeded" {
		t.Errorf("address %v", address)
	}
	if name := at(got, "components", "messages", "event.prod-pay.order.succeeded", "name"); name != "order.succeeded" {
		t.Errorf("a message's name is %v, want its ce-type", name)
	}
	if address := at(got, "channels", "event.jethook.endpoint.failing", "address"); address != "events.prod.jethook.endpoint.failing" {
		t.Errorf("address of an event of jethook's own: %v", address)
	}
	if name := at(got, "components", "messages", "event.jethook.endpoint.failing", "name"); name != "jethook.endpoint.failing" {
		t.Errorf("name of an event of jethook's own: %v", name)
	}
	if address := at(got, "channels", "event.prod-pay", "address"); address != "events.prod.prod-pay.{event}" {
		t.Errorf("address of other events: %v", address)
	}

	want := []string{"event.jethook.endpoint.failing", "event.prod-pay", "event.prod-pay.invoice.paid", "event.prod-pay.order.created", "event.prod-pay.order.failed",
		"event.prod-pay.order.next_action", "event.prod-pay.order.succeeded"}
	if diff := cmp.Diff(want, keysAt(got, "channels", "endpoint.prod-billing", "messages")); diff != "" {
		t.Errorf("what the endpoint gets (-want +got):\n%s", diff)
	}
	if server := at(got, "servers", "endpoint.prod-billing"); !cmp.Equal(server, map[string]any{"host": "billing.example.com:8443", "protocol": "https"}) {
		t.Errorf("the endpoint's server: %v", server)
	}
	if method := at(got, "operations", "endpoint.prod-billing", "bindings", "http", "method"); method != "POST" {
		t.Errorf("a delivery's method: %v", method)
	}
	if diff := cmp.Diff(map[string]any{"stream": "EVENTS_PROD", "consumer": "prod-ledger", "subjects": []any{"events.prod.prod-pay.refund.>"}},
		at(got, "channels", "subscriber.prod-ledger", "x-nats")); diff != "" {
		t.Errorf("the subscriber's consumer (-want +got):\n%s", diff)
	}
	for _, header := range []string{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "content-type", "traceparent", "Nats-Msg-Id"} {
		if at(got, "components", "schemas", "headers", "properties", header) == nil {
			t.Errorf("header %s is not described", header)
		}
	}
	for _, header := range []string{"webhook-id", "webhook-timestamp", "webhook-signature", "jethook-attempt", "jethook-seq", "jethook-seq-previous", "jethook-replay", "traceparent"} {
		if at(got, "components", "schemas", "delivery", "properties", header) == nil {
			t.Errorf("header %s of a delivery is not described", header)
		}
	}
}

func TestWhereEventsArePulledIsDescribed(t *testing.T) {
	d := newDesk(t)
	d.configured("prod")
	spec, err := given([]byte(`{"name":"prod-depot","pull":true,"events":["prod-pay.invoice.paid"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.config.Managed.Create(t.Context(), managed.Endpoints, event.Prod, "", spec); err != nil {
		t.Fatal(err)
	}
	got := d.events(prodKey)

	servers, _ := at(got, "servers").(map[string]any)
	for name := range servers {
		if host, _ := at(servers, name, "host").(string); host == "" {
			t.Errorf("server %s has no host", name)
		}
	}
	channel := at(got, "channels", "endpoint.prod-depot")
	if address := at(channel, "address"); address != "/v1/endpoints/prod-depot/events" {
		t.Errorf("address %v, want where its receiver takes events", address)
	}
	if diff := cmp.Diff([]any{map[string]any{"$ref": "#/servers/management"}}, at(channel, "servers")); diff != "" {
		t.Errorf("servers of the channel (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"event.prod-pay.invoice.paid"}, keysAt(channel, "messages")); diff != "" {
		t.Errorf("what the endpoint gets (-want +got):\n%s", diff)
	}
	operation := at(got, "operations", "endpoint.prod-depot")
	if method := at(operation, "bindings", "http", "method"); method != "GET" {
		t.Errorf("method %v, want that with which events are taken", method)
	}
	if text, _ := at(operation, "description").(string); strings.Contains(text, "Signed") {
		t.Errorf("what is not signed is described as %q", text)
	}
	if address := at(d.events(""), "channels", "pull", "address"); address != "/v1/endpoints/{endpoint}/events" {
		t.Errorf("address without a key: %v", address)
	}
}

func TestAKeySeesTheEventsOfItsEnvironmentAloneAndNoSecrets(t *testing.T) {
	d := newDesk(t)
	d.configured("prod")
	d.configured("test")
	for _, c := range []struct{ name, key, has, hasNot string }{
		{"prod", prodKey, "prod-", "test-"}, {"test", testKey, "test-", "prod-"}, {"none", "", "events.{env}.{source}.{event}", "-"},
	} {
		d.events(c.key)
		document := d.ask(http.MethodGet, "/asyncapi.yaml", c.key, "").Body.String()
		for _, object := range []string{"pay", "billing", "ledger"} {
			if c.key != "" && !strings.Contains(document, c.has+object) {
				t.Errorf("key of %s: %s is not there", c.name, c.has+object)
			}
			if strings.Contains(document, c.hasNot+object) {
				t.Errorf("key of %s: %s is there", c.name, c.hasNot+object)
			}
		}
		if c.key == "" && !strings.Contains(document, c.has) {
			t.Errorf("without a key there is no %s", c.has)
		}
		for _, secret := range []string{"hunter", "of-the-source", "whsec_", "sk_prod_", "sk_test_"} {
			if strings.Contains(document, secret) {
				t.Errorf("key of %s: %s is there", c.name, secret)
			}
		}
	}
	d.refused(d.ask(http.MethodGet, "/asyncapi.yaml", "sk_prod_another", ""), http.StatusUnauthorized, "key_unknown")
}

func TestWhatPatternsSelectIsListedAndBounded(t *testing.T) {
	c := newCatalogue(event.Prod, []config.Source{
		{Name: "pay", Preset: "clink"}, {Name: "hub", Preset: "github"}, {Name: "desk"}, {Name: "renamed", Preset: "clink", Event: []string{"json:kind"}},
	})
	c.learn([]string{"desk.order paid", "desk.*", "hub.unheard", "pay.order.new", "elsewhere.order.paid"})
	for _, of := range []struct {
		patterns []event.Pattern
		system   bool
		want     []string
	}{
		{[]event.Pattern{">"}, false, []string{"event"}},
		{[]event.Pattern{"pay.>"}, false, []string{"event.pay"}},
		{[]event.Pattern{"pay.dispute.won"}, false, []string{"event.pay.dispute.won"}},
		{[]event.Pattern{"pay.order.new"}, false, []string{"event.pay.order.new"}},
		{[]event.Pattern{"hub.push"}, false, []string{"event.hub.push"}},
		{[]event.Pattern{"hub.pull_request.*"}, false, nil}, // no such names, and there are no others
		{[]event.Pattern{"desk.order paid"}, false, []string{"event.desk.order_x20paid"}},
		{[]event.Pattern{"renamed.order.created"}, false, []string{"event.renamed"}},
		{[]event.Pattern{"*.endpoint.failing"}, true, []string{"event.desk", "event.jethook.endpoint.failing", "event.pay", "event.renamed"}},
		{[]event.Pattern{"*.endpoint.failing"}, false, []string{"event.desk", "event.pay", "event.renamed"}},
		{[]event.Pattern{"jethook.api.changed"}, false, []string{"event.jethook.api.changed"}},
		{[]event.Pattern{"*.*", "*.*.*"}, false, []string{"event.desk", "event.hub", "event.pay", "event.renamed"}}, // more than are listed
	} {
		if diff := cmp.Diff(of.want, c.selected(of.patterns, of.system)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", of.patterns, diff)
		}
	}
}
