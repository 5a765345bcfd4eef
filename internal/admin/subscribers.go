package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// subscriberEntries shows nothing that only the server can tell: get adds that.
func (h *Handler) subscriberEntries() entries[config.Subscriber, api.Subscriber] {
	return entries[config.Subscriber, api.Subscriber]{h, managed.Subscribers, "There is no subscriber of that name in this environment.", h.config.Managed.Subscribers,
		func(c config.Subscriber) (env, name string) { return c.Env, c.Name }, h.wireSubscriber}
}

func (h *Handler) wireSubscriber(l managed.Listed[config.Subscriber]) api.Subscriber {
	c := l.Config
	s := api.Subscriber{Name: c.Name, ID: wireID(subscriberID, l.ID()), Env: c.Env, Events: c.Events, NKey: c.NKey, OldNKeys: c.OldNKeys,
		AckWaitMS: c.AckWait.Milliseconds(), MaxDeliver: c.MaxDeliver, ManagedBy: "file"}
	if c.AllEvents {
		s.Events = []string{string(event.AllEvents)}
	}
	if l.Entry != nil {
		s.Name, s.Env, s.ManagedBy, s.CreatedAt, s.UpdatedAt = l.Entry.Name, string(l.Entry.Env), "api", l.Entry.CreatedAt, l.Entry.UpdatedAt
		s.OldUntil = l.Entry.Retires(h.now())
		if l.Problem != nil {
			s.Problem = l.Problem.Error()
		}
	}
	if s.Events == nil {
		s.Events = []string{}
	}
	s.Stream, s.URL = bus.StreamName(event.Env(s.Env)), h.config.Bus.URL()
	s.InboxPrefix, s.Publish, s.Subscribe = bus.InboxPrefix(s.Name), bus.PublishSubjects(event.Env(s.Env), s.Name), []string{bus.InboxPrefix(s.Name) + ".>"}
	return s
}

// subscriberBody is a request that says what a subscriber shall be.
type subscriberBody struct {
	Body    api.SubscriberSpec
	RawBody []byte
}

func (h *Handler) getSubscriber(ctx context.Context, in *EntryPath) (*entryOutput[api.Subscriber], error) {
	return h.shownSubscriber(ctx, in.Name, nil)
}

// shownSubscriber is a subscriber with what it connects with. seed is that of a key
// that has just been made.
func (h *Handler) shownSubscriber(ctx context.Context, name string, seed []byte) (*entryOutput[api.Subscriber], error) {
	out, err := h.subscriberEntries().get(ctx, &EntryPath{name})
	if err != nil {
		return nil, err
	}
	s := &out.Body
	s.Account = h.config.Bus.Account()
	if s.NKey != "" {
		if s.JWT, err = h.config.Bus.UserJWT(bus.User{Name: s.Name, Env: event.Env(s.Env)}, s.NKey); err != nil {
			return nil, err
		}
	}
	if seed == nil {
		return out, nil
	}
	s.Seed = string(seed)
	if s.JWT != "" {
		s.Creds, err = bus.Creds(s.JWT, seed)
	}
	return out, err
}

func (h *Handler) createSubscriber(ctx context.Context, in *subscriberBody) (*entryOutput[api.Subscriber], error) {
	spec, err := given(in.RawBody)
	if err != nil {
		return nil, err
	}
	key, seed, err := h.chooseNKey(in.Body.NKey, in.Body.Name)
	if err != nil {
		return nil, err
	}
	spec["nkey"] = key
	made, err := h.config.Managed.Create(ctx, managed.Subscribers, exchangeOf(ctx).key.Env, "", spec)
	if err != nil {
		return nil, err
	}
	return h.shownSubscriber(ctx, made.Name, seed)
}

// chooseNKey makes a key where none is given. One that is given must be nobody
// else's.
func (h *Handler) chooseNKey(key, name string) (public string, seed []byte, err error) {
	if key == "" {
		return bus.NewNKey()
	}
	for _, l := range h.config.Managed.Subscribers() {
		if l.Config.Name != name && slices.Contains(append([]string{l.Config.NKey}, l.Config.OldNKeys...), key) {
			return "", nil, misplaced("body.nkey", "is another subscriber's; each needs a key of its own")
		}
	}
	return key, nil, nil
}

func (h *Handler) updateSubscriber(ctx context.Context, in *struct {
	EntryPath
	Match
	Extent
	subscriberBody
},
) (*entryOutput[api.Subscriber], error) {
	if in.Body.NKey != "" {
		if _, _, err := h.chooseNKey(in.Body.NKey, in.Name); err != nil {
			return nil, err
		}
	}
	if _, err := h.subscriberEntries().update(ctx, in.Name, in.IfMatch, in.RawBody, h.updater(in.Extent)); err != nil {
		return nil, err
	}
	return h.shownSubscriber(ctx, in.Name, nil)
}

func (h *Handler) rotateNKey(ctx context.Context, in *struct {
	EntryPath
	Match
	Body *api.RotateNKey
},
) (*entryOutput[api.Subscriber], error) {
	var how api.RotateNKey
	if in.Body != nil {
		how = *in.Body
	}
	overlap := defaultOverlap
	if how.Overlap != "" {
		var err error
		if overlap, err = time.ParseDuration(how.Overlap); err != nil {
			return nil, misplaced("body.overlap", "is not a duration such as 24h or 0s")
		}
	}
	key, seed, err := h.chooseNKey(how.NKey, in.Name)
	if err != nil {
		return nil, err
	}
	if _, err := h.subscriberEntries().changed(ctx, in.Name, in.IfMatch, func(have managed.Entry) (managed.Entry, error) {
		return h.config.Managed.RotateNKey(ctx, have, key, overlap)
	}); err != nil {
		return nil, err
	}
	return h.shownSubscriber(ctx, in.Name, seed)
}

// demandReceiver refuses the name of what is neither an endpoint nor a subscriber.
func (h *Handler) demandReceiver(ctx context.Context, name string) error {
	err := h.config.Directory.HasSubscriber(ctx, exchangeOf(ctx).key.Env, name)
	if errors.Is(err, bus.ErrNotFound) {
		return h.demandEndpoint(ctx, name)
	}
	return err
}
