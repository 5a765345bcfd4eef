package managed

import (
	"context"
	"reflect"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// Replace makes an entry that Get returned what spec says, and what spec leaves out
// the default again. Name, environment and where it began stay, and so do its
// secrets where spec has none. The errors are those of Update.
func (s *Store) Replace(ctx context.Context, e Entry, spec map[string]any) (Entry, error) {
	if err := e.keepsName(spec); err != nil {
		return Entry{}, err
	}
	return s.replace(ctx, e.replacedBy(spec), spec)
}

// replacedBy is the entry with all of its keys replaced but for those that stay.
func (e Entry) replacedBy(spec map[string]any) Entry {
	before, err := e.scheme()
	old := e
	e.spec = merge(nil, spec)
	for _, key := range []string{"name", "env", "start"} {
		delete(e.spec, key)
		if value, had := old.spec[key]; had {
			e.spec[key] = value
		}
	}
	if e.Kind == Subscribers && e.spec["nkey"] == nil { // one that was made here, perhaps
		for _, key := range []string{"nkey", "old_nkeys"} {
			if value, had := old.spec[key]; had {
				e.spec[key] = value
			}
		}
	}
	switch {
	case len(e.secrets()) == 0:
		delete(e.spec, "secrets")
		if value, had := old.spec["secrets"]; had {
			e.spec["secrets"] = value
		}
		if err == nil && e.Kind == Endpoints {
			e.restyle(before)
		}
	case !reflect.DeepEqual(e.spec["secrets"], old.spec["secrets"]):
		e.retiring = nil // whoever names the secrets names all that are valid
	}
	return e
}

// Spec is an entry as the file would have it.
type Spec struct {
	Name string
	// Keys are those that were given, with "***" in place of secrets, and Masked
	// where those are, such as auth.bearer or secrets[0].
	Keys   map[string]any
	Masked []string
}

// Specs returns up to limit entries of the store by name, those after a name.
func (s *Store) Specs(kind Kind, env event.Env, after string, limit int) (found []Spec, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all(kind) {
		if e.Env != env || e.Name <= after {
			continue
		}
		if len(found) == limit {
			return found, true
		}
		spec := Spec{Name: e.Name}
		spec.Keys, spec.Masked = config.MaskSpec(string(kind), e.spec)
		found = append(found, spec)
	}
	return found, false
}
