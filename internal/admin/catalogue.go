package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

const (
	// anyEvent is the key of the message that any event is.
	anyEvent = "event"
	// maxNames bounds the names that are known of a source, and maxSelected those
	// that are listed of an endpoint.
	maxNames    = 500
	maxSelected = 100
)

// catalogue is the events of an environment by name, as far as names are known:
// from presets, and from patterns that have one in full.
type catalogue struct {
	env     event.Env
	sources []*namedSource
}

// namedSource is a source and the names of its events.
type namedSource struct {
	name, title string
	names       []string
	closed      bool // there are no others
	payload     *reference
}

func newCatalogue(env event.Env, sources []config.Source) *catalogue {
	c := &catalogue{env: env}
	for _, s := range sources {
		of := &namedSource{name: s.Name, title: s.Name}
		if preset, err := provider.Lookup(s.Preset); err == nil {
			of.title = s.Name + " (" + preset.Title + ")"
			if len(s.Event) == 0 { // else the preset's names are not those that are read
				of.names, of.closed = preset.Catalogue, preset.EventUnsigned
			}
		}
		c.sources = append(c.sources, of)
	}
	own := &namedSource{name: event.System, title: "jethook", closed: true, payload: new(refer("components/schemas", "notice"))}
	for _, kind := range append(fanout.NoticeTypes(), changedType) {
		own.names = append(own.names, strings.TrimPrefix(kind, event.System+"."))
	}
	c.sources = append(c.sources, own)
	return c
}

// learn takes names from patterns that have no wildcard.
func (c *catalogue) learn(patterns []string) {
	for _, p := range patterns {
		source, name, _ := strings.Cut(p, ".")
		for _, s := range c.sources {
			if s.name == source && !s.closed && !wild(name) && !strings.ContainsAny(name, "{}") && len(s.names) < maxNames && !slices.Contains(s.names, name) {
				s.names = append(slices.Clip(s.names), name)
			}
		}
	}
}

func wild(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "."), func(token string) bool { return token == "*" || token == ">" })
}

// key is that of a source's event among messages and channels, or of any event of
// the source where name is empty. A key has letters, digits, dots, - and _.
func (s *namedSource) key(name string) string {
	key := []byte(anyEvent + "." + s.name)
	if name != "" {
		key = append(key, '.')
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			key = append(key, c)
		default:
			key = append(key, "_x"+string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])...)
		}
	}
	return string(key)
}

// typeOf is the event's ce-type.
func (s *namedSource) typeOf(name string) string {
	if s.name == event.System {
		return event.System + "." + name
	}
	return name
}

// selected are the keys of the messages that the patterns select. Where they select
// all of a source, or many, it is one for all of its events. system says that
// wildcards select jethook's own events too, as they do on the bus.
func (c *catalogue) selected(patterns []event.Pattern, system bool) []string {
	keys := map[string]bool{}
	whole := map[string]bool{} // the same, for all events of a source
	for _, p := range patterns {
		source, rest, _ := strings.Cut(string(p), ".")
		if p == event.AllEvents || source == "*" && rest == ">" {
			return []string{anyEvent}
		}
		for _, s := range c.sources {
			if source != s.name && (source != "*" || s.name == event.System && !system) {
				continue
			}
			matched := false
			for _, name := range s.names {
				if rest != ">" && p.Covers(event.Pattern(s.name+"."+name)) {
					keys[s.key(name)], matched = true, true
				}
			}
			if rest == ">" || !s.closed && (wild(rest) || !matched) {
				keys[s.key("")] = true
			}
			whole[s.key("")] = whole[s.key("")] || keys[s.key("")] || matched
		}
	}
	if len(keys) > maxSelected {
		keys = whole
		maps.DeleteFunc(keys, func(_ string, selected bool) bool { return !selected })
	}
	return slices.Sorted(maps.Keys(keys))
}
