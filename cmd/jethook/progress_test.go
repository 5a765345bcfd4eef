package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressIsToldNowAndThenWithAnEstimate(t *testing.T) {
	var b bytes.Buffer
	p := progress{w: &b}
	begun := time.Now()
	p.show(0.2, "20 of 100", begun) // it had begun before
	p.show(0.3, "30 of 100", begun.Add(time.Second))
	p.show(0.4, "40 of 100", begun.Add(5*time.Second))
	p.show(1, "100 of 100", begun.Add(20*time.Second))
	p.end()
	if want := "20 of 100\n40 of 100, 15s to go\n100 of 100\n"; b.String() != want {
		t.Errorf("told %q, want %q", &b, want)
	}
}
