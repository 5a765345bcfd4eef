package deliver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// breakerFailures in a row open the breaker, of breakerEvents different
	// events: one that the endpoint dislikes is no sign that it is down, and goes
	// through its attempts by its schedule.
	breakerFailures = 10
	breakerEvents   = 3
	// So does half of the attempts within breakerSpan, if it had that many.
	breakerAttempts = 20
	breakerSpan     = time.Minute

	// The first probe comes after probeWait, each later one after twice the wait
	// of the one before, up to maxWait, a tenth sooner or later.
	probeWait   = 5 * time.Second
	probeJitter = 0.1
	// probeLead is what the source whose turn it is to probe has of a start, at
	// most a tenth of the wait.
	probeLead = 500 * time.Millisecond
)

// Breaker is the state of an endpoint's circuit breaker. Its numbers are those
// of the gauge.
type Breaker int

// The states.
const (
	BreakerClosed   Breaker = iota // events are delivered
	BreakerHalfOpen                // one event is tried, or will be as soon as there is one
	BreakerOpen                    // events wait, until the next probe
)

// breaker finds out that an endpoint is down. While it is open the events wait
// in their stream without using up attempts, but for one that is tried now and
// then; the first such probe that succeeds closes it.
type breaker struct {
	maxWait time.Duration
	chance  func() float64 // from -1 to 1

	open     bool
	probing  bool          // a probe is under way
	probeDue bool          // the next probe is for an event that is due again, if there is one
	probeAt  time.Time     // earliest time of the next probe
	wait     time.Duration // before it, without jitter

	row    row
	recent tally
}

// row is how many failures there were since the last success.
type row struct {
	failures int
	since    time.Time // of the first
	events   []uint64  // sequences, of at most breakerEvents different events
}

// newBreaker gives a closed breaker, or for an endpoint that failed when it was
// last heard of one that begins with a probe. No wait between probes is longer
// than maxWait.
func newBreaker(failing bool, maxWait time.Duration) breaker {
	return breaker{open: failing, probeDue: true, wait: min(probeWait, maxWait), maxWait: maxWait,
		chance: func() float64 { return 2*rand.Float64() - 1 }}
}

// state is what the breaker is now.
func (b *breaker) state(now time.Time) Breaker {
	switch {
	case !b.open:
		return BreakerClosed
	case b.probing || !now.Before(b.probeAt):
		return BreakerHalfOpen
	}
	return BreakerOpen
}

// readable is the time from which a source may be read for a probe.
func (b *breaker) readable(due bool) time.Time {
	if due == b.probeDue {
		return b.probeAt
	}
	return b.probeAt.Add(min(b.wait/10, probeLead))
}

// succeeded notes an attempt that did, while the breaker is closed.
func (b *breaker) succeeded(now time.Time) {
	b.row = row{events: b.row.events[:0]}
	b.recent.add(now, false)
}

// failed notes an attempt that did at the event of that sequence, while the
// breaker is closed. If the breaker opens with it, it returns why. Only an
// event's first attempt counts for the rate: one that the endpoint dislikes
// would be tried and counted ten times.
func (b *breaker) failed(sequence uint64, first bool, now time.Time) (why string) {
	if b.row.failures == 0 {
		b.row.since = now
	}
	b.row.failures++
	if len(b.row.events) < breakerEvents && !slices.Contains(b.row.events, sequence) {
		b.row.events = append(b.row.events, sequence)
	}
	if first {
		b.recent.add(now, true)
	}
	attempts, failures := b.recent.attempts, b.recent.failures
	switch {
	case b.row.failures >= breakerFailures && len(b.row.events) == breakerEvents:
		why = fmt.Sprintf("%d attempts in a row failed", b.row.failures)
	case first && attempts >= breakerAttempts && 2*failures >= attempts:
		why = fmt.Sprintf("%d of %d attempts within a minute failed", failures, attempts)
	default:
		return ""
	}
	b.open, b.probing, b.probeDue = true, false, true
	b.wait = min(probeWait, b.maxWait)
	b.schedule(now)
	return why
}

// probed notes the end of a probe. Only a success closes the breaker. After a
// failure the next probe has to wait longer; not so after an answer that is
// neither, such as 429.
func (b *breaker) probed(succeeded, failed bool, now time.Time) {
	b.probing = false
	if succeeded {
		b.open, b.row, b.recent = false, row{}, tally{}
		return
	}
	b.probeDue = !b.probeDue // so that neither a backlog nor bad events keep the other source from its probe
	if failed {
		b.wait = min(2*b.wait, b.maxWait)
	}
	b.schedule(now)
}

func (b *breaker) schedule(now time.Time) {
	wait := time.Duration(float64(b.wait) * (1 + probeJitter*b.chance()))
	b.probeAt = now.Add(min(wait, b.maxWait))
}

// tally counts the attempts of the last breakerSpan, a twelfth of it more or
// less.
type tally struct {
	attempts, failures int // the sums
	parts              [12]struct{ attempts, failures int }
	newest             int64 // number of the newest part, counted from 1970
}

func (t *tally) add(now time.Time, failed bool) {
	size := int64(len(t.parts))
	number := now.UnixNano() / (int64(breakerSpan) / size)
	for n := max(t.newest+1, number-size+1); n <= number; n++ {
		old := &t.parts[n%size]
		t.attempts, t.failures = t.attempts-old.attempts, t.failures-old.failures
		old.attempts, old.failures = 0, 0
	}
	t.newest = max(t.newest, number) // a clock that was set back stays in the newest part
	part := &t.parts[t.newest%size]
	part.attempts++
	t.attempts++
	if failed {
		part.failures++
		t.failures++
	}
}
