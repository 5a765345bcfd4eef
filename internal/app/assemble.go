package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/managed"
)

const (
	// gatherTime is how long what follows a change over the API is waited for, so
	// that a hundred are put into force together. Where many are in force, and to put
	// one more into force takes longer, it is gatherShare times as long as it took
	// last, at most maxGatherTime: changes without end take no more than a part of a
	// processor from what is received meanwhile.
	gatherTime    = 20 * time.Millisecond
	gatherShare   = 10
	maxGatherTime = time.Second
	// settleTime is how long after a start the lists are applied once more, which
	// removes what was deleted while no process delivered. It comes again after
	// an error.
	settleTime = 5 * time.Second
)

// assembly is what the stages get: of the file, and of what was made over the API.
type assembly struct {
	sources     map[string]ingest.Source
	endpoints   map[fanout.Name]fanout.Endpoint
	subscribers map[fanout.Name]fanout.Subscriber
	users       map[fanout.Name]bus.User
}

func newAssembly() *assembly {
	return &assembly{
		sources:     make(map[string]ingest.Source),
		endpoints:   make(map[fanout.Name]fanout.Endpoint),
		subscribers: make(map[fanout.Name]fanout.Subscriber),
		users:       make(map[fanout.Name]bus.User),
	}
}

// named returns the endpoints and subscribers that have one of these names.
func (l *assembly) named(names []fanout.Name) (endpoints []fanout.Endpoint, subscribers []fanout.Subscriber) {
	for _, name := range names {
		if e, has := l.endpoints[name]; has {
			endpoints = append(endpoints, e)
		}
		if s, has := l.subscribers[name]; has {
			subscribers = append(subscribers, s)
		}
	}
	return endpoints, subscribers
}

