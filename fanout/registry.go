package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/signature"
	"github.com/jethook/jethook/internal/vault"
)

// Config is what a Registry needs. Every field is required but Tracer,
// DrainTimeout and DisableAfter.
type Config struct {
	Bus    *bus.Bus
	Client *deliver.Client // shared by all workers
	Logger *slog.Logger
	Tracer trace.Tracer // nil makes no spans
	Meter  metric.Meter

	// DrainTimeout is how long a worker's attempts in flight may go on after it
	// was stopped; zero means deliver.DefaultDrainTimeout.
	DrainTimeout time.Duration

	// DisableAfter is how long an endpoint may have nothing but failures before
	// it is disabled; zero means for ever.
	DisableAfter time.Duration

	// Vault encrypts generated secrets.
	Vault *vault.Vault
	// ShowSecret is called once in the life of a generated secret, with the
	// endpoint's name. Nothing else ever shows it.
	ShowSecret func(endpoint, secret string)
}

// Registry is the list of endpoints and subscribers in force and the workers
// that deliver to the endpoints. It is safe for concurrent use.
type Registry struct {
	config  Config
	keys    *keychain
	now     func() time.Time
	alarm   *bus.Alarm    // nil on a cluster
	changed chan struct{} // tells Run that wanted, records or sleeps differ
	opening chan struct{} // has one for each worker that is being opened

	applying sync.Mutex   // held by Apply, and while a consumer is parked
	known    map[ref]kind // what this process applied and has not removed; nil before the first Apply
	unsynced bool         // consumers were changed or deleted since the bus was last told to keep them

	mu      sync.Mutex
	running bool
	wanted  map[ref]Endpoint
	serving map[ref]bool      // the subscribers
	records map[ref]record    // what replicas share about each
	told    map[ref]time.Time // since when what was logged of it last
	workers map[*worker]struct{}
	sleeps  map[ref]*sleep
	gauges  readings
	retries map[ref]int64 // due again, as counted last; nil before

	replicas int // that share the rates; 0 where there is one alone
}

// New returns an empty registry: nothing on the bus changes before Apply.
func New(config Config) (*Registry, error) {
	if config.Bus == nil || config.Client == nil || config.Vault == nil || config.Logger == nil ||
		config.Meter == nil || config.ShowSecret == nil {
		return nil, errors.New("fanout: Bus, Client, Vault, Logger, Meter and ShowSecret are required")
	}
	if config.DisableAfter < 0 {
		return nil, errors.New("fanout: DisableAfter is negative")
	}
	return &Registry{
		config: config,
		keys: &keychain{
			bus: config.Bus, vault: config.Vault, logger: config.Logger,
			showSecret: config.ShowSecret, keys: make(map[string]signature.Key),
		},
		now:     time.Now,
		changed: make(chan struct{}, 1),
		opening: make(chan struct{}, openAtOnce),
		wanted:  make(map[ref]Endpoint),
		serving: make(map[ref]bool),
		records: make(map[ref]record),
		told:    make(map[ref]time.Time),
		workers: make(map[*worker]struct{}),
		alarm:   config.Bus.NewAlarm(),
		sleeps:  make(map[ref]*sleep),
	}, nil
}

// Apply makes the bus match the list: it creates and updates consumers, and
// removes those of endpoints and subscribers that an earlier Apply of this
// process had and this list has not, with what waits for them. It returns when
// that is done; workers follow in Run. A list that is wrong, or that names a
// consumer of somebody else, changes nothing. After any other error Apply may
// be called again with the same list.
func (r *Registry) Apply(ctx context.Context, endpoints []Endpoint, subscribers []Subscriber) error {
	return r.apply(ctx, &plan{}, endpoints, subscribers)
}

// Change is Apply for a part of the list, after an Apply: endpoints and subscribers
// are those that there are of these names, and the others stay as they are. It takes
// no longer where there are many others.
func (r *Registry) Change(ctx context.Context, names []Name, endpoints []Endpoint, subscribers []Subscriber) error {
	p := &plan{about: make(map[ref]bool, len(names))}
	for _, of := range names {
		p.about[ref{of.Env, of.Name}] = true
	}
	return r.apply(ctx, p, endpoints, subscribers)
}

