package deliver

import (
	"net/http"
	"strings"
	"time"
)

// Outcome is what became of an event at one attempt, or without one.
type Outcome string

// The outcomes.
const (
	OutcomeDelivered   Outcome = "delivered"
	OutcomeRetry       Outcome = "retry"       // tried again at a later time
	OutcomeDead        Outcome = "dead"        // kept with its reason and not tried again
	OutcomeGone        Outcome = "gone"        // the endpoint asked for no more; the event stays in the backlog
	OutcomeFiltered    Outcome = "filtered"    // the endpoint's filter does not want it; no attempt was made
	OutcomeInterrupted Outcome = "interrupted" // cut off by the shutdown and handed back; does not count
)

// Verdict is what the answer to one attempt means.
type Verdict struct {
	Outcome Outcome // OutcomeDelivered, OutcomeRetry or OutcomeGone
	// NotBefore is the time the endpoint asked to be tried again at; zero
	// leaves it to the schedule.
	NotBefore time.Time
}

// signal is what the end of an attempt says about the endpoint, whatever becomes
// of the event.
type signal int

const (
	signalNone    signal = iota // nothing: it was cut off, or the endpoint is gone
	signalWell                  // the event was taken
	signalBusy                  // alive, and asks for less: 429, and any Retry-After that is heeded
	signalRefused               // failed, but not for having too much to do
	signalDown                  // failed: no answer in time, or none that a working endpoint gives
)

// signal reads the verdict and the status, which is 0 where there was no answer.
func (v Verdict) signal(status int) signal {
	switch {
	case v.Outcome == OutcomeDelivered:
		return signalWell
	case v.Outcome != OutcomeRetry:
		return signalNone
	case status == http.StatusTooManyRequests || !v.NotBefore.IsZero():
		return signalBusy
	case status >= 300 && status < 500 && status != http.StatusRequestTimeout:
		return signalRefused
	}
	return signalDown
}

// rule is a row of the table in which Classify looks an answer up.
type rule struct {
	from, to   int // statuses, both included
	outcome    Outcome
	retryAfter bool // the answer's Retry-After is heeded
}

// rules are read from the top. Whatever no row names is tried again by the
// schedule: redirects, which are never followed, other statuses, and no answer
// at all.
func rules() [4]rule {
	return [...]rule{
		{from: 200, to: 299, outcome: OutcomeDelivered},
		{from: 410, to: 410, outcome: OutcomeGone},
		{from: 429, to: 429, outcome: OutcomeRetry, retryAfter: true},
		{from: 503, to: 503, outcome: OutcomeRetry, retryAfter: true},
	}
}

// Classify tells what an answer means: the one place that does. A non-nil err
// says that there was no answer.
func Classify(status int, header http.Header, err error, now time.Time) Verdict {
	if err != nil {
		return Verdict{Outcome: OutcomeRetry}
	}
	for _, r := range rules() {
		if status < r.from || status > r.to {
			continue
		}
		verdict := Verdict{Outcome: r.outcome}
		if r.retryAfter {
			if wait, ok := RetryAfter(header.Get("Retry-After"), now); ok {
				verdict.NotBefore = now.Add(wait)
			}
		}
		return verdict
	}
	return Verdict{Outcome: OutcomeRetry}
}

const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// RetryAfter reads a Retry-After header: a number of seconds or one of the
// three date formats of RFC 9110, section 5.6.7. The wait is at least a second
// and capped at 24 hours; text that is neither, and times that are past or less
// than a second away, are not ok.
func RetryAfter(value string, now time.Time) (wait time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		wait = capSeconds(value)
	} else {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0, false
		}
		wait = at.Sub(now) // saturates
	}
	if wait < minRetryAfter {
		return 0, false
	}
	return min(wait, maxRetryAfter), true
}

// capSeconds reads digits, however many, and stops at the cap.
func capSeconds(digits string) time.Duration {
	var wait time.Duration
	for _, c := range []byte(digits) {
		wait = min(wait*10+time.Duration(c-'0')*time.Second, maxRetryAfter)
	}
	return wait
}
