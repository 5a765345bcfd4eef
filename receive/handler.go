package receive

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Event reads and verifies a delivery. Beside the errors of Verify there is that of
// a body that could not be read to its end.
func (r *Receiver) Event(w http.ResponseWriter, request *http.Request) (Event, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, r.maxBody))
	if errors.As(err, new(*http.MaxBytesError)) {
		return Event{}, ErrTooLarge
	}
	if err != nil {
		return Event{}, err
	}
	return r.Verify(request.Header, body)
}

// Handler returns a handler that answers 204 after handle has returned nil, and 500
// where it fails, so that jethook delivers the event again by the endpoint's retry;
// after RetryAfter it is 503. The context ends when jethook stops waiting, which is
// the endpoint's timeout: what handle does then must not count twice.
//
// What is not a POST is answered 405, a body over MaxBody 413, what is not signed as
// it should be 401, and what is no event 400; each with the reason, which jethook
// shows with the attempt. What handle returns goes to the log and not into the
// answer.
func (r *Receiver) Handler(handle func(context.Context, Event) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "deliveries are posted", http.StatusMethodNotAllowed)
			return
		}
		e, err := r.Event(w, request)
		if err != nil {
			http.Error(w, err.Error(), refusal(err))
			return
		}
		if err := handle(request.Context(), e); err != nil {
			r.fail(w, request, &e, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// refusal is the status for a delivery that is not taken.
func refusal(err error) int {
	switch {
	case errors.Is(err, ErrMissing), errors.Is(err, ErrMismatch), errors.Is(err, ErrExpired):
		return http.StatusUnauthorized
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func (r *Receiver) fail(w http.ResponseWriter, request *http.Request, e *Event, err error) {
	r.logger.ErrorContext(request.Context(), "event not handled", "event", e.ID, "type", e.Type, "attempt", e.Attempt, "error", err)
	var later *laterError
	if errors.As(err, &later) {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(later.wait.Seconds())))))
		http.Error(w, "not handled yet", http.StatusServiceUnavailable)
		return
	}
	http.Error(w, "not handled", http.StatusInternalServerError)
}

// laterError is what RetryAfter returns.
type laterError struct {
	wait  time.Duration
	cause error
}

func (l *laterError) Error() string { return l.cause.Error() }
func (l *laterError) Unwrap() error { return l.cause }

// RetryAfter is err, with which Handler has jethook wait for at least so long before
// the next attempt: from a second to 24 hours. jethook slows its deliveries to the
// endpoint down for up to a minute of it. err must not be nil.
func RetryAfter(wait time.Duration, err error) error { return &laterError{wait, err} }
