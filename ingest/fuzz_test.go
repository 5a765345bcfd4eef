package ingest_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

func FuzzNobodyStoresWithoutTheSecret(f *testing.F) {
	f.Add("POST", "/in/stripe", "t=1795422600,v1=00", "application/json", "1.1.1.1", "[]", true)
	f.Add("POST", "/in/batch", "", "", "garbage", `[{"type":"a.*.>"}]`, false)
	f.Add("GET", "/in/x", "", "\xff", ",,", "crc", false)
	f.Add("\x00", "/in/stripe/../x", ",,=,", "", "", "", false)
	f.Fuzz(func(t *testing.T, method, path, signed, contentType, forwarded, body string, announced bool) {
		bus := publisher(func(_ context.Context, e *event.Event) (event.Receipt, error) {
			t.Errorf("stored %+v", e)
			return event.Receipt{}, nil
		})
		g := newGateway(t, ingest.Config{Publisher: bus},
			newSource(t, "stripe", "stripe"), newSource(t, "batch", "hubspot-v3"), newSource(t, "x", "x-twitter"))
		r := stripe(t)
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: body}
		r.Header = http.Header{
			"Stripe-Signature": {signed}, "Content-Type": {contentType}, "X-Forwarded-For": {forwarded},
			"X-Hubspot-Signature-V3": {signed}, "Traceparent": {signed}, "X-Request-Id": {forwarded},
		}
		setBody(r, body)
		if !announced {
			r.ContentLength = -1
		}
		if a := g.send(r); a.status < 400 && method != http.MethodGet {
			t.Errorf("%s %s got %d: %s", method, path, a.status, a.text)
		}
	})
}
