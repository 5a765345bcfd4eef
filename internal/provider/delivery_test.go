package provider

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// oneID is the delivery id of a request with one event.
func oneID(t *testing.T, c ExtractorConfig, h http.Header, body string) string {
	t.Helper()
	items, err := mustExtractor(t, c).Items(h, []byte(body))
	if err != nil || len(items) != 1 {
		t.Fatalf("Items(%v, %s) = %v, %v, want one", h, body, items, err)
	}
	return items[0].DeliveryID
}

func TestARetrySignedAnewHasTheSameDeliveryID(t *testing.T) {
	const hubspot = `[{"eventId":7,"subscriptionId":1,"portalId":2,"objectId":3,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":%d}]`
	const linear = `{"type":"Issue","action":"create","webhookTimestamp":%d}`
	const docusign = `{"event":"envelope-completed","configurationId":"1","generatedDateTime":"2026-01-01T00:00:00.0000001Z","retryCount":%d,"data":{"envelopeId":"e"}}`
	tests := []struct {
		preset string
		header http.Header
		body   func(attempt int) string
	}{
		{"stripe", headers("Stripe-Signature", "t=%d,v1=%d"), func(int) string { return `{"id":"evt_1","type":"a"}` }},
		{"clink", headers("X-Clink-Timestamp", "%d"), func(int) string { return `{"id":"event_1","type":"a"}` }},
		{"chip-collect", headers("X-Signature", "s%d"), func(int) string { return `{"id":"p","event_type":"purchase.paid"}` }},
		{"slack", headers("X-Slack-Signature", "v0=%d", "X-Slack-Retry-Num", "%d"), func(int) string { return `{"type":"event_callback","event_id":"Ev1"}` }},
		{"hubspot-v3", nil, func(n int) string { return fmt.Sprintf(hubspot, n) }},
		{"linear", headers("Linear-Delivery", "d"), func(n int) string { return fmt.Sprintf(linear, n) }},
		{"docusign", nil, func(n int) string { return fmt.Sprintf(docusign, n) }},
	}
	for _, tt := range tests {
		t.Run(tt.preset, func(t *testing.T) {
			c := mustLookup(t, tt.preset).ExtractorConfig()
			attempt := func(n int) string {
				h := http.Header{}
				for name, values := range tt.header {
					h.Set(name, strings.ReplaceAll(values[0], "%d", fmt.Sprint(n)))
				}
				return oneID(t, c, h, tt.body(n))
			}
			if first, second := attempt(1), attempt(2); first != second {
				t.Errorf("ids of two attempts: %q and %q", first, second)
			}
		})
	}
}

func TestTheIDOfACHIPPurchaseIsNotTheDeliveryID(t *testing.T) {
	c := mustLookup(t, "chip-collect").ExtractorConfig()
	created := oneID(t, c, nil, `{"id": "p1", "event_type": "purchase.created"}`)
	paid := oneID(t, c, nil, `{"id": "p1", "event_type": "purchase.paid"}`)
	if created == paid || created == "p1" {
		t.Errorf("two events of one purchase have ids %q and %q, want two that are not the purchase's", created, paid)
	}
}

func TestWithoutAnIDTheHashOfTheBodyIsIt(t *testing.T) {
	const body = `{"type":"a"}`
	for _, sources := range [][]string{nil, {"hash:body"}, {"json:id", "header:Id"}} {
		got := oneID(t, ExtractorConfig{Event: []string{"json:type"}, DeliveryID: sources}, nil, body)
		if got != hash([]byte(body)) {
			t.Errorf("id with sources %v = %q, want the SHA-256 of the body in hex", sources, got)
		}
	}
}

func TestALongDeliveryIDIsHashed(t *testing.T) {
	c := ExtractorConfig{Event: []string{"const:a"}, DeliveryID: []string{"header:Id"}}
	short, long := strings.Repeat("i", 256), strings.Repeat("i", 257)
	if got := oneID(t, c, headers("Id", short), ""); got != short {
		t.Errorf("id of 256 bytes = %q, want it as it is", got)
	}
	if got := oneID(t, c, headers("Id", long), ""); got != hash([]byte(long)) {
		t.Errorf("id of 257 bytes = %q, want its hash", got)
	}
}

