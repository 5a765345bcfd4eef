package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// plan is a list that was found right, and what the bus held before it.
type plan struct {
	endpoints map[ref]Endpoint // with keys
	consumers []consumer
	refused   map[ref]bool // those that keep what they have and are not in force
	drafts    []*draft

	streams map[event.Env]jetstream.Stream
	found   map[ref]jetstream.ConsumerConfig
	busy    map[ref]bool       // those for which something waits
	states  jetstream.KeyValue // bucket bus.Endpoints
	records map[string]record  // its content, by key
}

// have returns the consumer the bus held, or nil.
func (p *plan) have(of ref) *jetstream.ConsumerConfig {
	if config, ok := p.found[of]; ok {
		return &config
	}
	return nil
}

// names reports whether the list has an endpoint or a subscriber of that name.
func (p *plan) names(of ref) bool {
	if p.refused[of] {
		return true
	}
	for _, c := range p.consumers {
		if c.ref == of {
			return true
		}
	}
	return false
}

// plan checks the list against itself, the bus and deliver's rules. It changes
// nothing.
func (r *Registry) plan(ctx context.Context, endpoints []Endpoint, subscribers []Subscriber) (*plan, error) {
	if err := checkList(endpoints, subscribers); err != nil {
		return nil, err
	}
	r.arm(endpoints)
	p := &plan{endpoints: make(map[ref]Endpoint, len(endpoints))}
	for i := range endpoints {
		p.endpoints[endpoints[i].ref()] = endpoints[i]
		p.consumers = append(p.consumers, endpointConsumer(&endpoints[i], r.config.Bus.KeepsConsumers()))
	}
	for i := range subscribers {
		p.consumers = append(p.consumers, subscriberConsumer(&subscribers[i]))
	}
	if err := p.look(ctx, r.config.Bus); err != nil {
		return nil, err
	}
	return p, r.examine(ctx, p)
}

// examine finds what cannot be in force. That is an error where the file says
// it; what was made one by one and has an ID is left out instead, for it must not
// keep the others from coming into force.
func (r *Registry) examine(ctx context.Context, p *plan) error {
	var problems []error
	p.refused = make(map[ref]bool)
	for i := range p.consumers {
		c := &p.consumers[i]
		err := r.examineOne(ctx, p, c)
		switch {
		case err == nil:
		case c.id == "":
			problems = append(problems, err)
		default:
			p.refused[c.ref] = true
			delete(p.endpoints, c.ref)
			r.config.Logger.Error("what was made over the API is not in force", "name", c.name, event.AttrEnv, c.env, "kind", c.kind, "error", err)
		}
	}
	p.consumers = slices.DeleteFunc(p.consumers, func(c consumer) bool { return p.refused[c.ref] })
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
	if err := p.lookForRetries(ctx, js); err != nil {
		return err
	}
	if p.states, err = openStates(ctx, js); err != nil {
		return err
	}
	p.records, err = states(ctx, p.states)
	return err
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
