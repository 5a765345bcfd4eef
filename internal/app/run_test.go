package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/app"
)

// TestTheEndKeepsItsBound ends a bridge while a request and an attempt hang.
func TestTheEndKeepsItsBound(t *testing.T) {
	begun := make(chan struct{}, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices who hangs up
		begun <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(receiver.Close)
	const bound = 2 * time.Second
	a, err := app.New(t.Context(), load(t, fmt.Sprintf(`
listen: {ingest: "127.0.0.1:0", ops: "127.0.0.1:0", drain_delay: 0s, drain_timeout: %s}
nats: {embedded: {store_dir: %q}, stream: {max_bytes: 64MiB}}
deliver: {allow_networks: [127.0.0.0/8]}
sources: [{name: shop, verify: {algorithm: none}}]
endpoints: [{name: billing, url: %q, all_events: true, signature: none}]
`, bound, t.TempDir(), receiver.URL)), app.Options{Version: "test", Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = a.Run(ctx) }() // it says that the request did not finish
	address := a.Addresses()
	response, err := http.Post("http://"+address["ingest"]+"/in/shop", "application/json", strings.NewReader(`{"type":"order.paid"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
		t.Fatalf("the gateway answered %s", response.Status)
	}
	<-begun
	held, err := net.Dial("tcp", address["ingest"])
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// The answer to Expect shows that the gateway waits for the body.
	if _, err := io.WriteString(held, "POST /in/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	stop()
	for draining := false; !draining; {
		response, err := http.Get("http://" + address["ops"] + "/readyz")
		if err != nil {
			t.Fatalf("nobody tells operators that it drains: %v", err)
		}
		draining = response.StatusCode == http.StatusServiceUnavailable
		_ = response.Body.Close()
	}
	<-ended
	if took := time.Since(began); took < bound || took >= 2*bound {
		t.Errorf("the end took %s, want listen.drain_timeout, %s, and a little", took, bound)
	}
}
