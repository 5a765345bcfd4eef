package ingest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

// refusal is one row of the table of what is refused and how.
type refusal struct {
	name    string
	source  func(*ingest.Source) // changes to the stripe source
	request func(t *testing.T) *http.Request
	times   int // how often it is sent; the last answer counts
	bus     publisher
	status  int
	code    string
}

func edited(edit func(*http.Request)) func(*testing.T) *http.Request {
	return func(t *testing.T) *http.Request {
		r := stripe(t)
		edit(r)
		return r
	}
}

func to(url string) func(*testing.T) *http.Request {
	return edited(func(r *http.Request) { r.URL.Path = url })
}

func refuseAll(s *ingest.Source) {
	s.AllowIPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
}

func allowOne(s *ingest.Source) { s.Rate = .5 }

func smallBodies(s *ingest.Source) { s.MaxBody = 16 }

func failing(err error) publisher {
	return func(context.Context, *event.Event) (event.Receipt, error) { return event.Receipt{}, err }
}

var refusals = []refusal{
	{name: "an unknown source is not found", request: to("/in/nobody"), status: 404, code: "unknown_source"},
	{name: "a path after the source is not found", request: to("/in/stripe/more"), status: 404, code: "unknown_source"},
	{name: "a slash after the source is not found", request: to("/in/stripe/"), status: 404, code: "unknown_source"},
	{name: "a path outside /in/ is not found", request: to("/out/stripe"), status: 404, code: "unknown_source"},
	{name: "the bare prefix is not found", request: to("/in/"), status: 404, code: "unknown_source"},
	{name: "a GET is not allowed", request: edited(func(r *http.Request) { r.Method = http.MethodGet }), status: 405, code: "method_not_allowed"},
	{name: "a PUT is not allowed", request: edited(func(r *http.Request) { r.Method = http.MethodPut }), status: 405, code: "method_not_allowed"},
	{name: "a made-up method is not allowed", request: edited(func(r *http.Request) { r.Method = "BREW" }), status: 405, code: "method_not_allowed"},
	{name: "an address outside allow_ips is refused", source: refuseAll, request: stripeRequest, status: 403, code: "address_refused"},
	{name: "what exceeds the rate is refused", source: allowOne, request: stripeRequest, times: 2, status: 429, code: "rate_limited"},
	{name: "a body announced as too large is refused", source: smallBodies, request: stripeRequest, status: 413, code: "body_too_large"},
	{name: "a body that turns out too large is refused", source: smallBodies, request: edited(func(r *http.Request) { r.ContentLength = -1 }), status: 413, code: "body_too_large"},
	{name: "a request without signature is refused", request: edited(func(r *http.Request) { r.Header.Del("Stripe-Signature") }), status: 401, code: "signature_missing"},
	{name: "a signature by another secret is refused", request: func(t *testing.T) *http.Request {
		return newRequest(t, "stripe", otherSecret, "http://hooks.example/in/stripe", stripeBody, nil)
	}, status: 401, code: "signature_mismatch"},
	{name: "a changed body is refused", request: edited(func(r *http.Request) {
		r.Body = http.NoBody
		r.ContentLength = 0
	}), status: 401, code: "signature_mismatch"},
	{name: "a signature older than the tolerance is refused", request: staleStripe, status: 401, code: "signature_expired"},
	{name: "a preset's own status answers a bad signature", source: func(s *ingest.Source) { s.RejectStatus = 418 },
		request: edited(func(r *http.Request) { r.Header.Del("Stripe-Signature") }), status: 418, code: "signature_missing"},
	{name: "a verified body without a name is refused", request: bodied(`{"id":"evt_1"}`), status: 422, code: "event_unnamed"},
	{name: "a verified body that is not JSON is refused", request: bodied(`id=1`), status: 422, code: "event_unnamed"},
	{name: "a full store answers 503", request: stripeRequest, bus: failing(event.ErrFull), status: 503, code: "not_stored"},
	{name: "a bus that is away answers 503", request: stripeRequest, bus: failing(event.ErrUnavailable), status: 503, code: "not_stored"},
	{name: "any other error of the bus answers 503", request: stripeRequest, bus: failing(errors.New("surprise")), status: 503, code: "not_stored"},
}

