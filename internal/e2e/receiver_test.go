package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// delivery is one request that a receiver got.
type delivery struct {
	at     time.Time
	method string
	path   string
	header http.Header
	body   []byte
	status int // that it was answered with
}

// receiver is an internal service: a real HTTP server that keeps what it gets.
type receiver struct {
	t          *testing.T
	server     *httptest.Server
	deliveries chan delivery
}

// newReceiver answers each delivery as told; nil answers 200.
func newReceiver(t *testing.T, answer func(w http.ResponseWriter, d delivery) int) *receiver {
	r := &receiver{t: t, deliveries: make(chan delivery, 100_000)}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // the sender went away; it will come again
		}
		d := delivery{at: time.Now(), method: request.Method, path: request.URL.Path, header: request.Header.Clone(), body: body, status: http.StatusOK}
		if answer != nil {
			d.status = answer(w, d)
		}
		w.WriteHeader(d.status)
		r.deliveries <- d
	}))
	t.Cleanup(r.server.Close)
	return r
}

// next returns the next delivery, in the order in which they were answered.
func (r *receiver) next() delivery {
	r.t.Helper()
	select {
	case d := <-r.deliveries:
		return d
	case <-time.After(patience):
		r.t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// of returns the next n deliveries by event id.
func (r *receiver) of(n int) map[string][]delivery {
	r.t.Helper()
	byID := map[string][]delivery{}
	for range n {
		d := r.next()
		byID[d.header.Get("webhook-id")] = append(byID[d.header.Get("webhook-id")], d)
	}
	return byID
}

// empty fails when something was delivered that no test has taken.
func (r *receiver) empty() {
	r.t.Helper()
	select {
	case d := <-r.deliveries:
		r.t.Errorf("one delivery too many: %s attempt %s", d.header.Get("webhook-id"), d.header.Get("jethook-attempt"))
	default:
	}
}
