package main

import "testing"

func TestGarbageIsBoundedWhereMuchIsInUseAndCollectingTakesLittle(t *testing.T) {
	for _, c := range []struct {
		percent int
		live    uint64
		share   float64
		want    int
	}{
		{300, 0, 0, 300},
		{300, 20 << 20, 0, 300},
		{300, 64 << 20, 0, 225},
		{100, 64 << 20, 0, 100},
		{40, 200 << 20, 0, 32},
		{25, 4 << 30, 0, 25},
		{32, 200 << 20, 0.02, 32},
		{32, 200 << 20, 0.2, 64},
		{200, 200 << 20, 0.2, 300},
		{32, 20 << 20, 0.02, 300},
	} {
		if got := garbageFor(c.percent, c.live, c.share); got != c.want {
			t.Errorf("after %d %% with %d MiB in use and %g of the time: %d %%, want %d", c.percent, c.live>>20, c.share, got, c.want)
		}
	}
}
