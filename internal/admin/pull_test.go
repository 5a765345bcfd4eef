package admin

import (
	"net/http"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// newPullDesk has an endpoint beside the others whose events are pulled.
func newPullDesk(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	pulled := endpoint("warehouse", event.Prod, "shop.>")
	pulled.URL, pulled.Pull, pulled.Signature, pulled.Timeout = "", true, deliver.StyleNone, time.Minute
	d.directory.SetEndpoints([]fanout.Endpoint{pulled, endpoint("billing", event.Prod, "shop.>")})
	if _, err := d.bus.JetStream().CreateOrUpdateConsumer(t.Context(), bus.StreamName(event.Prod), jetstream.ConsumerConfig{
		Durable: "warehouse", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.prod.shop.>", MaxDeliver: -1}); err != nil {
		t.Fatal(err)
	}
	return d
}

const pullPath = "/v1/endpoints/warehouse/"

func TestATakenEventIsACloudEventWithItsBodyAsItWas(t *testing.T) {
	d := newPullDesk(t)
	e := &event.Event{ID: event.NewID(event.Prod, "shop", "1"), Env: event.Prod, Source: "shop", Type: "order.paid", Time: time.Now().UTC(),
		ContentType: "application/json", Header: map[string]string{"x-request-id": "7"}, Data: []byte("{ \"a\":1.0,\n \"b\": \"<&>\"}")}
	if _, err := d.bus.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := read[struct {
		Data []struct {
			Event   cloudevents.Event
			Headers map[string]string
			Token   string
			AckBy   time.Time `json:"ack_by"`
		}
	}](d, http.MethodGet, pullPath+"events?wait=20s", prodKey, "")
	if len(got.Data) != 1 {
		t.Fatalf("%d events, want one", len(got.Data))
	}
	one := got.Data[0]
	if err := one.Event.Validate(); err != nil {
		t.Errorf("no CloudEvent: %v", err)
	}
	if one.Event.ID() != string(e.ID) || one.Event.Source() != "/prod/shop" || one.Event.Type() != e.Type || string(one.Event.Data()) != string(e.Data) ||
		!one.Event.Time().Equal(e.Time) || one.Headers["x-request-id"] != "7" || time.Until(one.AckBy) > time.Minute {
		t.Errorf("taken %+v of %+v", one, e)
	}
	s := read[api.Settled](d, http.MethodPost, pullPath+"ack", prodKey, `{"tokens":["`+one.Token+`","`+one.Token+`","1.guessed"]}`)
	if s.Count != 1 || len(s.Over) != 1 || s.Over[0] != "1.guessed" {
		t.Errorf("settled %+v", s)
	}
}

func TestPullingIsRefusedWithAReason(t *testing.T) {
	d := newPullDesk(t)
	d.refused(d.ask(http.MethodGet, "/v1/endpoints/billing/events", prodKey, ""), http.StatusConflict, "endpoint_of_other_kind")
	d.refused(d.ask(http.MethodPost, "/v1/endpoints/warehouse/test", prodKey, ""), http.StatusConflict, "endpoint_of_other_kind")
	d.refused(d.ask(http.MethodPost, "/v1/endpoints/warehouse/resume", prodKey, `{"rate":"5/s"}`), http.StatusConflict, "endpoint_of_other_kind")
	d.refused(d.ask(http.MethodGet, "/v1/endpoints/nobody/events", prodKey, ""), http.StatusNotFound, "not_found")
	d.refused(d.ask(http.MethodGet, pullPath+"events", testKey, ""), http.StatusNotFound, "not_found")
	d.refused(d.ask(http.MethodPost, pullPath+"ack", testKey, `{"tokens":["1.x"]}`), http.StatusNotFound, "not_found")
	for _, path := range []string{"events?wait=1h", "events?limit=0", "events?limit=101", "events?offset=1"} {
		d.refused(d.ask(http.MethodGet, pullPath+path, prodKey, ""), http.StatusUnprocessableEntity, "invalid")
	}
	for path, body := range map[string]string{
		"ack": `{"tokens":[]}`, "nack": `{"tokens":["1.x"],"delay":"25h"}`, "extend": `{"tokens":["1.x"],"by":"11m"}`,
	} {
		d.refused(d.ask(http.MethodPost, pullPath+path, prodKey, body), http.StatusUnprocessableEntity, "invalid")
	}
}

func TestAPausedEndpointGivesNothingUntilItIsResumed(t *testing.T) {
	d := newPullDesk(t)
	e := d.publish(event.Prod, "order.paid", "1")
	read[api.Endpoint](d, http.MethodPost, pullPath+"pause", prodKey, "")
	if got := read[api.List[api.Taken]](d, http.MethodGet, pullPath+"events?wait=1ms", prodKey, ""); len(got.Data) != 0 {
		t.Errorf("while it is paused %+v is taken", got.Data)
	}
	read[api.Endpoint](d, http.MethodPost, pullPath+"resume", prodKey, "")
	got := read[api.List[api.Taken]](d, http.MethodGet, pullPath+"events", prodKey, "")
	if len(got.Data) != 1 || got.Data[0].Event.ID != string(e.ID) {
		t.Fatalf("after it was resumed %+v is taken", got.Data)
	}
	if s := read[api.Endpoint](d, http.MethodGet, "/v1/endpoints/warehouse", prodKey, ""); s.Waiting != 1 {
		t.Errorf("%d wait while one is out, want 1", s.Waiting)
	}
}

func TestAKeyForReadingAloneTakesNothing(t *testing.T) {
	d := newPullDesk(t)
	key := parsed(t, "sk_prod_for-reading-alone")
	key.ReadOnly = true
	d.SetKeys([]Key{key, parsed(t, prodKey)})
	d.refused(d.ask(http.MethodGet, pullPath+"events", "sk_prod_for-reading-alone", ""), http.StatusForbidden, "key_read_only")
}
