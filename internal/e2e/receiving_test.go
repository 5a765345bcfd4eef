package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestASignedEventIsStoredAndAnsweredWithItsID(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(shop("shop")))
	got := b.sell("shop", order("stored"))
	id := got.accepted(t).ID
	if want := fmt.Sprintf("{\"id\":%q,\"duplicate\":false}\n", id); got.body != want {
		t.Errorf("answer %q, want %q", got.body, want)
	}
	if len(id) != len("evt_")+26 || !strings.HasPrefix(id, "evt_") {
		t.Errorf("id %q, want evt_ and 26 characters", id)
	}
	if got := got.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q, want application/json", got)
	}
}

func TestARedeliveryIsADuplicateWhetherOrNotTheProcessWasStartedAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, "nats: {embedded: {store_dir: "+strconv.Quote(t.TempDir())+"}, stream: {max_bytes: 64MiB, dedupe_window: 1s}}\n",
		sources(shop("shop")), endpoints(endpoint("billing", r)))
	began := time.Now()
	first := b.sell("shop", order("again")).accepted(t)
	if first.Duplicate {
		t.Errorf("the first is answered %+v, want no duplicate", first)
	}
	want := receipt{ID: first.ID, Duplicate: true}
	redeliver := func(when string) {
		t.Helper()
		if got := b.sell("shop", order("again")).accepted(t); got != want {
			t.Errorf("%s: answered %+v, want %+v", when, got, want)
		}
	}
	redeliver("at once")
	eventually(t, "the stream's own window has passed", func() bool { return time.Since(began) > 1500*time.Millisecond })
	redeliver("after the stream's own window")
	r.next()
	if code := b.stop(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}
	const known = "index of redeliveries is read" // in the background, a moment after the start
	b.run()
	b.waitLog(known)
	redeliver("after a restart")
	b.kill()
	b.run()
	b.waitLog(known)
	redeliver("after kill -9")

	next := b.sold(t, "next")
	if got := r.next().header.Get("webhook-id"); got != next {
		t.Errorf("after the first, %s was delivered, want %s: a redelivery is not published", got, next)
	}
}

// nothingButLetters is a body that no source can name.
var nothingButLetters = []byte("abc")

// refusal is a row of the table of answers.
type refusal struct {
	name, method, path string
	header             http.Header
	body               []byte
	status             int
	code               string
}

func refusals() []refusal {
	now := time.Now()
	good, body := signShop(shopSecret, now, order("a")), order("a")
	unnamed := []byte(`{"id":"a","kind":"order.paid"}`)
	without := func(name string) http.Header {
		header := good.Clone()
		header.Del(name)
		return header
	}
	large := order(strings.Repeat("x", 1024))
	return []refusal{
		{"no such source", "POST", "/in/nobody", good, body, 404, "unknown_source"},
		{"no source", "POST", "/in/", good, body, 404, "unknown_source"},
		{"the environment is not in the path", "POST", "/in/prod/shop", good, body, 404, "unknown_source"},
		{"another path", "POST", "/shop", good, body, 404, "unknown_source"},
		{"GET", "GET", "/in/shop", good, nil, 405, "method_not_allowed"},
		{"PUT", "PUT", "/in/shop", good, body, 405, "method_not_allowed"},
		{"DELETE", "DELETE", "/in/shop", good, nil, 405, "method_not_allowed"},
		{"a body larger than max_body", "POST", "/in/small", signShop(shopSecret, now, large), large, 413, "body_too_large"},
		{"no signature", "POST", "/in/shop", without("X-Shop-Signature"), body, 401, "signature_missing"},
		{"no time where it is signed", "POST", "/in/shop", without("X-Shop-Timestamp"), body, 401, "signature_missing"},
		{"another secret", "POST", "/in/shop", signShop("another", now, body), body, 401, "signature_mismatch"},
		{"another body", "POST", "/in/shop", good, append([]byte(" "), body...), 401, "signature_mismatch"},
		{"another source's secret", "POST", "/in/stripe", signStripe(shopSecret, now, body), body, 401, "signature_mismatch"},
		{"too long ago", "POST", "/in/shop", signShop(shopSecret, now.Add(-6*time.Minute), body), body, 401, "signature_expired"},
		{"too far ahead", "POST", "/in/shop", signShop(shopSecret, now.Add(6*time.Minute), body), body, 401, "signature_expired"},
		{"no event name", "POST", "/in/shop", signShop(shopSecret, now, unnamed), unnamed, 422, "event_unnamed"},
		{"no JSON where the name is in it", "POST", "/in/shop", signShop(shopSecret, now, nothingButLetters), nothingButLetters, 422, "event_unnamed"},
		{"a caller outside allow_ips", "POST", "/in/fenced", good, body, 403, "address_refused"},
	}
}

