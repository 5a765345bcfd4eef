package main

import "testing"

func TestGarbageIsBoundedWhereMuchIsInUse(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 300}, {20 << 20, 300}, {21 << 20, 300}, {64 << 20, 100}, {200 << 20, 32}, {4 << 30, 25}} {
		if got := garbageFor(c.live); got != c.want {
			t.Errorf("%d MiB in use: %d %%, want %d", c.live>>20, got, c.want)
		}
	}
}
