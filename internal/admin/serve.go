package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// exchange is one request and what becomes of it, for its line in the log.
type exchange struct {
	http.ResponseWriter
	id     string
	face   *face // nil for /v1
	key    Key
	from   netip.Addr // who asks
	status int
	quiet  bool  // it has changed nothing that is managed, whatever its method
	cause  error // what the caller was not told
}

// statusLeft is logged of a request that its client has not waited for, as others
// do: nothing has failed.
const statusLeft = 499

type exchangeKey struct{}

// exchangeOf returns the request that ctx belongs to.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP answers a request: key first, so that strangers learn of nothing.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, asked := h.now(), r.Context()
	x := &exchange{ResponseWriter: w, id: newRequestID()}
	defer func() {
		if panicked := recover(); panicked != nil {
			x.fail(&problem{code: internal, detail: "Something went wrong; the log has it under this request_id.", cause: fmt.Errorf("panic: %v", panicked)})
		}
		if errors.Is(x.cause, context.Canceled) && asked.Err() != nil {
			x.status = statusLeft
		}
		h.log(x, r, h.now().Sub(begun))
		h.tell(x, r)
	}()
	x.Header().Set("Cache-Control", "no-store")
	x.Header().Set("X-Content-Type-Options", "nosniff")
	x.face, x.from = faceOf(r.URL.Path), h.caller(r)
	if strings.HasPrefix(r.URL.Path, prefix) || x.face != nil || r.URL.Path == asyncPath && presented(r.Header) != "" {
		key, refused := h.authenticate(r)
		x.key = key
		if refused == nil && x.face == &clink && r.Header.Get("X-Timestamp") == "" {
			refused = refuse(timestampExpired, "The header X-Timestamp is missing: the current time in milliseconds since 1970.")
		}
		if refused != nil {
			x.fail(refused)
			return
		}
		h.uses.note(&key, begun)
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), exchangeKey{}, x), requestTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	limit := int64(maxBody)
	if r.URL.Path == planPath {
		limit = maxPlan
	}
	r.Body = http.MaxBytesReader(x, r.Body, limit+1) // one more, so that it is the framework that refuses
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.unrouted(x, r)
		return
	}
	h.once(x, r, h.mux.ServeHTTP)
}

// fail answers with a problem, unless an answer has begun.
func (x *exchange) fail(p *problem) {
	x.cause = p.cause
	switch {
	case x.status != 0:
	case x.face != nil:
		x.face.refuse(x, p)
	default:
		p.write(x, x.id)
	}
}

// unrouted tells a path that there is not from a method that it does not have.
func (h *Handler) unrouted(x *exchange, r *http.Request) {
	probe := &discarded{header: http.Header{}}
	h.mux.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		x.Header().Set("Allow", probe.header.Get("Allow"))
		x.fail(refuse(methodNotAllowed, "This path takes "+probe.header.Get("Allow")+"."))
		return
	}
	x.fail(refuse(notFound, "There is no such path; GET /openapi.yaml has them all."))
}

// discarded keeps what an answer begins with.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// log writes the request's line. Changes are always told, with the id of the key
// that made them.
func (h *Handler) log(x *exchange, r *http.Request, took time.Duration) {
	level := slog.LevelDebug
	switch {
	case x.status >= http.StatusInternalServerError, x.status == http.StatusUnauthorized, x.status == http.StatusForbidden, x.status == http.StatusTooManyRequests:
		level = slog.LevelWarn
	case r.Method != http.MethodGet && !x.quiet:
		level = slog.LevelInfo
	}
	attributes := []slog.Attr{
		slog.String("request_id", x.id), slog.String("method", r.Method), slog.String("path", loggedPath(r)),
		slog.Int("status", x.status), slog.String("address", h.caller(r).String()),
		slog.Float64("duration_ms", float64(took.Microseconds())/1e3),
	}
	if x.key.Env != "" {
		attributes = append(attributes, slog.String("env", string(x.key.Env)), slog.String("key", x.key.id()))
	}
	if x.cause != nil {
		attributes = append(attributes, slog.String("error", x.cause.Error()))
	}
	h.config.Logger.LogAttrs(context.WithoutCancel(r.Context()), level, "management request", attributes...)
}

// maxLoggedPath is how much of a path is logged, in bytes.
const maxLoggedPath = 256

// loggedPath leaves out what may be a key that was pasted into a path.
func loggedPath(r *http.Request) string {
	path := r.URL.Path
	if i := strings.Index(path, "sk_"); i >= 0 {
		path = path[:i] + "…"
	}
	return path[:min(len(path), maxLoggedPath)]
}

func newRequestID() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