func stripeRequest(t *testing.T) *http.Request { return stripe(t) }

// staleStripe is signed correctly, ten minutes ago.
func staleStripe(t *testing.T) *http.Request {
	signed := strconv.FormatInt(now.Add(-10*time.Minute).Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, "http://hooks.example/in/stripe", strings.NewReader(stripeBody))
	r.Header.Set("Stripe-Signature", "t="+signed+",v1="+hmacSHA256(secret, signed+"."+stripeBody))
	return r
}

func bodied(body string) func(*testing.T) *http.Request {
	return func(t *testing.T) *http.Request {
		return newRequest(t, "stripe", secret, "http://hooks.example/in/stripe", body, nil)
	}
}

func (row refusal) send(t *testing.T) (*gateway, answer) {
	t.Helper()
	source := newSource(t, "stripe", "stripe", secret)
	if row.source != nil {
		row.source(&source)
	}
	config := ingest.Config{}
	if row.bus != nil {
		config.Publisher = row.bus
	}
	g := newGateway(t, config, source)
	var a answer
	for range max(1, row.times) {
		a = g.send(row.request(t))
	}
	return g, a
}

func TestARefusalHasTheStatusAndTheCodeOfTheContract(t *testing.T) {
	for _, row := range refusals {
		t.Run(row.name, func(t *testing.T) {
			_, a := row.send(t)
			if a.status != row.status || a.Code != row.code {
				t.Errorf("got %d %q, want %d %q: %s", a.status, a.Code, row.status, row.code, a.text)
			}
		})
	}
}

func TestARefusalIsAProblemWithoutEmptyMembers(t *testing.T) {
	for _, row := range refusals {
		t.Run(row.name, func(t *testing.T) {
			_, a := row.send(t)
			if got := a.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type is %q", got)
			}
			if a.Type != "urn:jethook:problem:"+row.code || a.Title == "" || a.Detail == "" || a.Status != row.status {
				t.Errorf("members are wrong or empty: %s", a.text)
			}
			if a.RequestID == "" || a.RequestID != a.header.Get("X-Request-Id") {
				t.Errorf("request_id is %q, X-Request-Id %q", a.RequestID, a.header.Get("X-Request-Id"))
			}
		})
	}
}

func TestARefusalIsLoggedOnceWithItsReason(t *testing.T) {
	for _, row := range refusals {
		t.Run(row.name, func(t *testing.T) {
			g, a := row.send(t)
			line := g.logs.last(t)
			level := "INFO"
			if row.status == 503 {
				level = "WARN"
			}
			if line["msg"] != "request received" || line["level"] != level || line["code"] != row.code ||
				line["status"] != float64(row.status) || line["request_id"] != a.RequestID {
				t.Errorf("log line %v, want level %s, code %s, status %d, request %s", line, level, row.code, row.status, a.RequestID)
			}
			if lines := strings.Count(g.logs.String(), "\n"); lines != max(1, row.times) {
				t.Errorf("%d log lines for %d requests", lines, max(1, row.times))
			}
		})
	}
}

func TestRetryAfterIsAWholeSecondAtLeast(t *testing.T) {
	for _, row := range refusals {
		if row.status != 503 && row.status != 429 {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			_, a := row.send(t)
			if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
		})
	}
}

func TestAFullStoreIsGivenMoreTimeThanAHiccup(t *testing.T) {
	for err, want := range map[error]string{event.ErrFull: "30", event.ErrUnavailable: "2"} {
		_, a := refusal{request: stripeRequest, bus: failing(err)}.send(t)
		if got := a.header.Get("Retry-After"); got != want {
			t.Errorf("%v: Retry-After is %q, want %q", err, got, want)
		}
	}
}

func TestARefusedMethodNamesTheOneAllowed(t *testing.T) {
	_, a := refusal{request: edited(func(r *http.Request) { r.Method = http.MethodPut })}.send(t)
	if got := a.header.Get("Allow"); got != "POST" {
		t.Errorf("Allow is %q, want POST", got)
	}
}
