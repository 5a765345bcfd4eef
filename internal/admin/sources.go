package admin

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// How the ids of sources and subscribers begin.
const (
	sourceID     = "src_"
	subscriberID = "sub_"
)

// EntryPath names a source or a subscriber.
type EntryPath struct {
	Name string `path:"name" maxLength:"64" doc:"Its name."`
}

// entryOutput is a source or a subscriber and, where it can be changed, what to
// send as If-Match.
type entryOutput[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// entries answers requests about one kind of entry: sources or subscribers.
type entries[C config.Source | config.Subscriber, W any] struct {
	*Handler
	kind   managed.Kind
	absent string
	all    func() []managed.Listed[C]
	at     func(C) (env, name string)
	wire   func(managed.Listed[C]) W
}

func (h *Handler) sourceEntries() entries[config.Source, api.Source] {
	return entries[config.Source, api.Source]{h, managed.Sources, "There is no source of that name in this environment.", h.config.Managed.Sources,
		func(c config.Source) (env, name string) { return c.Env, c.Name }, wireSource}
}

// ofCaller are those of the caller's environment, of the file where both have a
// name.
func (e entries[C, W]) ofCaller(ctx context.Context) []managed.Listed[C] {
	var found []managed.Listed[C]
	for _, l := range e.all() {
		env, _ := e.at(l.Config)
		if l.Entry != nil {
			env = string(l.Entry.Env)
		}
		if event.Env(env) == exchangeOf(ctx).key.Env {
			found = append(found, l)
		}
	}
	return found
}

func (e entries[C, W]) list(ctx context.Context, q *struct{ Page }) (*output[api.List[W]], error) {
	all := e.ofCaller(ctx)
	first := min(q.Offset, len(all))
	last := min(first+q.Limit, len(all))
	found := make([]W, 0, last-first)
	for _, l := range all[first:last] {
		found = append(found, e.wire(l))
	}
	return listed(found, last < len(all)), nil
}

func (e entries[C, W]) get(ctx context.Context, in *EntryPath) (*entryOutput[W], error) {
	for _, l := range e.ofCaller(ctx) {
		_, name := e.at(l.Config)
		if l.Entry != nil {
			name = l.Entry.Name
		}
		if name != in.Name {
			continue
		}
		out := &entryOutput[W]{Body: e.wire(l)}
		if l.Entry != nil {
			out.ETag = etag(l.Entry)
		}
		return out, nil
	}
	return nil, refuse(notFound, e.absent)
}

func (e entries[C, W]) create(ctx context.Context, body []byte) (*entryOutput[W], error) {
	spec, err := given(body)
	if err != nil {
		return nil, err
	}
	made, err := e.config.Managed.Create(ctx, e.kind, exchangeOf(ctx).key.Env, "", spec)
	if err != nil {
		return nil, err
	}
	return e.get(ctx, &EntryPath{made.Name})
}

func (e entries[C, W]) update(ctx context.Context, name, match string, body []byte, update updater) (*entryOutput[W], error) {
	patch, err := given(body)
	if err != nil {
		return nil, err
	}
	if _, err = e.changed(ctx, name, match, func(have managed.Entry) (managed.Entry, error) {
		return update(ctx, have, patch)
	}); err != nil {
		return nil, err
	}
	return e.get(ctx, &EntryPath{name})
}

func (e entries[C, W]) delete(ctx context.Context, in *struct {
	EntryPath
	Match
},
) (*struct{}, error) {
	_, err := e.changed(ctx, in.Name, in.IfMatch, func(have managed.Entry) (managed.Entry, error) {
		return have, e.config.Managed.Delete(ctx, have)
	})
	return nil, err
}

func (e entries[C, W]) changed(ctx context.Context, name, match string, act func(managed.Entry) (managed.Entry, error)) (managed.Entry, error) {
	made, err := e.edit(ctx, e.kind, name, match, act)
	if errors.Is(err, bus.ErrNotFound) {
		return made, refuse(notFound, e.absent)
	}
	return made, err
}

func wireSource(l managed.Listed[config.Source]) api.Source {
	s := api.Source{ManagedBy: "file"}
	_ = json.Unmarshal(config.EntryJSON(l.Config), &s) // has the same names and types, which a test holds
	if l.Entry != nil {
		s.Name, s.Env, s.ManagedBy, s.CreatedAt, s.UpdatedAt = l.Entry.Name, string(l.Entry.Env), "api", l.Entry.CreatedAt, l.Entry.UpdatedAt
		if l.Problem != nil {
			s.Problem = l.Problem.Error()
		}
	}
	s.ID, s.Path = wireID(sourceID, l.ID()), "/in/"+s.Name
	for _, secret := range l.Config.Secrets {
		s.MaskedSecrets = append(s.MaskedSecrets, maskedSecret(secret))
	}
	return s
}

// sourceBody is a request that says what a source shall be.
type sourceBody struct {
	Body    api.SourceSpec
	RawBody []byte
}

func (h *Handler) createSource(ctx context.Context, in *sourceBody) (*entryOutput[api.Source], error) {
	return h.sourceEntries().create(ctx, in.RawBody)
}

func (h *Handler) updateSource(ctx context.Context, in *struct {
	EntryPath
	Match
	Extent
	sourceBody
},
) (*entryOutput[api.Source], error) {
	return h.sourceEntries().update(ctx, in.Name, in.IfMatch, in.RawBody, h.updater(in.Extent))
}
