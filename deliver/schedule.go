package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Retry says when an event that was not delivered is tried again. Its zero
// value is DefaultRetry.
type Retry struct {
	Attempts    int           // the first one counts too, and none whose Retry-After is heeded; zero means 10; at most 100
	Initial     time.Duration // before the second attempt; zero means 10 s
	Multiplier  float64       // of each interval over the one before; zero means 3
	MaxInterval time.Duration // bounds the interval before jitter; zero means 12 h
	MaxElapsed  time.Duration // no attempt begins later than this after the first, but for one that a Retry-After asks for; zero means 24 h
	Jitter      float64       // the part of an interval that chance adds or takes away, below 1
}

const (
	maxAttempts      = 100
	maxRetryInterval = 30 * 24 * time.Hour
)

// DefaultRetry returns the schedule of an endpoint that sets none: ten attempts
// within a day, after 10 s, 30 s, 90 s and so on, each 20 % sooner or later.
func DefaultRetry() Retry {
	return Retry{Attempts: 10, Initial: 10 * time.Second, Multiplier: 3,
		MaxInterval: 12 * time.Hour, MaxElapsed: 24 * time.Hour, Jitter: 0.2}
}

func (r Retry) withDefaults() Retry {
	defaults := DefaultRetry()
	if r == (Retry{}) {
		return defaults
	}
	if r.Attempts == 0 {
		r.Attempts = defaults.Attempts
	}
	if r.Initial == 0 {
		r.Initial = defaults.Initial
	}
	if r.Multiplier == 0 {
		r.Multiplier = defaults.Multiplier
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = max(defaults.MaxInterval, r.Initial)
	}
	if r.MaxElapsed == 0 {
		r.MaxElapsed = defaults.MaxElapsed
	}
	return r
}

// problems returns what is wrong, by the names of Endpoint.Problems.
func (r Retry) problems() map[string]error {
	problems := map[string]error{}
	if r.Attempts < 1 || r.Attempts > maxAttempts {
		problems["retry.attempts"] = fmt.Errorf("retry.attempts %d is not between 1 and %d", r.Attempts, maxAttempts)
	}
	if r.Initial < 0 {
		problems["retry.initial"] = errors.New("retry.initial is negative")
	}
	if !(r.Multiplier >= 1 && r.Multiplier <= 100) {
		problems["retry.multiplier"] = fmt.Errorf("retry.multiplier %v is not between 1 and 100", r.Multiplier)
	}
	if r.MaxInterval < r.Initial || r.MaxInterval > maxRetryInterval {
		problems["retry.max_interval"] = fmt.Errorf("retry.max_interval %s is not between retry.initial and %s", r.MaxInterval, maxRetryInterval)
	}
	if r.MaxElapsed < 0 || r.MaxElapsed > maxRetryInterval {
		problems["retry.max_elapsed"] = fmt.Errorf("retry.max_elapsed %s is not between 0 and %s", r.MaxElapsed, maxRetryInterval)
	}
	if !(r.Jitter >= 0 && r.Jitter < 1) {
		problems["retry.jitter"] = fmt.Errorf("retry.jitter %v is not between 0 and 1", r.Jitter)
	}
	return problems
}

// interval returns the wait after attempt n, counted from 1: initial times
// multiplier to the power n-1, at most MaxInterval, and jitter.
func (r Retry) interval(n int) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.Initial),
		backoff.WithMultiplier(r.Multiplier),
		backoff.WithMaxInterval(r.MaxInterval),
		backoff.WithRandomizationFactor(r.Jitter),
		backoff.WithMaxElapsedTime(0),
	)
	for range n - 1 {
		b.NextBackOff()
	}
	return b.NextBackOff()
}

// next decides what follows an attempt that has failed at now, with so many
// failures of the event that use up attempts: the time of the next one, or the
// reason why there is none. A zero notBefore leaves the time to the schedule.
func (r Retry) next(failures int, first, now, notBefore time.Time) (at time.Time, reason string) {
	if failures >= r.Attempts {
		return time.Time{}, fmt.Sprintf("attempts used up: %d of %d", failures, r.Attempts)
	}
	at = now.Add(r.interval(failures))
	used := at.Sub(first)
	if !notBefore.IsZero() { // what the endpoint asks for may end past the time, but not begin there
		at, used = notBefore, now.Sub(first)
	}
	if used > r.MaxElapsed {
		return time.Time{}, fmt.Sprintf("time used up: the next attempt would begin more than %s after the first", r.MaxElapsed)
	}
	return at, ""
}
