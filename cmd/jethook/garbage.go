package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage there may be beside what is in use, in percent of that, where
// GOGC does not say. Little is in use as a rule, most of all by the bus's
// buffers, so that with Go's 100 a busy bridge would collect several times a
// second. Much is in use where a million retries wait: three times that again
// would be garbage, and is only where collecting more often would take too much
// of the processors.
const (
	mostGarbage  = 300
	leastGarbage = 25
	muchGarbage  = 64 << 20 // bytes, beyond which there is less than the most
	garbageLook  = time.Second
)

// Parts of the processors' time above which collecting is made rarer, and below
// which it is made more frequent. Time in which there was nothing else to do does
// not count.
const (
	muchCollecting   = 0.04
	littleCollecting = 0.01
)

// boundGarbage tells the garbage collector so until ctx ends.
func boundGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent, more := mostGarbage, 1.0
	debug.SetGCPercent(percent)
	ticker := time.NewTicker(garbageLook)
	defer ticker.Stop()
	look := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, // this and the next ones as of the last collection
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
	}
	var collecting, total float64
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(look)
		spent, of := look[1].Value.Float64()-look[2].Value.Float64()-collecting, look[3].Value.Float64()-total
		collecting, total = collecting+spent, total+of
		share := 0.0
		if of > 0 {
			share = spent / of
		}
		next := percent
		if next, more = garbageFor(more, look[0].Value.Uint64(), share); next != percent {
			percent = next
			debug.SetGCPercent(percent)
		}
	}
}

// garbageFor returns the percentage of garbage from what is in use, in bytes, and
// how many times the least of it there is next, from how many there were, and from
// the part of the processors' time that collecting takes.
func garbageFor(more float64, live uint64, share float64) (percent int, next float64) {
	least := float64(min(mostGarbage, max(leastGarbage, 100*muchGarbage/max(live, 1))))
	switch {
	case share > muchCollecting:
		more *= 1.25
	case share < littleCollecting:
		more *= 0.75
	}
	more = min(mostGarbage/least, max(1, more))
	return int(least * more), more
}
