package deliver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestThatAnEndpointFailsAndRecoversIsTold(t *testing.T) {
	var o outage
	b := newBench(t, o.answer)
	b.config.MaxProbeWait = 20 * time.Millisecond
	failing, recovered := make(chan Failing, 1000), make(chan struct{}, 1000)
	var refused atomic.Bool
	b.config.OnFailing = func(_ context.Context, f Failing) error { failing <- f; return nil }
	b.config.OnRecovered = func(context.Context) error {
		if !refused.Swap(true) {
			return errors.New("the registry is away")
		}
		recovered <- struct{}{}
		return nil
	}
	began := time.Now()
	b.fill("before", 15)
	b.start()
	if f := <-failing; f.Since.Before(began) || f.Since.After(time.Now()) || !strings.Contains(f.Reason, "10 attempts in a row failed, the last with status 502") {
		t.Errorf("told of %+v", f)
	}
	if f := <-failing; !strings.Contains(f.Reason, "probe failed with status 502") {
		t.Errorf("after a probe told of %+v", f)
	}
	o.up.Store(true)
	<-recovered // at the second success, since the first could not be told
	b.fill("after", 15)
	b.settled("EVENTS_TEST", "billing")
	if n := len(recovered); n != 0 {
		t.Errorf("the recovery was told %d times more", n)
	}
}

func TestAnOutageIsNotToldAfterItsEnd(t *testing.T) {
	told := make(chan string, 10)
	s := &shift{Worker: &Worker{gate: newGate(4, false, DefaultMaxProbeWait), logger: slog.New(slog.DiscardHandler), config: WorkerConfig{
		OnFailing:   func(context.Context, Failing) error { told <- "failing"; return nil },
		OnRecovered: func(context.Context) error { told <- "recovered"; return nil },
	}}}
	var opened news
	for i := range uint64(breakerFailures) {
		opened = s.gate.ended(&delivery{link: link{sequence: i}}, signalDown, "status 500", time.Time{})
	}
	closed := s.gate.ended(&delivery{probe: true}, signalWell, "", time.Time{})
	if !opened.failing || !closed.recovered {
		t.Fatalf("opened with %+v, closed with %+v", opened, closed)
	}
	s.tell(t.Context(), closed)
	s.tell(t.Context(), opened) // its event took longer to settle
	if got := <-told; got != "recovered" || len(told) != 0 {
		t.Errorf("told %s and %d more, want the recovery alone", got, len(told))
	}
}

func TestASuccessWhileTheWorkerStopsIsTold(t *testing.T) {
	g := newGate(4, true, DefaultMaxProbeWait)
	g.end()
	for i, want := range []bool{false, true, false} {
		says := signalWell
		if i == 0 {
			says = signalDown
		}
		if n := g.ended(&delivery{}, says, "", time.Time{}); n.recovered != want || n.failing {
			t.Errorf("attempt %d: told %+v, want recovered %v", i, n, want)
		}
	}
}

func TestAWorkerOfAnEndpointThatWasFailingBeginsWithAProbe(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"well by now", always(200), "recovered"},
		{"failing still", always(500), "failing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.answer)
			told := make(chan string, 100)
			b.config.Failing = true
			b.config.OnFailing = func(context.Context, Failing) error { told <- "failing"; return nil }
			b.config.OnRecovered = func(context.Context) error { told <- "recovered"; return nil }
			b.fill("", 20)
			stop := b.start()
			if got := <-told; got != test.want {
				t.Errorf("told that it is %s, want %s", got, test.want)
			}
			stop()
			if n := len(b.receiver.got); test.want == "failing" && n != 1 {
				t.Errorf("%d attempts, want the probe alone", n)
			}
		})
	}
}

func TestASuccessEndsWhatAnotherReplicaTold(t *testing.T) {
	b := newBench(t, always(200))
	recovered := make(chan struct{}, 10)
	b.config.OnRecovered = func(context.Context) error { recovered <- struct{}{}; return nil }
	b.makeDurable()
	worker := b.worker()
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	worker.Failing(true)
	b.fill("", 3)
	<-recovered
	b.settled("EVENTS_TEST", "billing")
	cancel()
	if err := <-ended; err != nil || len(recovered) != 0 {
		t.Errorf("run ended with %v, the recovery was told %d times more", err, len(recovered))
	}
}
