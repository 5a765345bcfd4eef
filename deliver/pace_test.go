package deliver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPaceThatChangesHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1.0 / 3600)
		begun := time.Now()
		took := func() time.Duration {
			t.Helper()
			if !p.wait(t.Context()) {
				t.Fatal("the wait was cut short")
			}
			return time.Since(begun)
		}
		if d := took(); d != 0 {
			t.Errorf("the first began after %v, want at once", d)
		}
		time.AfterFunc(time.Minute, func() { p.set(10) })
		if d := took(); d != time.Minute {
			t.Errorf("the second began after %v, want when the rate was raised after 1m", d)
		}
		if d := took(); d != time.Minute+100*time.Millisecond {
			t.Errorf("the third began after %v, want a tenth of a second later", d)
		}
		p.set(0)
		for range 1000 {
			took()
		}
		if d := time.Since(begun); d != time.Minute+100*time.Millisecond {
			t.Errorf("a thousand without a limit began after %v, want at once", d)
		}
		p.set(1.0 / 3600)
		took()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if p.wait(ctx) {
			t.Error("an hour was over in a second")
		}
	})
}