func TestWhatIsRefusedIsAProblemWithItsCode(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(
		shop("shop"), shop("small", "max_body: 1KiB"), shop("fenced", "allow_ips: [203.0.113.0/24]"),
		source("stripe", "stripe", "whsec_of_stripe"),
	))
	for _, row := range refusals() {
		t.Run(row.name, func(t *testing.T) {
			got := b.do(row.method, b.url("ingest", row.path), row.header, row.body)
			got.refused(t, row.status, row.code)
			if allow := got.header.Get("Allow"); row.status == http.StatusMethodNotAllowed && allow != "POST" {
				t.Errorf("Allow is %q, want POST", allow)
			}
			if strings.Contains(got.body, shopSecret) {
				t.Errorf("the answer tells the secret: %s", got.body)
			}
		})
	}
	t.Run("a body of exactly max_body is taken", func(t *testing.T) {
		body := order(strings.Repeat("x", 1024-len(order(""))))
		if len(body) != 1024 {
			t.Fatalf("the body has %d bytes, want 1024", len(body))
		}
		b.sell("small", body).accepted(t)
	})
}

func TestMoreThanTheRateIsRefusedUntilRetryAfter(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(shop("shop", "rate: 2/h"), shop("other")))
	b.sell("shop", order("a")).accepted(t)
	got := b.sell("shop", order("b"))
	got.refused(t, http.StatusTooManyRequests, "rate_limited")
	if wait := retryAfter(t, got); wait > 1800 {
		t.Errorf("Retry-After is %d s, want at most 1800: half an hour for one of two an hour", wait)
	}
	b.sell("other", order("b")).accepted(t)
}

// retryAfter reads Retry-After, which is at least a second.
func retryAfter(t *testing.T, a answer) int {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q, want a second or more", a.header.Get("Retry-After"))
	}
	return seconds
}

func TestChecksRunInTheirOrder(t *testing.T) {
	t.Parallel()
	b := newBridge(t, embeddedIn(t.TempDir()), sources(
		shop("all", "allow_ips: [203.0.113.0/24]", "rate: 1/h", "max_body: 64B"), shop("shop", "max_body: 64B"),
	))
	b.overlay("listen: {trusted_proxies: [127.0.0.0/8]}\n")
	b.run()

	large := []byte(strings.Repeat("x", 65))
	from := func(address string, header http.Header) http.Header {
		header = header.Clone()
		header.Set("X-Forwarded-For", address)
		return header
	}
	allowed, stranger := "203.0.113.7", "198.51.100.1"
	unsigned, wrong := http.Header{}, signShop("another", time.Now(), nothingButLetters)
	good := signShop(shopSecret, time.Now(), order("a"))
	for _, step := range []struct {
		name, method, source string
		header               http.Header
		body                 []byte
		status               int
		code                 string
	}{
		{"source before method", "PUT", "nobody", from(stranger, unsigned), large, 404, "unknown_source"},
		{"method before address", "PUT", "all", from(stranger, unsigned), large, 405, "method_not_allowed"},
		{"address before size", "POST", "all", from(stranger, unsigned), large, 403, "address_refused"},
		{"what is refused before does not use up the rate", "POST", "all", from(allowed, good), order("a"), 200, ""},
		{"address before rate", "POST", "all", from(stranger, good), order("b"), 403, "address_refused"},
		{"rate before size", "POST", "all", from(allowed, unsigned), large, 429, "rate_limited"},
		{"size before signature", "POST", "shop", unsigned, large, 413, "body_too_large"},
		{"signature before name", "POST", "shop", wrong, nothingButLetters, 401, "signature_mismatch"},
	} {
		t.Run(step.name, func(t *testing.T) {
			got := b.do(step.method, b.url("ingest", "/in/"+step.source), step.header, step.body)
			if step.status == http.StatusOK {
				got.accepted(t)
				return
			}
			got.refused(t, step.status, step.code)
		})
	}
}

func TestTheCallersAddressIsWhatATrustedProxySays(t *testing.T) {
	t.Parallel()
	fenced := shop("fenced", "allow_ips: [203.0.113.0/24, 2001:db8::/32]")
	direct := start(t, embeddedIn(t.TempDir()), sources(fenced, shop("here", "allow_ips: [127.0.0.1]")))
	proxied := newBridge(t, embeddedIn(t.TempDir()), sources(fenced))
	proxied.overlay("listen: {trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]}\n")
	proxied.run()
	for i, row := range []struct {
		name, source, forwarded string
		bridge                  *bridge
		allowed                 bool
	}{
		{"a stranger's word is not believed", "fenced", "203.0.113.7", direct, false},
		{"the connection's own address counts", "here", "203.0.113.7", direct, true},
		{"a trusted proxy's word counts", "fenced", "203.0.113.7", proxied, true},
		{"IPv6 as well", "fenced", "2001:db8::1", proxied, true},
		{"an address that is not listed", "fenced", "198.51.100.1", proxied, false},
		{"the last stranger of the list counts", "fenced", "203.0.113.7, 198.51.100.1, 10.1.2.3", proxied, false},
		{"what stands before a stranger does not", "fenced", "198.51.100.1, 203.0.113.7, 10.1.2.3", proxied, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			body := order(strconv.Itoa(i))
			header := signShop(shopSecret, time.Now(), body)
			header.Set("X-Forwarded-For", row.forwarded)
			got := row.bridge.post(row.source, header, body)
			if row.allowed {
				got.accepted(t)
				return
			}
			got.refused(t, http.StatusForbidden, "address_refused")
		})
	}
}
