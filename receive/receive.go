// Package receive verifies deliveries of jethook in the service that gets them, and reads their events.
//
// [Handler] is all that most services need: it answers 2xx only after the
// service's function has returned nil, so that everything else is delivered again.
// Delivery is at least once and in no order; [Once] leaves out what comes again, and
// the example of [Handler] with a database does so over restarts and replicas.
//
// The deliveries are those of an endpoint with signature: standard, jethook's
// default. The signature covers the event's ID, the time of sending and the body.
// It does not cover the other headers, which have the event's name and source: have
// deliveries come over TLS or a network of yours, or read the name from the body
// where it is there.
package receive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

const defaultMaxBody = 1 << 20

// What Event and Verify answer, wrapped with the detail, which has nothing of a
// secret and nothing of the body.
var (
	// ErrMissing means that the signature, or a header that it covers, is not there.
	ErrMissing = signature.ErrMissing
	// ErrMismatch means that the delivery is not signed with one of the secrets.
	ErrMismatch = signature.ErrMismatch
	// ErrExpired means that the signature is genuine and its time further from now
	// than the tolerance, in the past or in the future.
	ErrExpired = signature.ErrExpired
	// ErrTooLarge means that the body is larger than MaxBody.
	ErrTooLarge = errors.New("body too large")
	// ErrNoEvent means that a genuine delivery does not have the headers of an event,
	// as when it was signed by another system with the same secret.
	ErrNoEvent = errors.New("not an event of jethook")
)

// Config says what deliveries a Receiver takes.
type Config struct {
	// Secrets are those of the endpoint, whsec_…, of which any may match; 1 to 16.
	// While a secret is replaced there are two.
	Secrets []string
	// Tolerance is how far the time of sending may be from now. Zero is 5 minutes.
	Tolerance time.Duration
	// MaxBody is the most bytes that a body may have. Zero is 1 MiB, which is also
	// what a source of jethook takes; raise both together. What is larger is refused,
	// and dead in the end.
	MaxBody int64
	// Logger gets what the function of Handler returns. Nil is slog.Default().
	Logger *slog.Logger
}

// Receiver verifies deliveries to one endpoint. It is safe for concurrent use and
// never changes.
type Receiver struct {
	verifier *signature.Verifier
	maxBody  int64
	logger   *slog.Logger
	now      func() time.Time
}

// New checks the configuration. Its errors never repeat a secret.
func New(c Config) (*Receiver, error) {
	if c.Tolerance < 0 || c.MaxBody < 0 {
		return nil, errors.New("receive: Tolerance and MaxBody cannot be negative")
	}
	scheme := signature.StandardWebhooks()
	if c.Tolerance > 0 {
		scheme.Timestamp.Tolerance = c.Tolerance
	}
	keys := make([]signature.Key, len(c.Secrets))
	for i, secret := range c.Secrets {
		var err error
		if keys[i], err = signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, secret); err != nil {
			return nil, fmt.Errorf("receive: secret %d of %d: %w", i+1, len(c.Secrets), err)
		}
	}
	verifier, err := signature.NewVerifier(scheme, keys)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	r := &Receiver{verifier: verifier, maxBody: c.MaxBody, logger: c.Logger, now: time.Now}
	if r.maxBody == 0 {
		r.maxBody = defaultMaxBody
	}
	if r.logger == nil {
		r.logger = slog.Default()
	}
	return r, nil
}

// Verify returns the event of a delivery whose body was read already, at most
// MaxBody bytes of it; the event keeps body and header. Its errors wrap ErrMissing,
// ErrMismatch, ErrExpired, ErrTooLarge or ErrNoEvent, and no others.
func (r *Receiver) Verify(header http.Header, body []byte) (Event, error) {
	if int64(len(body)) > r.maxBody {
		return Event{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, r.maxBody)
	}
	if err := r.verifier.Verify(signature.Request{Method: http.MethodPost, Header: header, Body: body}, r.now()); err != nil {
		return Event{}, err
	}
	return readEvent(header, body)
}

// Handler returns a handler of deliveries signed with any of the secrets, with the
// defaults of Config; see Receiver.Handler.
func Handler(secrets []string, handle func(context.Context, Event) error) (http.Handler, error) {
	r, err := New(Config{Secrets: secrets})
	if err != nil {
		return nil, err
	}
	return r.Handler(handle), nil
}
