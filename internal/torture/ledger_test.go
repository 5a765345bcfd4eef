package main

import (
	"fmt"
	"testing"
	"time"
)

func TestWhatWasAcknowledgedAndIsNotEverywhereIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		happened func(*ledger)
		want     string
	}{
		"acknowledged and delivered": {func(l *ledger) {
			l.acknowledge("a", false)
			l.deliver(billing, "a")
			l.deliver(audit, "a")
		}, ""},
		"delivered before it was acknowledged": {func(l *ledger) {
			l.deliver(billing, "a")
			l.deliver(audit, "a")
			l.acknowledge("a", true)
		}, ""},
		"came again and was recognised": {func(l *ledger) {
			l.acknowledge("a", false)
			l.acknowledge("a", true)
			l.deliver(billing, "a")
			l.deliver(audit, "a")
		}, ""},
		"delivered and never acknowledged": {func(l *ledger) { l.deliver(billing, "a") }, ""},
		"tried and never acknowledged":     {func(l *ledger) { l.attempt("a") }, ""},
		"acknowledged alone": {func(l *ledger) {
			l.acknowledge("a", false)
			l.attempt("a") // and refused
		}, "neither delivered nor in the stream"},
		"not in the stream": {func(l *ledger) {
			l.acknowledge("a", false)
			l.deliver(billing, "a")
		}, "delivered, but the stream has it no more"},
		"in the stream alone": {func(l *ledger) {
			l.acknowledge("a", false)
			l.deliver(audit, "a")
		}, "in the stream, but never delivered"},
		"came again and was stored anew": {func(l *ledger) {
			l.acknowledge("a", false)
			l.acknowledge("a", false)
			l.deliver(billing, "a")
			l.deliver(audit, "a")
		}, "stored anew when it came again after its acknowledgement"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			for _, other := range []string{"b", "c"} {
				l.acknowledge(other, false)
				l.deliver(billing, other)
				l.deliver(audit, other)
			}
			test.happened(l)
			got := fmt.Sprint(l.lost())
			if want := fmt.Sprintf("[{a %s}]", test.want); test.want != "" && got != want || test.want == "" && got != "[]" {
				t.Errorf("lost %s, want %q", got, test.want)
			}
		})
	}
}

func TestTheSumsAreOfWhatWasAcknowledged(t *testing.T) {
	l := newLedger()
	l.acknowledge("all", false)
	l.deliver(billing, "all")
	l.deliver(billing, "all")
	l.deliver(audit, "all")
	l.deliver(audit, "all")
	l.acknowledge("none", false)
	l.acknowledge("one", false)
	l.deliver(billing, "one")
	l.deliver(billing, "unacknowledged")
	got := l.count()
	got.quiet = 0
	if want := (count{acknowledged: 3, delivered: 2, missing: 2, duplicates: 1}); got != want {
		t.Errorf("count %+v, want %+v", got, want)
	}
}

func TestThePauseIsTheLongestSinceTheBreak(t *testing.T) {
	at := time.Unix(0, 0)
	p := pauses{last: at}
	for _, second := range []int{1, 5, 7} {
		p.end(at.Add(time.Duration(second) * time.Second))
	}
	for second, want := range map[int]time.Duration{8: 4 * time.Second, 17: 10 * time.Second} {
		if got := p.until(at.Add(time.Duration(second) * time.Second)); got != want {
			t.Errorf("after %d s the longest pause is %s, want %s", second, got, want)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	l := newLedger()
	for i := range 2 * maxFaults {
		l.fault("fault %d", i)
	}
	if len(l.faults) != maxFaults {
		t.Errorf("%d faults are kept, want %d", len(l.faults), maxFaults)
	}
}
