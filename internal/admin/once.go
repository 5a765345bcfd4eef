package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/jethook/jethook/internal/managed"
)

const (
	idempotencyHeader = "Idempotency-Key"
	// maxIdempotencyKey bounds such a key, in bytes.
	maxIdempotencyKey = 255
)

// once makes a request that has an Idempotency-Key once: the same again gets the
// answer of then, for a day, and with the same API key, for the answer may hold a secret.
func (h *Handler) once(x *exchange, r *http.Request, serve func(http.ResponseWriter, *http.Request)) {
	key := r.Header.Get(idempotencyHeader)
	if r.Method != http.MethodPost || key == "" {
		serve(x, r)
		return
	}
	if len(key) > maxIdempotencyKey {
		x.fail(misplaced("header.Idempotency-Key", "is longer than 255 bytes"))
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		x.fail(refuse(bodyTooLarge, "The body is larger than 64 KiB."))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	name, request := digest(string(x.key.Env), x.key.id(), key), digest(r.Method, r.URL.RequestURI(), string(content))
	reply, begun, err := h.config.Managed.Begin(r.Context(), name, request)
	switch {
	case err != nil:
		x.fail(problemOf(err))
	case !begun && reply.Request != request:
		x.fail(refuse(keyReused, "The Idempotency-Key was used for another request within the last day. Use another one for each request."))
	case !begun && reply.Status == 0:
		p := refuse(underWay, "The request with that Idempotency-Key is under way. Ask again in a moment for its answer.")
		p.retryAfter = time.Second
		x.fail(p)
	case !begun:
		replay(x, reply)
	default:
		h.keep(x, r, name, reply, serve)
	}
}

func replay(x *exchange, reply managed.Reply) {
	x.Header().Set("Idempotency-Replayed", "true")
	for name, value := range map[string]string{"Content-Type": reply.Type, "ETag": reply.ETag} {
		if value != "" {
			x.Header().Set(name, value)
		}
	}
	x.WriteHeader(reply.Status)
	_, _ = x.Write(reply.Body) // a caller that has gone changes nothing
}

// keep makes a request and keeps its answer before the caller gets it.
func (h *Handler) keep(x *exchange, r *http.Request, name string, reply managed.Reply, serve func(http.ResponseWriter, *http.Request)) {
	kept := &recording{header: x.Header()}
	serve(kept, r)
	reply.Status, reply.Type, reply.ETag, reply.Body = kept.status, x.Header().Get("Content-Type"), x.Header().Get("ETag"), kept.body.Bytes()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
	defer cancel()
	if err := h.config.Managed.Finish(ctx, name, reply); err != nil {
		x.cause = err // what was asked for is done, and the caller shall know
	}
	x.WriteHeader(kept.status)
	_, _ = x.Write(kept.body.Bytes()) // a caller that has gone changes nothing
}

// recording is an answer that is not sent yet.
type recording struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recording) Header() http.Header { return r.header }

func (r *recording) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

func (r *recording) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		hash.Write(sum[:])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
