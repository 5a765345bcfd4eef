package main

import (
	"testing"
	"time"
)

func TestPercentilesAreValuesThatWereMeasured(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		values []time.Duration
		p      int
		want   time.Duration
	}{
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{1, 2}, 50, 1},
		{[]time.Duration{1, 2}, 99, 2},
		{[]time.Duration{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred[:99], 99, 99},
	} {
		if got := percentile(test.values, test.p); got != test.want {
			t.Errorf("percentile %d of %d values is %d, want %d", test.p, len(test.values), got, test.want)
		}
	}
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
	}
}

func TestAPaceCountsAnswersPerSecond(t *testing.T) {
	got := newPace([]time.Duration{3, 1, 2, 4}, 2*time.Second)
	if want := (pace{perSecond: 2, p50: 2, p99: 4}); got != want {
		t.Errorf("pace %+v, want %+v", got, want)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	values := map[string][]float64{rowProcess: {50, 10, 90}, rowStream: {100, 10, 100}}
	got := newRatio(values, rowProcess, rowStream, 0.9)
	if want := (ratio{Of: "c/b", Median: 0.9, Min: 0.5, Max: 1, AtLeast: 0.9}); *got != want {
		t.Errorf("ratio %+v, want %+v", *got, want)
	}
}
