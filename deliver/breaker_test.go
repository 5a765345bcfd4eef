package deliver

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestTenFailuresInARowOpenTheBreakerIfTheyAreOfThreeEvents(t *testing.T) {
	for _, test := range []struct {
		name     string
		events   []uint64 // of the failures, over and over
		failures int      // until it opens; 0: it does not
	}{
		{"one event after another", []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 10},
		{"three events", []uint64{1, 2, 3}, 10},
		{"the third comes late", []uint64{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3}, 14},
		{"two events", []uint64{1, 2}, 0},
		{"one event", []uint64{1}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBreaker(false, DefaultMaxProbeWait)
			opened := 0
			for n := 1; n <= 100 && opened == 0; n++ {
				if b.failed(test.events[(n-1)%len(test.events)], false, noon) != "" {
					opened = n
				}
			}
			if opened != test.failures {
				t.Errorf("opened at failure %d, want %d", opened, test.failures)
			}
		})
	}
}

func TestASuccessBreaksTheRow(t *testing.T) {
	b := newBreaker(false, DefaultMaxProbeWait)
	for n := range uint64(1000) {
		if n%breakerFailures == 0 {
			b.succeeded(noon)
		} else if why := b.failed(n, false, noon); why != "" {
			t.Fatalf("opened at attempt %d because %s", n, why)
		}
	}
}

func TestHalfOfTwentyAttemptsWithinAMinuteOpenTheBreaker(t *testing.T) {
	for _, test := range []struct {
		name    string
		apart   time.Duration
		first   bool // attempts of the events that fail
		failing int  // of ten
		opened  int  // at attempt; 0: not
	}{
		{"half of them", time.Second, true, 5, 20},
		{"all but a tenth", time.Second, true, 9, 20},
		{"two fifths", time.Second, true, 4, 0},
		{"half of them, over two hours", 4 * time.Second, true, 5, 0},
		{"the same events again", time.Second, false, 9, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBreaker(false, DefaultMaxProbeWait)
			opened, now := 0, noon
			for n := 1; n <= 1000 && opened == 0; n++ {
				if now = now.Add(test.apart); (n-1)%10 < 10-test.failing {
					b.succeeded(now)
				} else if why := b.failed(uint64(n), test.first, now); why != "" {
					opened = n
				}
			}
			if opened != test.opened {
				t.Errorf("opened at attempt %d, want %d", opened, test.opened)
			}
		})
	}
}

func TestTheWaitForAProbeDoublesUpToItsBound(t *testing.T) {
	b := newBreaker(false, DefaultMaxProbeWait)
	now := noon
	for n := range uint64(breakerFailures) {
		b.failed(n, true, now)
	}
	want := probeWait
	for range 12 {
		if b.state(now) != BreakerOpen {
			t.Fatal("not open before the probe")
		}
		wait := b.probeAt.Sub(now)
		if off := math.Abs(float64(wait-want)) / float64(want); off > probeJitter || wait > DefaultMaxProbeWait {
			t.Errorf("the probe comes after %s, want about %s", wait, want)
		}
		if now = b.probeAt; b.state(now) != BreakerHalfOpen {
			t.Fatal("not half open at the time of the probe")
		}
		b.probed(false, true, now)
		want = min(2*want, DefaultMaxProbeWait)
	}
	b.probed(false, false, now)
	if b.wait != DefaultMaxProbeWait || !b.open {
		t.Error("an answer that is neither changed more than the time of the next probe")
	}
	b.probed(true, false, now)
	if b.state(now) != BreakerClosed {
		t.Error("not closed after a success")
	}
}

func TestTheSourcesTakeTurnsAtProbing(t *testing.T) {
	b := newBreaker(true, DefaultMaxProbeWait)
	for _, due := range []bool{true, false, true} {
		if first, second := b.readable(due), b.readable(!due); !first.Before(second) || !first.Equal(b.probeAt) {
			t.Errorf("due %v: read from %s, the other from %s; want it first", due, first, second)
		}
		b.probed(false, true, noon)
	}
}

func TestTheTallyIsThatOfTheLastMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type attempt struct {
			at     time.Time
			failed bool
		}
		var all []attempt
		var got tally
		now := noon
		for range rapid.IntRange(1, 200).Draw(t, "attempts") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "pause")))
			all = append(all, attempt{now, rapid.Bool().Draw(t, "failed")})
			got.add(now, all[len(all)-1].failed)
		}
		part := breakerSpan / time.Duration(len(got.parts))
		attempts, failures := 0, 0
		for _, a := range all {
			if a.at.UnixNano()/int64(part) > now.UnixNano()/int64(part)-int64(len(got.parts)) {
				attempts++
				if a.failed {
					failures++
				}
			}
		}
		if got.attempts != attempts || got.failures != failures {
			t.Errorf("%d of %d failed, want %d of %d", got.failures, got.attempts, failures, attempts)
		}
	})
}

func TestAnAnswerSaysSomethingAboutTheEndpoint(t *testing.T) {
	later := http.Header{"Retry-After": {"120"}}
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		err    error
		want   signal
	}{
		{"2xx", 204, nil, nil, signalWell},
		{"410", 410, nil, nil, signalNone},
		{"429", 429, nil, nil, signalBusy},
		{"429 with a time", 429, later, nil, signalBusy},
		{"503 with a time", 503, later, nil, signalBusy},
		{"503", 503, nil, nil, signalDown},
		{"500 with a time that is not heeded", 500, later, nil, signalDown},
		{"408", 408, nil, nil, signalDown},
		{"404", 404, nil, nil, signalRefused},
		{"302", 302, nil, nil, signalRefused},
		{"100", 100, nil, nil, signalDown},
		{"no answer", 0, nil, http.ErrHandlerTimeout, signalDown},
	} {
		if got := Classify(test.status, test.header, test.err, noon).signal(test.status); got != test.want {
			t.Errorf("%s: signal %d, want %d", test.name, got, test.want)
		}
	}
}

func TestTheWindowGrowsByWhatSucceedsAndIsHalvedOnceARound(t *testing.T) {
	g := newGate(64, false, DefaultMaxProbeWait)
	begin := func() *delivery {
		d := new(delivery)
		g.begins(d)
		return d
	}
	end := func(d *delivery, says signal) { g.ended(d, says, "", time.Time{}) }
	size := func(what string, want int) {
		t.Helper()
		if got := int(g.window.size.Load()); got != want || len(g.window.slots) != 64-want {
			t.Errorf("%s: %d may be in flight and %d of 64 slots are taken away, want %d", what, got, len(g.window.slots), want)
		}
	}
	size("at the start", startConcurrency)
	for range 36 {
		end(begin(), signalWell)
	}
	size("slow start", 40)
	round := []*delivery{begin(), begin(), begin()}
	for _, d := range round {
		end(d, signalDown)
	}
	size("after a round that failed", 20)
	end(begin(), signalRefused)
	size("after an event that it refused", 20)
	end(begin(), signalBusy)
	size("after a 429", 10)
	for range 10 {
		end(begin(), signalWell)
	}
	size("after as many successes", 11)
	for range 5 {
		end(begin(), signalBusy)
	}
	size("at the least", 1)
	for range 3000 {
		end(begin(), signalWell)
	}
	size("at the most", 64)
}

func TestAReasonSaysWhatTheEndpointDid(t *testing.T) {
	g := newGate(4, false, DefaultMaxProbeWait)
	w := &Worker{gate: g}
	var n news
	for i := range uint64(breakerFailures) {
		n = w.report(&delivery{link: link{sequence: i}}, &Attempt{Status: 500}, Verdict{Outcome: OutcomeRetry})
	}
	if want := "10 attempts in a row failed, the last with status 500"; !n.opened || n.reason != want {
		t.Errorf("news %+v, want it opened because %q", n, want)
	}
	n = w.report(&delivery{probe: true}, &Attempt{Error: "timeout: no answer within 1s"}, Verdict{Outcome: OutcomeRetry})
	if !n.failing || n.opened || !strings.HasSuffix(n.reason, "timeout: no answer within 1s") {
		t.Errorf("news %+v, want a probe that failed for its timeout", n)
	}
}
