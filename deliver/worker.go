package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/bus"
)

// DefaultDrainTimeout is how long attempts in flight may go on after the
// worker was told to stop, where the configuration does not say.
const DefaultDrainTimeout = 20 * time.Second

// DefaultMaxProbeWait is the longest time between probes of an endpoint that
// fails, where the owner of the worker does not say.
const DefaultMaxProbeWait = 5 * time.Minute

const (
	// storeTimeout bounds each record, pointer and dead event on its way to
	// the bus.
	storeTimeout = 10 * time.Second
	flushTimeout = 2 * time.Second
)

// WorkerConfig is what a worker needs.
type WorkerConfig struct {
	Endpoint Endpoint     // valid, as Endpoint.Validate tells
	Bus      *bus.Bus     // required
	Client   *Client      // required; shared by all workers
	Logger   *slog.Logger // required
	Tracer   trace.Tracer // nil makes no spans; the event's own trace is passed on
	Meter    metric.Meter // nil counts nothing

	// OnGone is called when the endpoint has answered 410, and disables it. It
	// is required. After it has returned nil the worker takes no more events;
	// after an error it goes on and calls it at the next 410. It must not wait
	// for Run to return.
	OnGone func(ctx context.Context, reason string) error

	// Failing says that the endpoint was failing when it was last heard of: the
	// worker begins with a probe.
	Failing bool
	// MaxProbeWait bounds the time between probes of an endpoint that fails;
	// zero means DefaultMaxProbeWait.
	MaxProbeWait time.Duration
	// OnFailing is called when the breaker has opened and after each probe that
	// failed, OnRecovered at the first success after that. After an error they
	// are called again at the next such occasion. Nil tells nobody.
	OnFailing   func(ctx context.Context, f Failing) error
	OnRecovered func(ctx context.Context) error

	// Replay has the worker deliver again what a consumer of its own selects,
	// instead of the endpoint's events. Nil is not to. What fails goes through the
	// endpoint's retries like any other event.
	Replay *Replay

	// DrainTimeout bounds the attempts in flight at a shutdown; zero means
	// DefaultDrainTimeout. Attempts cut off then do not count.
	DrainTimeout time.Duration
}

// Replay is events that are delivered again.
type Replay struct {
	ID       string // told to the endpoint in the header jethook-replay
	Consumer string // the durable on the event stream that selects them
	End      uint64 // the sequence of the last one; what follows is passed over

	// GiveUp makes the replay go without an endpoint's retries: the consumer hands
	// out again what failed, by the endpoint's Retry, whose attempts are counted from
	// the worker's start, and GiveUp is called for an event that would be dead, in
	// place of storing it. After an error it is called again. Nil is not to.
	GiveUp func(ctx context.Context) error

	// Tally counts what becomes of the events, before their messages are settled.
	Tally Tally
}

// Tally counts the events of a replay.
type Tally struct {
	Delivered atomic.Uint64 // or given to whoever takes the endpoint's events
	Filtered  atomic.Uint64 // passed over
	Failed    atomic.Uint64 // left to the endpoint's retries, or dead; not what GiveUp was called for
}

// count adds an event to the tally. It may be called on nil.
func (r *Replay) count(of Outcome) {
	switch {
	case r == nil:
	case of == OutcomeDelivered:
		r.Tally.Delivered.Add(1)
	case of == OutcomeFiltered:
		r.Tally.Filtered.Add(1)
	case !r.alone():
		r.Tally.Failed.Add(1)
	}
}

// alone reports whether a replay goes without an endpoint's retries. It may be
// called on nil.
func (r *Replay) alone() bool { return r != nil && r.GiveUp != nil }

// Failing tells that an endpoint fails.
type Failing struct {
	Since  time.Time // the first failure after the last success that the worker knows of
	Reason string
}

// Worker delivers the events of one endpoint.
type Worker struct {
	config   WorkerConfig
	endpoint Endpoint // with its defaults
	client   *Client
	logger   *slog.Logger
	tracer   trace.Tracer
	metrics  *metrics
	composer *composer
	filter   *filter
	gate     *gate
	pace     *pace
	timeout  error  // the cause of an attempt's end by its timeout
	opened   *shift // what Open has found
}

// NewWorker checks the configuration. Nothing is read before Run.
func NewWorker(config WorkerConfig) (*Worker, error) {
	if config.Bus == nil || config.Client == nil || config.Logger == nil || config.OnGone == nil {
		return nil, errors.New("deliver: a worker needs a bus, a client, a logger and OnGone")
	}
	if err := config.Endpoint.Validate(); err != nil {
		return nil, err
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = DefaultDrainTimeout
	}
	if config.MaxProbeWait == 0 {
		config.MaxProbeWait = DefaultMaxProbeWait
	}
	e := config.Endpoint.WithDefaults()
	w := &Worker{config: config, endpoint: e, client: config.Client, logger: config.Logger, tracer: config.Tracer,
		gate:    newGate(e.Concurrency, config.Failing, config.MaxProbeWait),
		pace:    newPace(e.Rate),
		timeout: fmt.Errorf("timeout: no answer within %s", e.Timeout)}
	var err error
	if w.metrics, err = newMetrics(config.Meter, e); err != nil {
		return nil, err
	}
	if w.composer, err = newComposer(e, config.Client.userAgent); err != nil {
		return nil, err
	}
	if config.Replay != nil {
		w.composer.replay = config.Replay.ID
	}
	if e.TLS != (TLS{}) {
		w.composer.target.own = config.Client.newTransport(e.TLS)
	}
	if w.filter, err = newFilter(e.Filter); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	return w, nil
}