func TestEachItemOfABatchIsAnEventByteForByte(t *testing.T) {
	tests := []struct {
		preset, body string
		want         []Item
	}{
		{"sendgrid", "[ {\"event\": \"open\", \"sg_event_id\":\"1\"} ,\n{\"event\":\"click\",\"sg_event_id\":\"2\", \"n\":1.0}]\r\n", []Item{
			{"open", "1", []byte(`{"event": "open", "sg_event_id":"1"}`)},
			{"click", "2", []byte(`{"event":"click","sg_event_id":"2", "n":1.0}`)},
		}},
		{"hubspot-v1", `[{"eventId":1,"subscriptionType":"contact.creation"}]`, []Item{
			{"contact.creation", "1", []byte(`{"eventId":1,"subscriptionType":"contact.creation"}`)},
		}},
		{"xero", `{"events":[{"eventCategory":"INVOICE"},{"eventCategory":"INVOICE"}],"entropy":"x"}`, []Item{
			{"INVOICE", hash([]byte(`{"eventCategory":"INVOICE"}`)) + "#0", []byte(`{"eventCategory":"INVOICE"}`)},
			{"INVOICE", hash([]byte(`{"eventCategory":"INVOICE"}`)) + "#1", []byte(`{"eventCategory":"INVOICE"}`)},
		}},
		{"xero", `{"events":[],"entropy":"x"}`, nil},
		{"sendgrid", `[]`, nil},
	}
	for _, tt := range tests {
		items, err := mustExtractor(t, mustLookup(t, tt.preset).ExtractorConfig()).Items(nil, []byte(tt.body))
		if err != nil || fmt.Sprint(items) != fmt.Sprint(tt.want) {
			t.Errorf("%s: Items(%s)\n got %q, %v\nwant %q", tt.preset, tt.body, items, err, tt.want)
		}
	}
}

func TestTwoItemsOfABatchAreNeverTakenForOne(t *testing.T) {
	c := ExtractorConfig{Event: []string{"json:e"}, DeliveryID: []string{"header:Id"}, Batch: "array"}
	items, err := mustExtractor(t, c).Items(headers("Id", "d"), []byte(`[{"e":"a"},{"e":"b"},{"e":"c"}]`))
	if err != nil || len(items) != 3 {
		t.Fatalf("Items = %v, %v, want 3", items, err)
	}
	if got := fmt.Sprintln(items[0].DeliveryID, items[1].DeliveryID, items[2].DeliveryID); got != "d d#1 d#2\n" {
		t.Errorf("ids = %s, want d d#1 d#2", got)
	}
}

func TestABodyWithoutTheListIsOneEvent(t *testing.T) {
	p := mustLookup(t, "hubspot-v2")
	items, err := mustExtractor(t, p.ExtractorConfig()).Items(nil, []byte(`{"objectId":1}`))
	if err != nil || len(items) != 1 || items[0].Type != "workflow" {
		t.Errorf("Items = %+v, %v, want one workflow", items, err)
	}
}

func TestOneUnnamedItemRefusesTheWholeBatch(t *testing.T) {
	items, err := mustExtractor(t, mustLookup(t, "sendgrid").ExtractorConfig()).Items(nil, []byte(`[{"event":"open"},{"sg_event_id":"2"}]`))
	if !errors.Is(err, ErrUnnamed) || !strings.Contains(err.Error(), "item 1") || items != nil {
		t.Errorf("Items = %v, %v, want ErrUnnamed of item 1 and none", items, err)
	}
}

func TestABatchIsBounded(t *testing.T) {
	x := mustExtractor(t, mustLookup(t, "sendgrid").ExtractorConfig())
	list := func(n int) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(`{"event":"open"},`, n), ",") + "]")
	}
	if items, err := x.Items(nil, list(10_000)); err != nil || len(items) != 10_000 {
		t.Errorf("10000 events: %d, %v, want all", len(items), err)
	}
	if items, err := x.Items(nil, list(10_001)); !errors.Is(err, ErrTooMany) || items != nil {
		t.Errorf("10001 events: %d, %v, want ErrTooMany", len(items), err)
	}
}
