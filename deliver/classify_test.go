package deliver

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAnAnswerMeansWhatTheTableSays(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	later := http.Header{"Retry-After": {"120"}}
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		err    error
		want   Verdict
	}{
		{"200 is delivered", 200, nil, nil, Verdict{Outcome: OutcomeDelivered}},
		{"299 is delivered", 299, nil, nil, Verdict{Outcome: OutcomeDelivered}},
		{"no answer is tried again", 0, nil, errors.New("broken"), Verdict{Outcome: OutcomeRetry}},
		{"a redirect is tried again", 307, nil, nil, Verdict{Outcome: OutcomeRetry}},
		{"400 is tried again", 400, later, nil, Verdict{Outcome: OutcomeRetry}},
		{"401 is tried again", 401, nil, nil, Verdict{Outcome: OutcomeRetry}},
		{"404 is tried again", 404, nil, nil, Verdict{Outcome: OutcomeRetry}},
		{"410 is gone", 410, later, nil, Verdict{Outcome: OutcomeGone}},
		{"429 is tried again by the schedule", 429, nil, nil, Verdict{Outcome: OutcomeRetry}},
		{"429 names the time", 429, later, nil, Verdict{OutcomeRetry, now.Add(2 * time.Minute)}},
		{"500 heeds no Retry-After", 500, later, nil, Verdict{Outcome: OutcomeRetry}},
		{"503 names the time", 503, later, nil, Verdict{OutcomeRetry, now.Add(2 * time.Minute)}},
		{"503 with nonsense is tried again by the schedule", 503, http.Header{"Retry-After": {"soon"}}, nil, Verdict{Outcome: OutcomeRetry}},
		{"100 is tried again", 100, nil, nil, Verdict{Outcome: OutcomeRetry}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Classify(test.status, test.header, test.err, now); got != test.want {
				t.Errorf("Classify(%d, %v, %v) = %+v, want %+v", test.status, test.header, test.err, got, test.want)
			}
		})
	}
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"1", time.Second, true},
		{" 120 ", 2 * time.Minute, true},
		{"86400", 24 * time.Hour, true},
		{"86401", 24 * time.Hour, true},
		{strings.Repeat("9", 400), 24 * time.Hour, true},
		{"9223372036854775808", 24 * time.Hour, true},
		{"007", 7 * time.Second, true},
		{"Mon, 23 Nov 2026 10:05:00 GMT", 5 * time.Minute, true},
		{"Monday, 23-Nov-26 10:05:00 GMT", 5 * time.Minute, true},
		{"Mon Nov 23 10:05:00 2026", 5 * time.Minute, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 24 * time.Hour, true},
		{"Mon, 23 Nov 2026 09:59:59 GMT", 0, false},
		{"Mon, 23 Nov 2026 10:00:00 GMT", 0, false},
		{"0", 0, false}, {"", 0, false}, {"-1", 0, false}, {"+5", 0, false}, {"1.5", 0, false},
		{"1e3", 0, false}, {"5s", 0, false}, {"soon", 0, false}, {"٣", 0, false},
	} {
		if got, ok := RetryAfter(test.value, now); got != test.want || ok != test.ok {
			t.Errorf("RetryAfter(%.40q) = %s, %v, want %s, %v", test.value, got, ok, test.want, test.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "Mon, 23 Nov 2026 10:05:00 GMT", "99999999999999999999", "-1"} {
		f.Add(seed, int64(1_795_428_000))
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		got, ok := RetryAfter(value, time.Unix(unix, 0))
		if ok && (got < minRetryAfter || got > maxRetryAfter) || !ok && got != 0 {
			t.Errorf("RetryAfter(%q) = %s, %v, outside one second to a day", value, got, ok)
		}
	})
}

func TestAnIntervalKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retry{
			Attempts:   10,
			Initial:    time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "initial")),
			Multiplier: rapid.Float64Range(1, 100).Draw(t, "multiplier"),
			Jitter:     rapid.Float64Range(0, 0.999).Draw(t, "jitter"),
		}
		r.MaxInterval = r.Initial + time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "above initial"))
		n := rapid.IntRange(1, maxAttempts).Draw(t, "n")
		plain := float64(r.Initial)
		for range n - 1 {
			plain = min(plain*r.Multiplier, float64(r.MaxInterval))
		}
		got := float64(r.interval(n))
		const slack = 1e-4 // of rounding to nanoseconds at each step
		if low, high := plain*(1-r.Jitter)*(1-slack)-2, plain*(1+r.Jitter)*(1+slack)+2; got < low || got > high {
			t.Errorf("interval(%d) of %+v is %s, want %s to %s", n, r, time.Duration(got), time.Duration(low), time.Duration(high))
		}
		if high := float64(r.MaxInterval)*(1+r.Jitter) + 1; got > high {
			t.Errorf("interval(%d) of %+v is %s, above %s", n, r, time.Duration(got), time.Duration(high))
		}
	})
}

func TestTheDefaultScheduleTakesTenAttemptsWithinADay(t *testing.T) {
	r := DefaultRetry()
	r.Jitter = 0
	want := []time.Duration{10 * time.Second, 30 * time.Second, 90 * time.Second, 270 * time.Second, 810 * time.Second,
		2430 * time.Second, 7290 * time.Second, 21870 * time.Second, 12 * time.Hour}
	first := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	now := first
	for i, wait := range want {
		at, reason := r.next(i+1, first, now, time.Time{})
		if reason != "" || at.Sub(now) != wait {
			t.Fatalf("after attempt %d: %s, %q, want %s", i+1, at.Sub(now), reason, wait)
		}
		now = at
	}
	if at, reason := r.next(10, first, now, time.Time{}); reason != "attempts used up: 10 of 10" {
		t.Errorf("after attempt 10: %s, %q, want it dead", at, reason)
	}
}

func TestARetryAfterIsHeededUntilTheTimeOfTheEventIsUsedUp(t *testing.T) {
	r := Retry{Attempts: 10, Initial: time.Second, Multiplier: 1, MaxInterval: time.Second, MaxElapsed: time.Hour}
	first := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	now := first.Add(time.Hour)
	if at, reason := r.next(1, first, now, now.Add(24*time.Hour)); reason != "" || !at.Equal(now.Add(24*time.Hour)) {
		t.Errorf("a day after the last moment: %s, %q, want exactly that time", at, reason)
	}
	now = now.Add(time.Nanosecond)
	if at, reason := r.next(2, first, now, now.Add(time.Second)); reason == "" {
		t.Errorf("after the last moment: %s, want it dead", at)
	}
}
