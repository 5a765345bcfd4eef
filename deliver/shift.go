package deliver

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// shift is one run of a worker: what it holds from the first event to the last.
type shift struct {
	*Worker
	stream  jetstream.Stream // of the events
	sources []source

	held     held
	chain    *bus.Chain // of the endpoint's durable; nil for a replay
	recorder *recorder
	attempts sync.WaitGroup
	telling  sync.Mutex // held while the endpoint's failing or its recovery is told

	life        context.Context // of run
	hurries     context.Context // ends where the reading is not to wait for what the server may hand out yet
	stopReading context.CancelFunc
	gone        struct {
		sync.Mutex
		yes bool
	}
}

// source is where events come from: the endpoint's durable consumer, or the
// pointers to what is due again.
type source struct {
	consumer jetstream.Consumer
	due      bool
}

// delivery is one event on its way to the endpoint.
type delivery struct {
	msg     *nats.Msg
	place   jetstream.MsgMetadata // its numbers
	key     messageKey
	event   *event.Event
	eventID event.ID
	link
	attempts int       // made so far
	deferred int       // of them, those that use up none
	first    time.Time // of the first attempt; zero before it
	probe    bool      // made while the breaker is open
	round    uint32    // of the gate, when the attempt began
}

// link is an event's place among those of its endpoint.
type link struct {
	sequence uint64 // of the event in its stream
	previous uint64 // of the one that was selected before it; 0 where it is the first
	known    bool   // previous is
}

// inProgress is an acknowledgement that changes nothing for a message that is
// settled, and is answered like any other.
var inProgress = []byte("+WPI")

func newShift(w *Worker, stream jetstream.Stream, sources ...source) *shift {
	s := &shift{
		Worker:   w,
		stream:   stream,
		sources:  sources,
		life:     context.Background(),
		hurries:  context.Background(),
		held:     held{messages: make(map[messageKey]*delivery), last: make(map[bool]string)},
		recorder: newRecorder(w.config.Bus.JetStream(), AttemptsSubject(w.endpoint.Env, w.endpoint.Name), w.logger.With(w.endpoint.who())),
	}
	return s
}

// run reads until ctx ends or a source fails, then lets what is in flight end.
func (s *shift) run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	s.life = ctx
	work, cutOff := context.WithCancelCause(base)
	defer cutOff(nil)
	go s.recorder.run(base)
	stopKeeping := s.keepAlive()

	var hurry context.CancelFunc
	s.hurries, hurry = context.WithCancel(base)
	defer hurry()
	drain := time.AfterFunc(math.MaxInt64, func() { cutOff(errDrained) })
	defer drain.Stop()
	defer context.AfterFunc(ctx, func() {
		drain.Reset(s.config.DrainTimeout) // the reading may take seconds more to end
		if s.mayHurry() {
			hurry()
		}
	})()

	reading, stop := context.WithCancel(ctx)
	defer stop()
	s.stopReading = stop
	readers, reading := errgroup.WithContext(reading)
	for _, from := range s.sources {
		readers.Go(func() error { return s.read(reading, work, from) })
	}
	err := readers.Wait()
	s.gate.end()

	if ctx.Err() == nil {
		drain.Reset(s.config.DrainTimeout)
	}
	s.attempts.Wait()
	s.recorder.close()
	stopKeeping()
	s.flush(base)
	return err
}

// mayHurry reports, when its life has ended, whether nobody misses what the server hands
// out meanwhile and nobody takes. Beside the embedded server all that is not settled
// comes at once at the next start of the process.
func (s *shift) mayHurry() bool {
	cause := context.Cause(s.life)
	return errors.Is(cause, ErrRemoved) || s.config.Bus.KeepsConsumers() && !errors.Is(cause, ErrStopped)
}

// flush makes sure that the server has taken in what was settled: it takes a
// consumer's acknowledgements one after another, so once it has answered to the
// last message it has those before.
func (s *shift) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for _, last := range s.held.lastSettled() {
		if _, err := s.config.Bus.JetStream().Conn().RequestWithContext(ctx, last, inProgress); err != nil && !s.over(err) {
			s.logger.Warn("the last acknowledgements may be lost; those events are delivered again", s.endpoint.who(), "error", err)
		}
	}
}

// over reports whether err says that a replay has ended, and its consumer with it,
// so that nothing of it is delivered again.
func (s *shift) over(err error) bool {
	return s.config.Replay != nil && errors.Is(err, nats.ErrNoResponders)
}

// keepAlive tells the server now and then that the held messages are still in
// work, so that it does not hand them out again. It returns how to stop it.
func (s *shift) keepAlive() (stop func()) {
	wait := AckWait(s.endpoint)
	for _, from := range s.sources {
		if configured := from.consumer.CachedInfo().Config.AckWait; configured > 0 {
			wait = min(wait, configured)
		}
	}
	quit, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(wait / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.held.each(func(d *delivery) { _ = d.msg.InProgress() }) // at worst it is handed out again and ignored
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-stopped }
}

func (s *shift) isGone() bool {
	s.gone.Lock()
	defer s.gone.Unlock()
	return s.gone.yes
}
