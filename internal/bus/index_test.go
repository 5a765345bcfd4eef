package bus

import (
	"log/slog"
	"runtime"
	"testing"
	"time"
)

// scatter makes keys that are as evenly spread as those of ids.
func scatter(n int) idKey {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return idKey(x ^ x>>31)
}

func TestAnIndexedIDTakesAtMostSixtyBytes(t *testing.T) {
	const ids, most = 1_000_000, 60
	x, now := newIndex(nil, slog.New(slog.DiscardHandler)), time.Now()
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for n := range ids {
		x.put(scatter(n), uint64(n)+1, now)
	}
	each := float64(int64(heap())-int64(before)) / ids
	t.Logf("%.1f bytes an id", each)
	if each > most {
		t.Errorf("an id takes %.1f bytes, want at most %d", each, most)
	}
	if got := x.look(scatter(ids - 1)); got != ids { // and the index lives until here
		t.Errorf("the last id is found at %d, want %d", got, ids)
	}
}

func TestAnIDIsFoundWhereItWasStoredLast(t *testing.T) {
	x, now := newIndex(nil, slog.New(slog.DiscardHandler)), time.Now()
	for range 20 { // days are looked through in any order
		x.put(1, 70, now)
		x.put(1, 7, now.Add(-2*day))
		if got := x.look(1); got != 70 {
			t.Fatalf("found at %d, want 70", got)
		}
	}
}

func BenchmarkIndexPut(b *testing.B) {
	x, now := newIndex(nil, slog.New(slog.DiscardHandler)), time.Now()
	for n := range b.N {
		x.put(scatter(n%(4<<20)), uint64(n), now)
	}
}

func BenchmarkIndexLook(b *testing.B) {
	const ids = 1 << 20
	x, now := newIndex(nil, slog.New(slog.DiscardHandler)), time.Now()
	for n := range ids {
		x.put(scatter(n), uint64(n)+1, now.Add(-time.Duration(n%3)*day))
	}
	runtime.GC()
	b.ResetTimer()
	for n := range b.N {
		x.look(scatter(n % (2 * ids))) // half of them are unknown
	}
}
