package managed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

// markerTTL is how long the bucket remembers that an entry was deleted.
const markerTTL = 24 * time.Hour

// Create makes an entry of spec, which has the keys that the file would have; the
// environment is env. It returns when the entry is as durable as the bus
// promises. The errors are *Invalid, ErrTaken and ErrMany, or of the bus; an
// endpoint without secrets that needs one has one generated, which First tells.
func (s *Store) Create(ctx context.Context, kind Kind, env event.Env, face string, spec map[string]any) (Entry, error) {
	now := s.now().UTC().Truncate(time.Millisecond)
	id, err := uuid.NewV7()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: kind, Env: env, ID: id, CreatedAt: now, UpdatedAt: now, Face: face, spec: merge(nil, spec)}
	if err := e.own(env); err != nil {
		return Entry{}, err
	}
	if err := s.resolve(ctx, &e, spec); err != nil {
		return Entry{}, err
	}
	if err := s.examine(&e); err != nil {
		return Entry{}, err
	}
	if err := s.complete(ctx, &e, spec); err != nil {
		return Entry{}, err
	}
	if err := s.begin(ctx, &e); err != nil {
		return Entry{}, err
	}
	return s.write(ctx, e, func(key string, sealed []byte) (uint64, error) { return s.create(ctx, key, sealed) })
}

// create stores something new.
func (s *Store) create(ctx context.Context, key string, sealed []byte) (uint64, error) {
	revision, err := s.bucket.Create(ctx, key, sealed)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, ErrTaken
	}
	return revision, err
}

// replaced stores something in place of a revision.
func (s *Store) replaced(ctx context.Context, key string, sealed []byte, of uint64) (uint64, error) {
	revision, err := s.bucket.Update(ctx, key, sealed, of)
	if bus.Raced(err) {
		return 0, ErrChanged
	}
	return revision, err
}

// Examine finds what would keep Create from making an entry, as far as it can be
// told before. Its errors are those of Create.
func (s *Store) Examine(kind Kind, env event.Env, spec map[string]any) error {
	e := Entry{Kind: kind, Env: env, spec: merge(nil, spec)}
	if err := e.own(env); err != nil {
		return err
	}
	return s.examine(&e)
}

// own takes the entry's name from its spec, and puts its environment there.
func (e *Entry) own(env event.Env) error {
	if given, ok := e.spec["env"]; ok && given != nil && given != string(env) {
		return &Invalid{Fields: []Field{{"body.env", "is another environment than that of the API key, " + string(env)}}}
	}
	e.spec["env"] = string(env)
	if url, ok := e.spec["url"].(string); ok && e.Kind == Endpoints && e.spec["name"] == nil {
		e.spec["name"] = nameFor(url)
	}
	e.Name, _ = e.spec["name"].(string)
	return nil
}

// examine finds what is wrong with a new entry before anything is made for it.
func (s *Store) examine(e *Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.check(e); err != nil {
		return err
	}
	switch _, taken := s.entries[e.key()]; {
	case taken, s.fileHas(e):
		return ErrTaken
	case len(s.entries) >= maxEntries:
		return ErrMany
	}
	return nil
}

// complete looks at what was set, further than the configuration does, and
// generates a secret where one is needed.
func (s *Store) complete(ctx context.Context, e *Entry, set map[string]any) error {
	if _, given := set["events"]; given && e.Kind != Sources {
		if err := s.checkNames(e, s.preset); err != nil {
			return err
		}
	}
	if e.Kind != Endpoints {
		return nil
	}
	return s.giveSecret(e)
}

// resolve refuses an address that is not allowed, with the address in the error.
// What else may be wrong with a URL is for the configuration to say.
func (s *Store) resolve(ctx context.Context, e *Entry, set map[string]any) error {
	url, _ := set["url"].(string)
	if e.Kind != Endpoints || url == "" {
		return nil
	}
	if err := s.config.Resolve(ctx, url); errors.Is(err, deliver.ErrAddressRefused) {
		return &Invalid{Fields: []Field{{"body.url", err.Error()}}}
	}
	return nil
}

// preset is the one that names the events of a source of the environment, or empty.
func (s *Store) preset(env event.Env, source string) string {
	for _, l := range s.SourcesNamed(env, source) {
		if l.Problem == nil && l.Config.Env == string(env) {
			return namingPreset(l.Config)
		}
	}
	return ""
}

// namingPreset is the preset by which a source's events are named, empty where the
// source says so itself.
func namingPreset(c config.Source) string {
	if len(c.Event) > 0 {
		return ""
	}
	return c.Preset
}

// checkNames refuses the names of events that a source's provider does not have,
// and wildcards that select none that it has. presetOf finds the preset of a source.
func (s *Store) checkNames(e *Entry, presetOf func(env event.Env, source string) string) error {
	patterns, _ := e.spec["events"].([]any)
	var wrong []Field
	for i, item := range patterns {
		pattern, _ := item.(string)
		source, name, _ := strings.Cut(pattern, ".")
		preset, err := provider.Lookup(presetOf(e.Env, source))
		if err != nil {
			continue
		}
		if err := preset.CheckPattern(name); err != nil {
			wrong = append(wrong, Field{fmt.Sprintf("body.events[%d]", i), err.Error()})
		}
	}
	if wrong != nil {
		return &Invalid{Fields: wrong}
	}
	return nil
}

