package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
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
	sources     []ingest.Source
	endpoints   []fanout.Endpoint
	subscribers []fanout.Subscriber
	users       []bus.User
}

// assemble translates the lists in force. An error is the file's; an entry of the
// API that is at fault is left out, or not enabled where its place is to be kept.
func (a *App) assemble() (assembly, error) {
	var all assembly
	var problems []error
	for _, l := range a.managed.Sources() {
		source, err := translateListed(l, ingestSource)
		switch {
		case err == nil:
			all.sources = append(all.sources, source)
		case l.Entry == nil:
			problems = append(problems, fmt.Errorf("source %s: %w", l.Config.Name, err))
		default:
			a.tell(l.Entry, err)
		}
	}
	for _, l := range a.managed.Endpoints() {
		endpoint, err := translateListed(l, fanoutEndpoint)
		switch {
		case err == nil:
		case l.Entry == nil:
			problems = append(problems, fmt.Errorf("endpoint %s: %w", l.Config.Name, err))
			continue
		case errors.Is(err, managed.ErrTaken):
			a.tell(l.Entry, err)
			continue
		default:
			a.tell(l.Entry, err)
			endpoint = resting(l)
		}
		if l.Entry != nil {
			endpoint.ID = l.Entry.ID.String()
		}
		all.endpoints = append(all.endpoints, endpoint)
	}
	for _, l := range a.managed.Subscribers() {
		if l.Problem != nil {
			a.tell(l.Entry, l.Problem)
			continue
		}
		subscriber := fanoutSubscriber(l.Config)
		if l.Entry != nil {
			subscriber.ID, subscriber.Start.Sequence = l.Entry.ID.String(), l.Entry.Begin
		}
		all.subscribers = append(all.subscribers, subscriber)
		if l.Config.NKey != "" {
			all.users = append(all.users, busUser(l.Config))
		}
	}
	return all, errors.Join(problems...)
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

// tell logs once why an entry is not in force.
func (a *App) tell(e *managed.Entry, err error) {
	a.toldMu.Lock()
	defer a.toldMu.Unlock()
	if a.told[e.ID] == err.Error() {
		return
	}
	a.told[e.ID] = err.Error()
	a.options.Logger.Error("what was made over the API is not in force", "kind", e.Kind, "name", e.Name, event.AttrEnv, e.Env, "error", err)
}

// onManaged takes note that something was made over the API: lists show it and
// sources receive at once, and follow puts the rest into force. What is stored
// before an endpoint has its consumer is not lost for it, for it begins where it
// was made.
func (a *App) onManaged() {
	_ = a.list() // an error is of the file, and told where that is applied
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// list has the directory show and the gateway receive what is made now, of which
// nobody who is slower to read it can take anything back.
func (a *App) list() error {
	a.listing.Lock()
	defer a.listing.Unlock()
	all, err := a.assemble()
	if err != nil {
		return err
	}
	if a.directory != nil {
		a.directory.SetEndpoints(all.endpoints)
	}
	if a.ingest == nil {
		return nil
	}
	a.clampBodies(all.sources)
	return a.ingest.SetSources(all.sources)
}

// follow puts into force what is made over the API, until ctx ends.
func (a *App) follow(ctx context.Context) {
	again := time.NewTimer(settleTime)
	defer again.Stop()
	gather := gatherTime
	for {
		select {
		case <-a.changed:
			select {
			case <-time.After(gather):
			case <-ctx.Done():
				return
			}
		case <-again.C:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		begun := time.Now()
		err := a.applyLists(ctx, a.config)
		gather = min(max(gatherTime, gatherShare*time.Since(begun)), maxGatherTime)
		a.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			a.options.Logger.Error("what was made over the API could not be put into force and is tried again", "error", err)
			again.Reset(settleTime)
		}
	}
}