func (r *Registry) apply(ctx context.Context, p *plan, endpoints []Endpoint, subscribers []Subscriber) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	err := r.plan(ctx, p, endpoints, subscribers)
	if err != nil {
		return err
	}
	if err := r.storeSecrets(ctx, p); err != nil {
		return err
	}
	if err := r.ensureConsumers(ctx, p); err != nil {
		return err
	}
	if r.known == nil {
		r.known = make(map[ref]kind)
		defer r.tellOfLeftovers(ctx, p)
	}
	r.adopt(p)
	return errors.Join(r.clearStates(ctx, p), r.removeAbsent(ctx, p), r.sync())
}

// storeSecrets keeps the generated secrets. Where another replica was first,
// its secret is the endpoint's.
func (r *Registry) storeSecrets(ctx context.Context, p *plan) error {
	for _, d := range p.drafts {
		key, err := r.keys.store(ctx, d)
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", d.ref, err)
		}
		e := p.endpoints[d.ref]
		e.Keys = []signature.Key{key}
		p.endpoints[d.ref] = e
	}
	return nil
}

func (r *Registry) ensureConsumers(ctx context.Context, p *plan) error {
	for i := range p.consumers {
		c := &p.consumers[i]
		have := p.have(c.ref)
		if have != nil && c.age(*have) > 0 {
			continue
		}
		if have != nil && c.age(*have) < 0 {
			if err := r.replace(ctx, p, c); err != nil {
				return fmt.Errorf("remove the earlier %s %s: %w", c.kind, c.ref, err)
			}
			have = nil
		}
		if _, ours := r.known[c.ref]; ours && have == nil {
			r.config.Logger.Warn("consumer was deleted by somebody else and begins anew; what waited for it is skipped unless its start says otherwise",
				"name", c.name, "env", c.env, "kind", c.kind)
		}
		changed, err := r.ensureConsumer(ctx, p, c)
		if changed || err != nil { // after an error it may be changed all the same
			r.unsynced = true
		}
		if err != nil {
			return fmt.Errorf("consumer of %s %s: %w", c.kind, c.ref, err)
		}
		if err := r.endRewind(ctx, p, c.ref); err != nil {
			return fmt.Errorf("consumer of %s %s: %w", c.kind, c.ref, err)
		}
		if changed {
			r.config.Logger.Info("consumer is as it is configured", "name", c.name, "env", c.env, "kind", c.kind, "new", have == nil)
		}
	}
	return r.sync()
}

// ensureConsumer makes the bus match c, with a consumer that the server knows
// where something waits for it.
func (r *Registry) ensureConsumer(ctx context.Context, p *plan, c *consumer) (changed bool, err error) {
	p.takeUpRewind(c)
	have, stream := p.have(c.ref), bus.StreamName(c.env)
	switch {
	case have != nil:
		if _, differs := c.update(*have); differs {
			if err := r.config.Bus.Unpark(ctx, stream, c.name); err != nil {
				return false, err
			}
			if have, err = lookConsumer(ctx, p.streams[c.env], c.name); err != nil {
				return false, err // it has another beginning now
			}
			p.busy[c.ref] = true // it may select something now
		}
		changed, err = ensureConsumer(ctx, p.streams[c.env], c, have)
	case c.inMemory && c.start.At.IsZero():
		changed, err = true, r.park(ctx, p, c)
	default:
		p.busy[c.ref] = true
		changed, err = ensureConsumer(ctx, p.streams[c.env], c, nil)
	}
	if _, known := r.known[c.ref]; err != nil || known && !changed {
		return changed, err
	}
	waits, err := r.config.Bus.Waits(ctx, stream, c.name)
	if err == nil && (waits || p.busy[c.ref]) {
		p.busy[c.ref] = true
		err = r.config.Bus.Unpark(ctx, stream, c.name)
	}
	return changed, err
}

// park makes a new consumer that the server need not know yet.
func (r *Registry) park(ctx context.Context, p *plan, c *consumer) error {
	var floor uint64
	if !c.start.Beginning {
		info, err := p.streams[c.env].Info(ctx)
		if err != nil {
			return err
		}
		floor = info.State.LastSeq
	}
	if c.start.Sequence > 0 {
		floor = min(floor, c.start.Sequence-1)
	}
	return r.config.Bus.ParkNew(ctx, bus.StreamName(c.env), c.create(floor), floor)
}

// sync has the bus remember what was made, changed and deleted.
func (r *Registry) sync() error {
	if !r.unsynced {
		return nil
	}
	if err := r.config.Bus.Sync(); err != nil {
		return err
	}
	r.unsynced = false
	return nil
}

