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

// shape says how a list is made of the file's entries and of the store's.
type shape[T config.Source | config.Endpoint | config.Subscriber] struct {
	kind   Kind
	ofFile func(*config.Config) []T
	nameOf func(T) (env, name string)
	// of is one of the store, of a configuration that has it alone.
	of func(one *config.Config, e *Entry, now time.Time) T
}

var sources = shape[config.Source]{
	kind:   Sources,
	ofFile: func(file *config.Config) []config.Source { return file.Sources },
	nameOf: func(c config.Source) (env, name string) { return c.Env, c.Name },
	of: func(one *config.Config, e *Entry, now time.Time) config.Source {
		found := one.Sources[0]
		found.Secrets = e.withRetiring(found.Secrets, now)
		return found
	},
}

var endpoints = shape[config.Endpoint]{
	kind:   Endpoints,
	ofFile: func(file *config.Config) []config.Endpoint { return file.Endpoints },
	nameOf: func(c config.Endpoint) (env, name string) { return c.Env, c.Name },
	of: func(one *config.Config, e *Entry, now time.Time) config.Endpoint {
		found := one.Endpoints[0]
		found.Secrets = e.withRetiring(found.Secrets, now)
		if e.Begin > 0 {
			found.Start = config.Start{Sequence: e.Begin}
		}
		return found
	},
}

var subscribers = shape[config.Subscriber]{
	kind:   Subscribers,
	ofFile: func(file *config.Config) []config.Subscriber { return file.Subscribers },
	nameOf: func(c config.Subscriber) (env, name string) { return c.Env, c.Name },
	of: func(one *config.Config, e *Entry, now time.Time) config.Subscriber {
		found := one.Subscribers[0]
		for _, key := range e.withRetiring(nil, now) {
			found.OldNKeys = append(found.OldNKeys, key.Reveal())
		}
		return found
	},
}

// Sources returns all sources, those of the file first.
func (s *Store) Sources() []Listed[config.Source] { return list(s, sources) }

// Endpoints returns all endpoints, those of the file first. One that begins with
// the events after it was made begins with the sequence of the first of them.
func (s *Store) Endpoints() []Listed[config.Endpoint] { return list(s, endpoints) }

// Subscribers returns all subscribers, those of the file first.
func (s *Store) Subscribers() []Listed[config.Subscriber] { return list(s, subscribers) }

// SourcesNamed returns what Sources has of a name: at most one of the file and one
// of the store, which takes no longer where there are many others.
func (s *Store) SourcesNamed(env event.Env, name string) []Listed[config.Source] {
	return listNamed(s, sources, env, name)
}

// EndpointsNamed returns what Endpoints has of a name, like SourcesNamed.
func (s *Store) EndpointsNamed(env event.Env, name string) []Listed[config.Endpoint] {
	return listNamed(s, endpoints, env, name)
}

// SubscribersNamed returns what Subscribers has of a name, like SourcesNamed.
func (s *Store) SubscribersNamed(env event.Env, name string) []Listed[config.Subscriber] {
	return listNamed(s, subscribers, env, name)
}

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
func list[T config.Source | config.Endpoint | config.Subscriber](s *Store, of shape[T]) []Listed[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Listed[T]
	for _, c := range of.ofFile(s.file) {
		all = append(all, Listed[T]{Config: c})
	}
	for _, e := range s.all(of.kind) {
		all = append(all, listed(s, of, &e))
	}
	return all
}

// listNamed is list for one name.
func listNamed[T config.Source | config.Endpoint | config.Subscriber](s *Store, of shape[T], env event.Env, name string) []Listed[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Listed[T]
	e := Entry{Kind: of.kind, Env: env, Name: name}
	if found, has := s.filed[e.key()]; has && found.kind == of.kind {
		all = append(all, Listed[T]{Config: of.ofFile(s.file)[found.index]})
	}
	if stored, has := s.entries[e.key()]; has && stored.Kind == of.kind {
		all = append(all, listed(s, of, &stored))
	}
	return all
}

// listed is an entry as it is in force, or why it is not, with mu held.
func listed[T config.Source | config.Endpoint | config.Subscriber](s *Store, of shape[T], e *Entry) Listed[T] {
	l := Listed[T]{Entry: e}
	v := s.read(e)
	if l.Problem = v.problem; v.config != nil {
		l.Config = of.of(v.config, e, s.now())
	}
	if l.Problem == nil && s.fileHas(e) {
		l.Problem = ErrTaken
	}
	return l
}

// filed is the place of an entry of the file in its list.
type filed struct {
	kind  Kind
	env   string
	index int
}

// index finds the entries of a file by their keys.
func index(file *config.Config) map[string]filed {
	found := make(map[string]filed, len(file.Sources)+len(file.Endpoints)+len(file.Subscribers))
	indexList(found, file, sources)
	indexList(found, file, endpoints)
	indexList(found, file, subscribers)
	return found
}

func indexList[T config.Source | config.Endpoint | config.Subscriber](found map[string]filed, file *config.Config, of shape[T]) {
	for i, c := range of.ofFile(file) {
		env, name := of.nameOf(c)
		e := Entry{Kind: of.kind, Env: event.Env(env), Name: name}
		found[e.key()] = filed{of.kind, env, i}
	}
}

// fileHas reports whether the file has an entry of the same name.
func (s *Store) fileHas(e *Entry) bool {
	_, has := s.filed[e.key()]
	return has
}

// ofFile returns the place of the file's entry of the same kind, environment and
// name.
func (s *Store) ofFile(e *Entry) (at filed, has bool) {
	at, has = s.filed[e.key()]
	return at, has && at.kind == e.Kind && at.env == string(e.Env)
}

// Get returns an entry of the store. One of the file is ErrFile, none at all
// bus.ErrNotFound.
func (s *Store) Get(kind Kind, env event.Env, name string) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := Entry{Kind: kind, Env: env, Name: name}
	found, stored := s.entries[of.key()]
	if stored && found.Kind == kind && found.Env == env {
		return found, nil
	}
	if _, has := s.ofFile(&of); has {
		return Entry{}, ErrFile
	}
	return Entry{}, bus.ErrNotFound
}
