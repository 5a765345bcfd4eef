package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage there may be beside what is in use, where GOGC does not say.
// Little is in use as a rule, most of all by the bus's buffers, so that with Go's
// 100 a busy bridge would collect several times a second. Much is in use where a
// million retries wait: three times that again would be garbage then.
const (
	garbagePercent = 300
	leastGarbage   = 25 // percent
	muchGarbage    = 64 << 20
	garbageLook    = time.Second
)

// boundGarbage tells the garbage collector so until ctx ends, from what is in use
// at each look.
func boundGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := garbagePercent
	debug.SetGCPercent(percent)
	ticker := time.NewTicker(garbageLook)
	defer ticker.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(live)
		if next := garbageFor(live[0].Value.Uint64()); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
	}
}

// garbageFor returns the percentage of garbage for what is in use, in bytes.
func garbageFor(live uint64) int {
	return int(min(garbagePercent, max(leastGarbage, 100*muchGarbage/max(live, 1))))
}