// names are those of endpoints and subscribers.
func (l *assembly) names() []fanout.Name {
	names := slices.AppendSeq(slices.Collect(maps.Keys(l.endpoints)), maps.Keys(l.subscribers))
	slices.SortFunc(names, func(a, b fanout.Name) int { return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(names)
}

// userList has the file's first, as the bus wants it, and then the oldest.
func (l *assembly) userList() []bus.User {
	names := slices.SortedFunc(maps.Keys(l.users), func(a, b fanout.Name) int {
		return cmp.Or(cmp.Compare(l.subscribers[a].ID, l.subscribers[b].ID), cmp.Compare(a.Env, b.Env), cmp.Compare(a.Name, b.Name))
	})
	users := make([]bus.User, 0, len(names))
	for _, name := range names {
		users = append(users, l.users[name])
	}
	return users
}

// assemble translates all that the file c has and that was made over the API. An
// error is the file's, and the lists stay those that were in force.
func (a *App) assemble(c *config.Config) error {
	a.listing.Lock()
	defer a.listing.Unlock()
	a.managed.SetFile(c)
	all := newAssembly()
	var problems []error
	for _, l := range a.managed.Sources() {
		problems = append(problems, a.addSource(all, l))
	}
	for _, l := range a.managed.Endpoints() {
		problems = append(problems, a.addEndpoint(all, l))
	}
	for _, l := range a.managed.Subscribers() {
		a.addSubscriber(all, l)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	a.lists, a.stale = all, true
	return nil
}

// addSource translates a source. An error is the file's; one of the API that is at
// fault is left out.
func (a *App) addSource(all *assembly, l managed.Listed[config.Source]) error {
	source, err := translateListed(l, ingestSource)
	switch {
	case err == nil:
		a.clampBody(&source)
		all.sources[source.Name] = source
	case l.Entry == nil:
		return fmt.Errorf("source %s: %w", l.Config.Name, err)
	default:
		a.tell(l.Entry, err)
	}
	return nil
}

// addEndpoint translates an endpoint. An error is the file's; one of the API that
// is at fault is not enabled, for its place is to be kept.
func (a *App) addEndpoint(all *assembly, l managed.Listed[config.Endpoint]) error {
	endpoint, err := translateListed(l, fanoutEndpoint)
	switch {
	case err == nil:
	case l.Entry == nil:
		return fmt.Errorf("endpoint %s: %w", l.Config.Name, err)
	case errors.Is(err, managed.ErrTaken):
		a.tell(l.Entry, err)
		return nil
	default:
		a.tell(l.Entry, err)
		endpoint = resting(l)
	}
	if l.Entry != nil {
		endpoint.ID = l.Entry.ID.String()
	}
	all.endpoints[fanout.Name{Env: endpoint.Env, Name: endpoint.Name}] = endpoint
	return nil
}

// addSubscriber translates a subscriber. One of the API that is at fault is left
// out.
func (a *App) addSubscriber(all *assembly, l managed.Listed[config.Subscriber]) {
	if l.Problem != nil {
		a.tell(l.Entry, l.Problem)
		return
	}
	subscriber := fanoutSubscriber(l.Config)
	if l.Entry != nil {
		subscriber.ID, subscriber.Start.Sequence = l.Entry.ID.String(), l.Entry.Begin
	}
	name := fanout.Name{Env: subscriber.Env, Name: subscriber.Name}
	all.subscribers[name] = subscriber
	if l.Config.NKey != "" {
		all.users[name] = busUser(l.Config)
	}
}

func translateListed[T config.Source | config.Endpoint | config.Subscriber, To any](l managed.Listed[T], translate func(T) (To, error)) (to To, err error) {
	if l.Problem != nil {
		return to, l.Problem
	}
	return translate(l.Config)
}

// resting is an endpoint that keeps its place and gets nothing.
func resting(l managed.Listed[config.Endpoint]) fanout.Endpoint {
	c := l.Config
	c.Name, c.Env = l.Entry.Name, string(l.Entry.Env)
	c.Enabled, c.Signature, c.Secrets, c.TLS = false, "none", nil, config.TLS{}
	endpoint, _ := fanoutEndpoint(c) // without a signature nothing is left that could fail
	return endpoint
}

// tell logs once why an entry is not in force, with listing held.
func (a *App) tell(e *managed.Entry, err error) {
	if a.told[e.ID] == err.Error() {
		return
	}
	a.told[e.ID] = err.Error()
	a.options.Logger.Error("what was made over the API is not in force", "kind", e.Kind, "name", e.Name, "env", e.Env, "error", err)
}

// onManaged takes note that an entry was made, changed or deleted over the API:
// lists show it and sources receive at once, and follow puts the rest into force.
// What is stored before an endpoint has its consumer is not lost for it, for it
// begins where it was made. It takes no longer where there are many others.
func (a *App) onManaged(e managed.Entry) {
	a.listing.Lock() // whoever was slower to read the entry takes nothing back
	defer a.listing.Unlock()
	delete(a.told, e.ID)
	// The errors are of what the file has, which is assembled already.
	switch e.Kind {
	case managed.Keys:
		return
	case managed.Sources:
		delete(a.lists.sources, e.Name)
		for _, l := range a.managed.SourcesNamed(e.Env, e.Name) {
			_ = a.addSource(a.lists, l)
		}
		if err := a.setSources(); err != nil {
			a.options.Logger.Error("what was made over the API could not be put into force", "error", err)
		}
		return
	}
	name := fanout.Name{Env: e.Env, Name: e.Name}
	delete(a.lists.endpoints, name)
	delete(a.lists.subscribers, name)
	delete(a.lists.users, name)
	for _, l := range a.managed.EndpointsNamed(e.Env, e.Name) {
		_ = a.addEndpoint(a.lists, l)
	}
	for _, l := range a.managed.SubscribersNamed(e.Env, e.Name) {
		a.addSubscriber(a.lists, l)
	}
	if a.directory != nil {
		endpoints, _ := a.lists.named([]fanout.Name{name})
		a.directory.Change([]fanout.Name{name}, endpoints)
	}
	a.changed[name] = true
	a.wake()
}

// wake has follow look at what has changed.
func (a *App) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// setSources has the gateway receive what is listed, with listing held.
func (a *App) setSources() error {
	if a.ingest == nil {
		return nil
	}
	return a.ingest.SetSources(slices.Collect(maps.Values(a.lists.sources)))
}

// applyLists gives each stage its part of the lists: what has changed since it got
// all of them. Sources come last, so that an event of a new one of the file finds
// the endpoints that want it. After an error the stages are given everything anew.
func (a *App) applyLists(ctx context.Context) error {
	whole := a.stale
	a.stale = true
	a.listing.Lock()
	changed := slices.Collect(maps.Keys(a.changed))
	clear(a.changed)
	names := changed
	if whole {
		names = a.lists.names()
	}
	endpoints, subscribers := a.lists.named(names)
	users := a.lists.userList()
	a.listing.Unlock()
	a.warn(a.inForceOf(changed))
	if a.registry != nil {
		var err error
		if whole {
			err = a.registry.Apply(ctx, endpoints, subscribers)
		} else {
			err = a.registry.Change(ctx, names, endpoints, subscribers)
		}
		if err != nil {
			return err
		}
	}
	if nats := a.started.NATS; nats.UseEmbedded() && nats.Embedded.Listen != "" {
		if err := a.bus.SetUsers(users); err != nil {
			return err
		}
	}
	if whole {
		if err := a.show(); err != nil {
			return err
		}
	}
	a.stale = false
	return nil
}

// show has the directory show and the gateway receive all that is listed.
func (a *App) show() error {
	a.listing.Lock()
	defer a.listing.Unlock()
	if a.directory != nil {
		endpoints, _ := a.lists.named(a.lists.names())
		a.directory.SetEndpoints(endpoints)
	}
	return a.setSources()
}

// follow puts into force what is made over the API, until ctx ends.
func (a *App) follow(ctx context.Context) {
	again := time.NewTimer(settleTime)
	defer again.Stop()
	gather := gatherTime
	for {
		whole := false
		select {
		case <-a.woken:
			select {
			case <-time.After(gather):
			case <-ctx.Done():
				return
			}
		case <-again.C:
			whole = true
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		a.stale = a.stale || whole
		begun := time.Now()
		err := a.applyLists(ctx)
		gather = min(max(gatherTime, gatherShare*time.Since(begun)), maxGatherTime)
		a.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			a.options.Logger.Error("what was made over the API could not be put into force and is tried again", "error", err)
			again.Reset(settleTime)
		}
	}
}
