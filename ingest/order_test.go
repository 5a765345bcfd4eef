package ingest_test

import (
	"net/http"
	"testing"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

func both(edits ...func(*ingest.Source)) func(*ingest.Source) {
	return func(s *ingest.Source) {
		for _, edit := range edits {
			edit(s)
		}
	}
}

// Each row breaks two checks that follow one another; the first decides.
func TestChecksRunInTheOrderOfTheContract(t *testing.T) {
	unsigned := edited(func(r *http.Request) { r.Header.Del("Stripe-Signature") })
	rows := []refusal{
		{name: "source before method", status: 404,
			request: edited(func(r *http.Request) { r.Method, r.URL.Path = http.MethodPut, "/in/nobody" })},
		{name: "method before address", source: refuseAll, status: 405,
			request: edited(func(r *http.Request) { r.Method = http.MethodPut })},
		{name: "address before rate", source: both(refuseAll, allowOne), request: stripeRequest, times: 2, status: 403},
		{name: "rate before size", source: both(allowOne, smallBodies), request: stripeRequest, times: 2, status: 429},
		{name: "size before signature", source: smallBodies, request: unsigned, status: 413},
		{name: "signature before name", status: 401,
			request: func(t *testing.T) *http.Request {
				r := bodied(`{}`)(t)
				r.Header.Del("Stripe-Signature")
				return r
			}},
		{name: "name before storing", request: bodied(`{}`), bus: failing(event.ErrFull), status: 422},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if _, a := row.send(t); a.status != row.status {
				t.Errorf("got %d, want %d: %s", a.status, row.status, a.text)
			}
		})
	}
}

func TestARefusedAddressDoesNotUseUpTheRate(t *testing.T) {
	source := newSource(t, "stripe", "stripe")
	both(refuseAll, allowOne)(&source)
	g := newGateway(t, ingest.Config{}, source)
	for range 3 {
		g.send(stripe(t))
	}
	r := stripe(t)
	r.RemoteAddr = "203.0.113.7:4711"
	if a := g.send(r); a.status != 200 {
		t.Errorf("an allowed caller got %d after refused ones, want 200: %s", a.status, a.text)
	}
}
