package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Bounds of pulling.
const (
	// MaxTaken is how many events one Take returns at most, and how many tokens one
	// request may settle.
	MaxTaken = 100
	// maxWaiters is how many requests for one endpoint's events may wait in a
	// process.
	maxWaiters = 16
	// takenBytes bounds the bodies of one answer, unless a single one is larger.
	takenBytes = 4 << 20
	// lookEvery is how often an endpoint is looked at that may give nothing now.
	lookEvery = 500 * time.Millisecond
	// atOnce is how many leases are stored or settled side by side, so that one
	// flush serves them all.
	atOnce = 32
)

// ErrManyWaiting means that too many requests wait for events of the endpoint.
var ErrManyWaiting = errors.New("too many requests wait for events of the endpoint")

// PullerConfig is what a Puller needs.
type PullerConfig struct {
	Bus    *bus.Bus     // required
	Client *Client      // required; workers that only take need one as well
	Logger *slog.Logger // required
	Meter  metric.Meter // nil counts nothing
}

// Puller gives out the events of endpoints that have Pull, to whoever asks. It
// keeps nothing: what is taken has a lease on the bus, and any process may give
// out and settle. It is safe for concurrent use.
type Puller struct {
	config PullerConfig

	mu     sync.Mutex
	queues map[string]*queue // by endpoint, of those for which somebody asks
}

// queue is those who ask for the events of one endpoint.
type queue struct {
	waiters int
	turn    sync.Mutex // held while events are given out, so that their number is known
}

// NewPuller returns a puller, which does nothing by itself.
func NewPuller(config PullerConfig) (*Puller, error) {
	if config.Bus == nil || config.Client == nil || config.Logger == nil {
		return nil, errors.New("deliver: a puller needs a bus, a client and a logger")
	}
	return &Puller{config: config, queues: make(map[string]*queue)}, nil
}

// Taken is an event that somebody has taken.
type Taken struct {
	Token    string // settles it
	Attempt  int    // 1, 2, …
	Until    time.Time
	Sequence uint64  // in the stream of its environment
	Previous *uint64 // as that of a Pointer
	Event    *event.Event
}

// Take gives out up to limit events of an endpoint, and waits for one where there
// is none; limit is at most MaxTaken. Each is the caller's for the endpoint's
// Timeout: one that is not acknowledged by then has had a failed attempt. No more
// than the endpoint's Concurrency are out at once, which replicas that are asked
// in the same moment count each for themselves. ready says whether the endpoint
// may have events now; while it may not, none are given out. Take returns none
// when wait is over, and ErrManyWaiting where too many wait.
func (p *Puller) Take(ctx context.Context, e Endpoint, limit int, wait time.Duration, ready func(context.Context) (bool, error)) ([]Taken, error) {
	q, leave, err := p.enter(e)
	if err != nil {
		return nil, err
	}
	defer leave()
	w, err := p.worker(e)
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(wait)
	taken, err := w.takePulled(ctx, q, limit, until, ready)
	for len(taken) == 0 && (errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, nats.ErrNoResponders)) { // the endpoint was made just now, or goes back
		left := time.Until(until)
		if left <= 0 {
			break
		}
		if err := pause(ctx, min(left, lookEvery)); err != nil {
			return nil, err
		}
		taken, err = w.takePulled(ctx, q, limit, until, ready)
	}
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, nil
	case errors.Is(err, errManyRequests):
		err = ErrManyWaiting
	}
	if err != nil && len(taken) == 0 {
		return nil, fmt.Errorf("take events of %s: %w", e, err)
	}
	if err != nil { // those that were taken are answered all the same
		p.config.Logger.Warn("some events could not be given out and come again", e.who(), "error", err)
	}
	return taken, nil
}

// takePulled is a Take with the consumers as they are now.
func (w *Worker) takePulled(ctx context.Context, q *queue, limit int, until time.Time, ready func(context.Context) (bool, error)) ([]Taken, error) {
	s, err := w.openPulled(ctx)
	if err != nil {
		return nil, err
	}
	defer s.attempts.Wait()
	t := &taking{shift: s, queue: q, ready: ready, limit: min(limit, MaxTaken)}
	return t.take(ctx, until)
}

// enter counts one who asks.
func (p *Puller) enter(e Endpoint) (q *queue, leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := e.String()
	if q = p.queues[of]; q == nil {
		q = new(queue)
		p.queues[of] = q
	}
	if q.waiters == maxWaiters {
		return nil, nil, ErrManyWaiting
	}
	q.waiters++
	return q, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if q.waiters--; q.waiters == 0 {
			delete(p.queues, of)
		}
	}, nil
}

// worker is one that runs nothing, with the endpoint's filter and counters.
func (p *Puller) worker(e Endpoint) (*Worker, error) {
	if !e.Pull {
		return nil, fmt.Errorf("events of %s are not pulled", e)
	}
	return pulledWorker(p.config, e)
}

func pulledWorker(c PullerConfig, e Endpoint) (*Worker, error) {
	return NewWorker(WorkerConfig{Endpoint: e, Bus: c.Bus, Client: c.Client, Logger: c.Logger, Meter: c.Meter,
		OnGone: func(context.Context, string) error { return nil }})
}

// openPulled finds what is read, and makes the consumer of what is due unless it
// is there.
func (w *Worker) openPulled(ctx context.Context) (*shift, error) {
	name := bus.StreamName(w.endpoint.Env)
	if err := w.config.Bus.Unpark(ctx, name, w.endpoint.Name); err != nil {
		return nil, err
	}
	js := w.config.Bus.JetStream()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("event stream: %w", err)
	}
	live, err := stream.Consumer(ctx, w.endpoint.Name)
	if err != nil {
		return nil, fmt.Errorf("durable consumer: %w", err)
	}
	due, err := js.Consumer(ctx, bus.Retry, DueConsumer(w.endpoint.Env, w.endpoint.Name))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		due, err = js.CreateOrUpdateConsumer(ctx, bus.Retry, w.dueConfig())
	}
	if err != nil {
		return nil, fmt.Errorf("consumer of due events: %w", err)
	}
	return w.begin(stream, live, due), nil
}