// clearStates ends the disabling and the failing of endpoints whose URL has
// changed since, and of those that the list does not enable. It comes after
// adopt, as gone and failing look at the list after they wrote, so that one of
// the two sees what the other did.
func (r *Registry) clearStates(ctx context.Context, p *plan) error {
	records, err := p.readStates(ctx)
	if err != nil {
		return err
	}
	for of, e := range p.endpoints {
		found, ok := records[of]
		if !ok || found.Disabled == nil && found.Failing == nil || e.Enabled && (found.bars(e.URL) || found.fails(e.URL)) {
			continue
		}
		if since := found.failedSince(); !since.IsZero() { // no success tells of its end any more
			if err := recovery(since, r.now()).publish(ctx, r.config.Bus, of); err != nil {
				return err
			}
		}
		cleared, err := enable(ctx, p.states, of.key(), found)
		if err != nil {
			return fmt.Errorf("clear the state of endpoint %s: %w", of, err)
		}
		r.note(of, cleared)
		if found.Disabled == nil {
			continue
		}
		r.config.Logger.Info("endpoint is no longer disabled", "endpoint", of.name, "env", of.env,
			"disabled_at", found.Disabled.At, "reason", found.Disabled.Reason)
	}
	return nil
}

// tellOfLeftovers names the consumers that an earlier process made and the
// list does not: they may belong to a part of the file that is missing. No alarm
// tells of what is stored for them, so none stays parked, or what waits for it
// would not be counted. Those with an ID are of no file: the next Apply removes
// them, unless this process has heard of them by then.
func (r *Registry) tellOfLeftovers(ctx context.Context, p *plan) {
	for of, have := range p.found {
		if have.Metadata[metaOrigin] != originFile || p.listed[of] {
			continue
		}
		if have.Metadata[metaID] != "" {
			r.known[of] = kind(have.Metadata[metaKind])
			continue
		}
		r.config.Logger.Warn("consumer is not in the file and is kept with its place; "+
			"put the entry back to go on where it stopped, or put it back and remove it while jethook runs to drop it",
			"name", of.name, "env", of.env, "kind", have.Metadata[metaKind])
		if err := r.config.Bus.Unpark(ctx, bus.StreamName(of.env), of.name); err != nil {
			r.config.Logger.Warn("the backlog of a consumer that is not in the file cannot be told", "name", of.name, "env", of.env, "error", err)
		}
	}
}

// adopt puts the list in force. Run follows.
func (r *Registry) adopt(p *plan) {
	r.mu.Lock()
	for _, of := range within(p, r.wanted) {
		delete(r.wanted, of)
	}
	for _, of := range within(p, r.serving) {
		delete(r.serving, of)
	}
	maps.Copy(r.wanted, p.endpoints)
	for _, c := range p.consumers {
		if c.kind == subscriberKind {
			r.serving[c.ref] = true
		}
	}
	r.restLocked(p)
	for of, found := range p.records {
		r.noteLocked(of, found)
	}
	r.forgetLocked()
	r.mu.Unlock()
	for _, c := range p.consumers {
		r.known[c.ref] = c.kind
	}
	r.wake()
}

// forgetLocked drops what is remembered of endpoints that the list has not. One
// that comes back is looked up by the plan that has it.
func (r *Registry) forgetLocked() {
	maps.DeleteFunc(r.records, func(of ref, _ record) bool { return !r.listsLocked(of) })
	maps.DeleteFunc(r.told, func(of ref, _ time.Time) bool { return !r.listsLocked(of) })
}

func (r *Registry) listsLocked(of ref) bool {
	_, listed := r.wanted[of]
	return listed
}

// note remembers a state unless a newer one is known.
func (r *Registry) note(of ref, found record) {
	r.mu.Lock()
	r.noteLocked(of, found)
	r.mu.Unlock()
	r.wake()
}

func (r *Registry) noteLocked(of ref, found record) {
	known, ok := r.records[of]
	if !ok || found.revision > known.revision || found.revision == known.revision && found.deleted {
		found.recovered = known.recovered
		if known.Failing != nil && (found.Failing == nil || !found.Failing.Since.Equal(known.Failing.Since)) {
			found.recovered = r.now()
		}
		r.records[of] = found
	}
}

func (r *Registry) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}