// Failing tells the worker whether the state that replicas share says that the
// endpoint fails. While it does, the next success calls OnRecovered.
func (w *Worker) Failing(yes bool) { w.gate.failing.Store(yes) }

// Probe has the worker try an event now, where it waits to find out whether the
// endpoint is well again. It passes over a time at which it was asked already.
func (w *Worker) Probe(asked time.Time) { w.gate.probe(asked) }

// Pace changes how many attempts may begin in a second, from the endpoint's Rate
// to another; 0 is no limit.
func (w *Worker) Pace(perSecond float64) { w.pace.set(perSecond) }

// Breaker returns the state of the endpoint's circuit breaker.
func (w *Worker) Breaker() Breaker { return w.gate.state() }

// Concurrency returns how many attempts may be in flight now.
func (w *Worker) Concurrency() int { return int(w.gate.window.size.Load()) }

// Causes with which the context of Run may be ended while the process goes on.
var (
	// ErrStopped has Run wait until the server hands out nothing more to it, for a
	// second, five on a cluster, and ten where it does not answer: what reaches nobody
	// would be delivered late.
	ErrStopped = errors.New("the worker was stopped")
	// ErrRemoved says that its consumers are deleted next, so that it need not wait.
	ErrRemoved = errors.New("the worker was removed")
)

// errDrained ends attempts that outlast the shutdown.
var errDrained = errors.New("shutting down")

// Open finds the endpoint's durable consumer on the event stream, which is needed,
// and makes the one on RETRY. The server compares a new one with all that are
// there, so whoever starts thousands of workers opens few at a time. It may be
// called once, before Run, which else does the same.
func (w *Worker) Open(ctx context.Context) (err error) {
	if w.opened, err = w.open(ctx); err != nil {
		if own := w.composer.target.own; own != nil {
			own.close()
		}
		return fmt.Errorf("deliver to %s: %w", w.endpoint, err)
	}
	return nil
}

// Run opens the worker, unless it is open, and delivers until ctx ends. Then
// attempts in flight finish, what was fetched but not begun is handed back, and
// Run returns nil once everything is settled. It returns an error when it cannot take
// events any more, such as when the durable was deleted
// (jetstream.ErrConsumerNotFound, jetstream.ErrConsumerDeleted); what it held is
// settled or handed back then too. After the endpoint is gone it does nothing
// until ctx ends. Run is called once.
func (w *Worker) Run(ctx context.Context) error {
	if w.opened == nil {
		if err := w.Open(ctx); err != nil {
			return err
		}
	}
	if own := w.composer.target.own; own != nil {
		defer own.close()
	}
	if err := w.opened.run(ctx); err != nil {
		return fmt.Errorf("deliver to %s: %w", w.endpoint, err)
	}
	if w.opened.isGone() {
		<-ctx.Done()
	}
	return nil
}

// open finds the streams and consumers that the worker reads.
func (w *Worker) open(ctx context.Context) (*shift, error) {
	js := w.config.Bus.JetStream()
	stream, err := js.Stream(ctx, bus.StreamName(w.endpoint.Env))
	if err != nil {
		return nil, fmt.Errorf("event stream: %w", err)
	}
	if of := w.config.Replay; of != nil {
		again, err := stream.Consumer(ctx, of.Consumer)
		if err != nil {
			return nil, fmt.Errorf("durable consumer: %w", err)
		}
		s := newShift(w, stream, source{consumer: again})
		s.held.progress = w.config.Bus.Progress(again.CachedInfo().Stream, of.Consumer)
		return s, nil
	}
	live, err := stream.Consumer(ctx, w.endpoint.Name)
	if err != nil {
		return nil, fmt.Errorf("durable consumer: %w", err)
	}
	due, err := js.CreateOrUpdateConsumer(ctx, bus.Retry, w.dueConfig())
	if err != nil {
		return nil, fmt.Errorf("consumer of due events: %w", err)
	}
	return w.begin(stream, live, due), nil
}

// begin returns the shift that reads an endpoint's own consumers.
func (w *Worker) begin(stream jetstream.Stream, live, due jetstream.Consumer) *shift {
	s := newShift(w, stream, source{consumer: live}, source{consumer: due, due: true})
	s.held.progress = w.config.Bus.Progress(live.CachedInfo().Stream, w.endpoint.Name)
	s.chain = s.held.progress.Chain()
	return s
}

// dueConfig is the consumer of the pointers that are due.
func (w *Worker) dueConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       DueConsumer(w.endpoint.Env, w.endpoint.Name),
		Description:   "events due again at " + w.endpoint.String(),
		FilterSubject: DueSubject(w.endpoint.Env, w.endpoint.Name),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       AckWait(w.endpoint),
		MaxDeliver:    -1,
		MaxAckPending: MaxAckPending(w.endpoint),
		MemoryStorage: w.config.Bus.KeepsConsumers(), // what is left is in the work queue itself
	}
}
