package deliver

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// waiting stores n retries that wait for an hour.
func waiting(b *testing.B, n int) *bench {
	w := newBench(b, always(200))
	var storing errgroup.Group
	storing.SetLimit(passedAtOnce)
	for i := range n {
		p := Pointer{Env: event.Test, Endpoint: "billing", Sequence: uint64(i + 1), EventID: event.NewID(event.Test, "shop", fmt.Sprint(i)), Attempts: 1, FirstAttempt: time.Now()}
		storing.Go(func() error {
			_, err := w.bus.Put(w.ctx, bus.Retry, p.At(time.Now().Add(time.Hour)))
			return err
		})
	}
	if err := storing.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	return w
}

func BenchmarkHasten(b *testing.B) {
	w := waiting(b, b.N)
	for more := true; more; {
		var err error
		if _, more, err = Hasten(w.ctx, w.bus, event.Test, "billing"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCancel(b *testing.B) {
	w := waiting(b, b.N)
	for more := true; more; {
		var err error
		if _, more, err = Cancel(w.ctx, w.bus, event.Test, "billing"); err != nil {
			b.Fatal(err)
		}
	}
}
