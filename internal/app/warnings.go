package app

import (
	"fmt"
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/provider"
)

// Warning is of something that may be meant.
type Warning struct {
	Text        string
	By, Pattern string // the endpoint or subscriber, and what it selects, where that is meant
	Env         event.Env
	Pos         config.Position
}

// String says what the warning is about, and the warning.
func (w Warning) String() string {
	if w.Pattern == "" {
		return w.By + ": " + w.Text
	}
	return w.By + ": " + w.Pattern + ": " + w.Text
}

// maxWarned bounds the lines in the log that one change of the lists brings.
const maxWarned = 50

// unreachable warns of a subscriber where withoutPort.
const unreachable = "no subscriber can connect, since the embedded server has no port; give nats.embedded.listen an address, such as 127.0.0.1:4222"

// withoutPort reports whether there is a server that subscribers cannot connect to.
func withoutPort(c *config.Config) bool {
	return c.NATS.UseEmbedded() && c.NATS.Embedded.Listen == ""
}

// Warnings finds the patterns that select nothing which this configuration
// receives: the source is in another environment, or in another process, or its
// provider has no such event as far as its preset knows, or a typing error. And it
// finds the subscribers that cannot connect.
func Warnings(c *config.Config) []Warning {
	presets := make(map[string]provider.Preset) // to look it up takes a while
	sources := make(map[string]warnedSource, len(c.Sources))
	for _, s := range c.Sources {
		if _, found := presets[s.Preset]; !found {
			presets[s.Preset], _ = provider.Lookup(s.Preset) // whether there is one, Check says
		}
		of := warnedSource{env: s.Env}
		if len(s.Event) == 0 {
			of.preset = presets[s.Preset]
		}
		sources[s.Name] = of
	}
	var all []Warning
	look := func(name, env string, patterns []string, path string) {
		for i, pattern := range patterns {
			if text := warningOf(sources, env, pattern); text != "" {
				all = append(all, Warning{Text: text, By: name, Pattern: pattern, Env: event.Env(env), Pos: c.Position(fmt.Sprintf("%s.events[%d]", path, i))})
			}
		}
	}
	for _, e := range c.Endpoints {
		look(e.Name, e.Env, e.Events, e.Pos.Key)
	}
	for _, s := range c.Subscribers {
		look(s.Name, s.Env, s.Events, s.Pos.Key)
		if withoutPort(c) {
			all = append(all, Warning{Text: unreachable, By: s.Name, Env: event.Env(s.Env), Pos: s.Pos})
		}
	}
	return all
}

// warnedSource is what patterns are compared with.
type warnedSource struct {
	env    string
	preset provider.Preset // by which its events are named; zero where it says so itself
}

// warningOf says why a pattern of an environment selects nothing, or "".
func warningOf(sources map[string]warnedSource, env, pattern string) string {
	name, events, _ := strings.Cut(pattern, ".")
	if name == event.System || name == "*" || name == ">" {
		return ""
	}
	source, known := sources[name]
	switch {
	case !known:
		return "events of an unknown source are selected"
	case source.env != env:
		return "events of a source in the other environment are selected; give both the same env"
	}
	if err := source.preset.CheckPattern(events); err != nil {
		return err.Error()
	}
	return ""
}

// warn logs what may be meant.
func (a *App) warn(c *config.Config) {
	all := Warnings(c)
	for _, w := range all[:min(len(all), maxWarned)] {
		if w.Pattern == "" {
			a.options.Logger.Warn(w.Text, "by", w.By, "env", w.Env)
		} else {
			a.options.Logger.Warn("a pattern selects nothing", "by", w.By, "env", w.Env, "pattern", w.Pattern, "reason", w.Text)
		}
	}
	if more := len(all) - maxWarned; more > 0 {
		a.options.Logger.Warn("there is more to be warned of", "count", more)
	}
}

// inForce is the lists of the file with what was made over the API.
func (a *App) inForce() *config.Config {
	return &config.Config{NATS: a.started.NATS,
		Sources: valid(a.managed.Sources()), Endpoints: valid(a.managed.Endpoints()), Subscribers: valid(a.managed.Subscribers())}
}

// inForceOf is inForce of endpoints and subscribers that have one of these names,
// and of the sources that they name.
func (a *App) inForceOf(names []fanout.Name) *config.Config {
	c := &config.Config{NATS: a.started.NATS}
	var patterns []string
	for _, name := range names {
		for _, e := range valid(a.managed.EndpointsNamed(name.Env, name.Name)) {
			c.Endpoints, patterns = append(c.Endpoints, e), append(patterns, e.Events...)
		}
		for _, s := range valid(a.managed.SubscribersNamed(name.Env, name.Name)) {
			c.Subscribers, patterns = append(c.Subscribers, s), append(patterns, s.Events...)
		}
	}
	looked := make(map[string]bool)
	for _, pattern := range patterns {
		source, _, _ := strings.Cut(pattern, ".")
		for _, env := range event.Envs() {
			if !looked[source] {
				c.Sources = append(c.Sources, valid(a.managed.SourcesNamed(env, source))...)
			}
		}
		looked[source] = true
	}
	return c
}

// valid are those that are in force.
func valid[T config.Source | config.Endpoint | config.Subscriber](all []managed.Listed[T]) []T {
	found := make([]T, 0, len(all))
	for _, l := range all {
		if l.Problem == nil {
			found = append(found, l.Config)
		}
	}
	return found
}
