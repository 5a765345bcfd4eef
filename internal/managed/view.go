package managed

import (
	"encoding/json"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Listed is a source, an endpoint or a subscriber as it is in force, of the file
// or of the store.
type Listed[T config.Source | config.Endpoint | config.Subscriber] struct {
	Config T
	// Entry is nil for one of the file.
	Entry *Entry
	// Problem is why it is not in force although it is stored: ErrTaken where the
	// file has one of that name, an *Invalid where its rules have changed since.
	Problem error
}

// view is an entry as the configuration reads it, which takes a while.
type view struct {
	revision uint64
	config   *config.Config // with this one entry
	problem  error
}

// read returns the entry as the configuration reads it.
func (s *Store) read(e *Entry) view {
	if v, ok := s.views[e.key()]; ok && v.revision == e.Revision {
		return v
	}
	v := view{revision: e.Revision}
	v.config, v.problem = s.check(e)
	s.views[e.key()] = v
	return v
}

// check reads an entry under the file's rules. Beside an error, which is an
// *Invalid, it returns what could be read.
func (s *Store) check(e *Entry) (*config.Config, error) {
	data, err := json.Marshal(map[string]any(e.spec))
	if err != nil {
		return nil, err
	}
	one, err := s.file.Entry(string(e.Kind), data, s.config.Check)
	return one, invalid(err)
}

// Sources returns all sources, those of the file first.
func (s *Store) Sources() []Listed[config.Source] {
	return list(s, Sources, s.fileSources, nameOfSource, func(one *config.Config, e *Entry, now time.Time) config.Source {
		found := one.Sources[0]
		found.Secrets = e.withRetiring(found.Secrets, now)
		return found
	})
}

// Endpoints returns all endpoints, those of the file first. One that begins with
// the events after it was made begins with the sequence of the first of them.
func (s *Store) Endpoints() []Listed[config.Endpoint] {
	return list(s, Endpoints, s.fileEndpoints, nameOfEndpoint, func(one *config.Config, e *Entry, now time.Time) config.Endpoint {
		found := one.Endpoints[0]
		found.Secrets = e.withRetiring(found.Secrets, now)
		if e.Begin > 0 {
			found.Start = config.Start{Sequence: e.Begin}
		}
		return found
	})
}

// Subscribers returns all subscribers, those of the file first.
func (s *Store) Subscribers() []Listed[config.Subscriber] {
	return list(s, Subscribers, s.fileSubscribers, nameOfSubscriber, func(one *config.Config, e *Entry, now time.Time) config.Subscriber {
		found := one.Subscribers[0]
		for _, key := range e.withRetiring(nil, now) {
			found.OldNKeys = append(found.OldNKeys, key.Reveal())
		}
		return found
	})
}

func (s *Store) fileSources() []config.Source         { return s.file.Sources }
func (s *Store) fileEndpoints() []config.Endpoint     { return s.file.Endpoints }
func (s *Store) fileSubscribers() []config.Subscriber { return s.file.Subscribers }

func nameOfSource(c config.Source) (env, name string)         { return c.Env, c.Name }
func nameOfEndpoint(c config.Endpoint) (env, name string)     { return c.Env, c.Name }
func nameOfSubscriber(c config.Subscriber) (env, name string) { return c.Env, c.Name }

// withRetiring returns the secrets with those behind them that are valid for a
// while yet.
func (e *Entry) withRetiring(secrets []config.Secret, now time.Time) []config.Secret {
	all := append([]config.Secret(nil), secrets...)
	for _, r := range e.retiring {
		if r.Until.After(now) {
			all = append(all, r.Secret)
		}
	}
	return all
}

// list puts the file's and the store's together.
func list[T config.Source | config.Endpoint | config.Subscriber](s *Store, kind Kind, ofFile func() []T,
	nameOf func(T) (env, name string), of func(*config.Config, *Entry, time.Time) T,
) []Listed[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Listed[T]
	for _, c := range ofFile() {
		all = append(all, Listed[T]{Config: c})
	}
	now := s.now()
	for _, e := range s.all(kind) {
		l := Listed[T]{Entry: &e}
		v := s.read(&e)
		if l.Problem = v.problem; v.config != nil {
			l.Config = of(v.config, &e, now)
		}
		if l.Problem == nil && s.fileHas(&e) {
			l.Problem = ErrTaken
		}
		all = append(all, l)
	}
	return all
}

// fileHas reports whether the file has an entry of the same name.
func (s *Store) fileHas(e *Entry) bool {
	return e.Kind == Sources && has(s.file.Sources, nameOfSource, "", e.Name) ||
		e.Kind != Sources && (has(s.file.Endpoints, nameOfEndpoint, string(e.Env), e.Name) || has(s.file.Subscribers, nameOfSubscriber, string(e.Env), e.Name))
}

func has[T any](all []T, nameOf func(T) (env, name string), env, name string) bool {
	for _, c := range all {
		if e, n := nameOf(c); n == name && (env == "" || e == env) {
			return true
		}
	}
	return false
}

// Get returns an entry of the store. One of the file is ErrFile, none at all
// bus.ErrNotFound.
func (s *Store) Get(kind Kind, env event.Env, name string) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := Entry{Kind: kind, Env: env, Name: name}
	found, stored := s.entries[of.key()]
	switch {
	case stored && found.Kind == kind && found.Env == env:
		return found, nil
	case kind == Sources && has(s.file.Sources, nameOfSource, string(env), name),
		kind == Endpoints && has(s.file.Endpoints, nameOfEndpoint, string(env), name),
		kind == Subscribers && has(s.file.Subscribers, nameOfSubscriber, string(env), name):
		return Entry{}, ErrFile
	}
	return Entry{}, bus.ErrNotFound
}
