// Package admin serves the management API.
package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/managed"
)

// Config is what a Handler needs. Every field is required but Meter and
// TrustedProxies.
type Config struct {
	Bus       *bus.Bus
	Directory *fanout.Directory
	Managed   *managed.Store
	Guard     *deliver.Guard
	Client    *deliver.Client // for test events
	Logger    *slog.Logger
	Meter     metric.Meter // of the attempts at endpoints that are pulled; nil counts nothing

	// TrustedProxies are those whose X-Forwarded-For is believed; none by default.
	TrustedProxies []netip.Prefix
}

const (
	// maxBody bounds a request's body; the largest that is meant has certificates
	// and keys in it.
	maxBody = 64 << 10
	// requestTimeout bounds the work for one request.
	requestTimeout = 30 * time.Second
)

// prefix begins the paths that need a key.
const prefix = "/v1/"

// Handler serves the API. Nobody has access before SetKeys. It is safe for
// concurrent use.
type Handler struct {
	config   Config
	now      func() time.Time
	mux      *http.ServeMux
	keys     atomic.Pointer[[]Key]
	failures *failures
	uses     uses
	puller   *deliver.Puller

	// keyChange is held from the look whether a key is the last one until it is
	// changed.
	keyChange sync.Mutex
}

// New returns a handler of the whole listener.
func New(config Config) (*Handler, error) {
	if config.Bus == nil || config.Directory == nil || config.Managed == nil || config.Guard == nil || config.Client == nil || config.Logger == nil {
		return nil, errors.New("admin: Bus, Directory, Managed, Guard, Client and Logger are required")
	}
	config.TrustedProxies = caller.Normal(config.TrustedProxies)
	h := &Handler{config: config, now: time.Now, mux: http.NewServeMux(), failures: newFailures()}
	h.keys.Store(new([]Key))
	var err error
	if h.puller, err = deliver.NewPuller(deliver.PullerConfig{Bus: config.Bus, Client: config.Client, Logger: config.Logger, Meter: config.Meter}); err != nil {
		return nil, err
	}
	h.faceRoutes()
	document, err := h.routes().OpenAPI().YAML()
	if err != nil {
		return nil, err
	}
	h.mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+yaml")
		_, _ = w.Write(document) // a caller that has gone changes nothing
	})
	h.mux.HandleFunc("GET "+asyncPath, h.describeEvents)
	return h, nil
}

// SetKeys replaces the keys that are taken beside those that are entries.
func (h *Handler) SetKeys(keys []Key) { h.keys.Store(&keys) }
