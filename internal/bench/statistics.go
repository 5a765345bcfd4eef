package main

import (
	"slices"
	"time"
)

// pace is how fast requests were answered.
type pace struct {
	perSecond float64
	p50, p99  time.Duration
}

// newPace sorts took in place.
func newPace(took []time.Duration, length time.Duration) pace {
	slices.Sort(took)
	return pace{
		perSecond: float64(len(took)) / length.Seconds(),
		p50:       percentile(took, 50),
		p99:       percentile(took, 99),
	}
}

// percentile returns the smallest value that at least p percent of the sorted
// values do not exceed. There must be one.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// median returns the middle of the values, or the mean of the two in the
// middle. There must be one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
