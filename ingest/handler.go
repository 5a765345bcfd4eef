// Package ingest receives webhooks: it verifies each request, names the event, and stores it before answering.
package ingest

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// pathPrefix precedes the name of the source in a request's path.
const pathPrefix = "/in/"

// Handler receives webhooks at /in/{source}. It answers 2xx only after the
// Publisher has stored the event. It is safe for concurrent use, and has no
// goroutines that outlive a request.
type Handler struct {
	config   Config
	metrics  *metrics
	unknown  *labels // of requests for sources that do not exist
	inFlight chan struct{}
	buffered budget

	setting sync.Mutex // held by SetSources
	sources atomic.Pointer[map[string]*source]
}

// New returns a Handler without sources.
func New(config Config) (*Handler, error) {
	config, err := config.complete()
	if err != nil {
		return nil, fmt.Errorf("new ingest handler: %w", err)
	}
	m, err := newMetrics(config.Meter)
	if err != nil {
		return nil, fmt.Errorf("new ingest handler: %w", err)
	}
	h := &Handler{
		config:   config,
		metrics:  m,
		unknown:  newLabels(unknownLabel),
		inFlight: make(chan struct{}, config.MaxInFlight),
	}
	h.buffered.free.Store(config.MaxBuffered)
	h.sources.Store(&map[string]*source{})
	return h, nil
}

// ServeHTTP receives one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &intake{Handler: h, w: w, r: r, start: h.config.Now()}
	in.identify()
	defer in.finish()
	w.Header()["X-Request-Id"] = []string{in.requestID}
	in.limitReading()
	if refusal := in.receive(); refusal != nil {
		in.outcome, in.cause, in.status = refusal.outcome, refusal.cause, refusal.statusCode()
		refusal.write(w, in.requestID)
	}
}
