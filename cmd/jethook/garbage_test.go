package main

import "testing"

func TestGarbageIsBoundedWhereMuchIsInUseAndCollectingTakesLittle(t *testing.T) {
	for _, c := range []struct {
		more  float64
		live  uint64
		share float64
		want  int
	}{
		{1, 0, 0, 300},
		{1, 20 << 20, 0.5, 300},
		{1, 64 << 20, 0, 100},
		{2, 64 << 20, 0, 150},
		{1, 200 << 20, 0.02, 32},
		{1, 200 << 20, 0.2, 40},
		{9, 200 << 20, 0.2, 300},
		{1, 4 << 30, 0, 25},
	} {
		got, more := garbageFor(c.more, c.live, c.share)
		if got != c.want || more < 1 {
			t.Errorf("%g times the least with %d MiB in use and %g of the time: %d %% and %g times, want %d", c.more, c.live>>20, c.share, got, more, c.want)
		}
	}
}
