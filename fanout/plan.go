package fanout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// plan is a list that was found right, and what the bus held before it.
type plan struct {
	about     map[ref]bool     // the names whose endpoints and subscribers it has; nil for all
	endpoints map[ref]Endpoint // with keys
	consumers []consumer
	listed    map[ref]bool // the endpoints and subscribers, also those that keep what they have and are not in force
	drafts    []*draft

	streams map[event.Env]jetstream.Stream
	found   map[ref]jetstream.ConsumerConfig
	busy    map[ref]bool       // those for which something waits
	states  jetstream.KeyValue // bucket bus.Endpoints
	records map[ref]record     // its content
}

// within returns the keys of a map that the plan is about.
func within[V any](p *plan, all map[ref]V) []ref {
	if p.about == nil {
		return slices.Collect(maps.Keys(all))
	}
	var found []ref
	for of := range p.about {
		if _, has := all[of]; has {
			found = append(found, of)
		}
	}
	return found
}

// have returns the consumer the bus held, or nil.
func (p *plan) have(of ref) *jetstream.ConsumerConfig {
	if config, ok := p.found[of]; ok {
		return &config
	}
	return nil
}

// plan checks the list against itself, the bus and deliver's rules. It changes
// nothing.
func (r *Registry) plan(ctx context.Context, p *plan, endpoints []Endpoint, subscribers []Subscriber) error {
	if err := checkList(endpoints, subscribers); err != nil {
		return err
	}
	r.arm(endpoints)
	p.endpoints = make(map[ref]Endpoint, len(endpoints))
	p.listed = make(map[ref]bool, len(endpoints)+len(subscribers))
	for i := range endpoints {
		p.endpoints[endpoints[i].ref()] = endpoints[i]
		p.consumers = append(p.consumers, endpointConsumer(&endpoints[i], r.config.Bus.KeepsConsumers()))
	}
	for i := range subscribers {
		p.consumers = append(p.consumers, subscriberConsumer(&subscribers[i]))
	}
	for _, c := range p.consumers {
		p.listed[c.ref] = true
	}
	if err := p.look(ctx, r.config.Bus); err != nil {
		return err
	}
	return r.examine(ctx, p)
}

// examine finds what cannot be in force. That is an error where the file says
// it; what was made one by one and has an ID is left out instead, for it must not
// keep the others from coming into force.
func (r *Registry) examine(ctx context.Context, p *plan) error {
	var problems []error
	refused := make(map[ref]bool)
	for i := range p.consumers {
		c := &p.consumers[i]
		err := r.examineOne(ctx, p, c)
		switch {
		case err == nil:
		case c.id == "":
			problems = append(problems, err)
		default:
			refused[c.ref] = true
			delete(p.endpoints, c.ref)
			r.config.Logger.Error("what was made over the API is not in force", "name", c.name, "env", c.env, "kind", c.kind, "error", err)
		}
	}
	p.consumers = slices.DeleteFunc(p.consumers, func(c consumer) bool { return refused[c.ref] })
	return errors.Join(problems...)
}

func (r *Registry) examineOne(ctx context.Context, p *plan, c *consumer) error {
	if have := p.have(c.ref); have != nil {
		if err := c.checkOwner(*have); err != nil {
			return err
		}
	}
	if c.kind != endpointKind {
		return nil
	}
	if err := r.complete(ctx, p, c.ref); err != nil {
		return fmt.Errorf("endpoint %s: %w", c.ref, err)
	}
	return nil
}

// look reads the consumers of the event streams and the state of endpoints.
func (p *plan) look(ctx context.Context, b *bus.Bus) (err error) {
	js := b.JetStream()
	p.streams = make(map[event.Env]jetstream.Stream)
	p.found = make(map[ref]jetstream.ConsumerConfig)
	p.busy = make(map[ref]bool)
	for _, env := range event.Envs() {
		stream, err := js.Stream(ctx, bus.StreamName(env))
		if err != nil {
			return fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
		}
		p.streams[env] = stream
		if p.about != nil {
			continue
		}
		parked, err := b.Parked(bus.StreamName(env)) // first, for one may be unparked meanwhile
		if err != nil {
			return err
		}
		for name, config := range parked {
			p.found[ref{env, name}] = config
		}
		list := stream.ListConsumers(ctx)
		for info := range list.Info() {
			p.found[ref{env, info.Name}] = info.Config
			p.busy[ref{env, info.Name}] = waits(info) > 0
		}
		if err := list.Err(); err != nil {
			return fmt.Errorf("list the consumers of %s: %w", bus.StreamName(env), err)
		}
	}
	for of := range p.about {
		for _, name := range []string{of.name, bus.PlaceholderName(of.name)} {
			if err := p.lookAt(ctx, b, ref{of.env, name}); err != nil {
				return err
			}
		}
	}
	if err := p.lookForRetries(ctx, js); err != nil {
		return err
	}
	if p.states, err = openStates(ctx, js); err != nil {
		return err
	}
	p.records, err = p.readStates(ctx)
	return err
}

// lookAt reads one consumer.
func (p *plan) lookAt(ctx context.Context, b *bus.Bus, of ref) error {
	config, parked, err := b.IsParked(bus.StreamName(of.env), of.name) // first, as in look
	if err != nil {
		return err
	}
	if parked {
		p.found[of] = config
		return nil
	}
	found, err := p.streams[of.env].Consumer(ctx, of.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for consumer %s of %s: %w", of.name, bus.StreamName(of.env), err)
	}
	p.found[of], p.busy[of] = found.CachedInfo().Config, waits(found.CachedInfo()) > 0
	return nil
}

// readStates reads the state of the endpoints that the plan is about.
func (p *plan) readStates(ctx context.Context) (map[ref]record, error) {
	if p.about == nil {
		return states(ctx, p.states)
	}
	found := make(map[ref]record)
	for of := range p.about {
		r, err := readState(ctx, p.states, of)
		if err != nil {
			return nil, err
		}
		if r.revision > 0 {
			found[of] = r
		}
	}
	return found, nil
}

// lookForRetries finds the endpoints that have deliveries due again.
func (p *plan) lookForRetries(ctx context.Context, js jetstream.JetStream) error {
	retry, err := js.Stream(ctx, bus.Retry)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	if retry.CachedInfo().State.Msgs == 0 {
		return nil
	}
	for of := range p.endpoints {
		if p.busy[of] {
			continue
		}
		if p.busy[of], err = retries(ctx, retry, of); err != nil {
			return fmt.Errorf("look for retries of endpoint %s: %w", of, err)
		}
	}
	return nil
}

// complete gives an endpoint its generated key where it has none, and checks
// that a worker can be made of it.
func (r *Registry) complete(ctx context.Context, p *plan, of ref) error {
	e := p.endpoints[of]
	s, err := e.Signature.Scheme()
	if err != nil {
		return err
	}
	if s.Algorithm != signature.None && len(e.Keys) == 0 {
		key, d, err := r.keys.key(ctx, of, s)
		if err != nil {
			return err
		}
		if d != nil {
			p.drafts = append(p.drafts, d)
		}
		e.Keys = []signature.Key{key}
	}
	e.SystemEvents = namesSystem(e.Events)
	p.endpoints[of] = e
	return e.Endpoint.Validate()
}
