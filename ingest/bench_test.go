package ingest_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/ingest"
)

// BenchmarkHandler is a request of 1 KiB without the bus and the network.
func BenchmarkHandler(b *testing.B) {
	body := strings.Replace(stripeBody, "1250", `"`+strings.Repeat("x", 1024-len(stripeBody))+`"`, 1)
	h, err := ingest.New(ingest.Config{
		Publisher: publisher(accept),
		Now:       func() time.Time { return now },
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := h.SetSources([]ingest.Source{newSource(b, "stripe", "stripe")}); err != nil {
		b.Fatal(err)
	}
	r := newRequest(b, "stripe", secret, "http://hooks.example/in/stripe", body, nil)
	reader := bytes.NewReader([]byte(body))
	r.Body = io.NopCloser(reader)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset([]byte(body))
		h.ServeHTTP(w, r)
	}
	if w.status != 0 { // only a refusal writes its status
		b.Fatalf("got %d, want 200", w.status)
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header             { return d.header }
func (d *discard) WriteHeader(status int)          { d.status = status }
func (d *discard) Write(p []byte) (int, error)     { return len(p), nil }
func (d *discard) SetReadDeadline(time.Time) error { return nil }