// begin finds where what begins now does begin: what is stored from now on is
// for it, whoever makes its consumer whenever.
func (s *Store) begin(ctx context.Context, e *Entry) error {
	if start, given := e.spec["start"]; e.Kind == Sources || given && start != nil && start != "now" {
		return nil
	}
	stream, err := s.config.Bus.JetStream().Stream(ctx, bus.StreamName(e.Env))
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.StreamName(e.Env), err)
	}
	e.Begin = stream.CachedInfo().State.LastSeq + 1
	return nil
}

// Update changes what patch names of an entry that Get returned, as RFC 7396
// has it: null takes a key back to its default. Name and environment stay. The
// errors are *Invalid and ErrChanged, or of the bus.
func (s *Store) Update(ctx context.Context, e Entry, patch map[string]any) (Entry, error) {
	if err := e.keepsName(patch); err != nil {
		return Entry{}, err
	}
	if start, given := patch["start"]; given && start != e.spec["start"] {
		return Entry{}, &Invalid{Fields: []Field{{"body.start", "is where a new one begins and cannot be changed; replay what it shall get again"}}}
	}
	before, err := e.scheme()
	e.spec = merge(e.spec, patch)
	if secrets, given := patch["secrets"]; given && secrets != nil {
		e.retiring = nil // whoever names the secrets names all that are valid
	} else if _, given := patch["nkey"]; given && e.Kind == Subscribers {
		e.retiring = nil
	} else if err == nil && e.Kind == Endpoints {
		e.restyle(before)
	}
	return s.replace(ctx, e, patch)
}

// keepsName refuses a change of what an entry is known by.
func (e *Entry) keepsName(change map[string]any) error {
	for _, key := range []string{"name", "env"} {
		if given, ok := change[key]; ok && given != e.spec[key] {
			return &Invalid{Fields: []Field{{"body." + key, "cannot be changed; make a new entry"}}}
		}
	}
	return nil
}

// replace stores an entry in place of the one that Get returned, and that patch
// has changed.
func (s *Store) replace(ctx context.Context, e Entry, patch map[string]any) (Entry, error) {
	if err := s.resolve(ctx, &e, patch); err != nil {
		return Entry{}, err
	}
	s.mu.Lock()
	_, err := s.check(&e)
	s.mu.Unlock()
	if err != nil {
		return Entry{}, err
	}
	if err := s.complete(ctx, &e, patch); err != nil {
		return Entry{}, err
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	e.UpdatedAt = now
	e.forgetRetired(now)
	return s.write(ctx, e, func(key string, sealed []byte) (uint64, error) { return s.replaced(ctx, key, sealed, e.Revision) })
}

// write encrypts an entry, stores it and takes it over.
func (s *Store) write(ctx context.Context, e Entry, store func(key string, sealed []byte) (uint64, error)) (Entry, error) {
	data, err := e.encode()
	if err != nil {
		return Entry{}, err
	}
	sealed, err := s.config.Vault.Encrypt(ctx, data, place(e.key()))
	if err != nil {
		return Entry{}, fmt.Errorf("encrypt %s: %w", e, err)
	}
	revision, err := store(e.key(), sealed)
	if err != nil {
		return Entry{}, errors.Join(fmt.Errorf("store %s: %w", e, err), s.refresh(ctx, e.key(), err))
	}
	e.Revision = revision
	s.put(e.key(), e, revision, false)
	s.config.Changed(e) // also where the watch was faster, which may not have told of it yet
	if err := s.config.Bus.SyncBucket(ctx, bus.Managed); err != nil {
		return Entry{}, fmt.Errorf("keep %s: %w", e, err)
	}
	return e, nil
}

// refresh reads what another replica was faster to write.
func (s *Store) refresh(ctx context.Context, key string, why error) error {
	if !errors.Is(why, ErrChanged) && !errors.Is(why, ErrTaken) {
		return nil
	}
	found, err := s.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil // the watch tells that it is deleted
	}
	if err != nil {
		return err
	}
	s.note(found)
	return nil
}

// Delete removes an entry that Get returned. What waited for it is removed as
// well. The error is ErrChanged, or of the bus.
func (s *Store) Delete(ctx context.Context, e Entry) error {
	err := s.bucket.Purge(ctx, e.key(), jetstream.LastRevision(e.Revision), jetstream.PurgeTTL(markerTTL))
	if bus.Raced(err) {
		return errors.Join(ErrChanged, s.refresh(ctx, e.key(), ErrChanged))
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", e, err)
	}
	s.put(e.key(), Entry{}, e.Revision+1, true) // the watch tells its real revision, which is that or more
	s.config.Changed(e)
	if err := s.config.Bus.SyncBucket(ctx, bus.Managed); err != nil {
		return fmt.Errorf("keep that %s is deleted: %w", e, err)
	}
	return nil
}

// merge is RFC 7396: what patch has over what target has, without sharing either.
// Null stays out.
func merge(target, patch map[string]any) map[string]any {
	merged := maps.Clone(target)
	if merged == nil {
		merged = make(map[string]any, len(patch))
	}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(merged, key)
		case map[string]any:
			below, _ := merged[key].(map[string]any)
			merged[key] = merge(below, value)
		default:
			merged[key] = value
		}
	}
	return merged
}
