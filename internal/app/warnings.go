package app

import (
	"fmt"
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/provider"
)

// Warning is of something that may be meant.
type Warning struct {
	Text        string
	By, Pattern string // the endpoint or subscriber, and what it selects
	Env         event.Env
	Pos         config.Position
}

// maxWarned bounds the lines in the log that one change of the lists brings.
const maxWarned = 50

// Warnings finds the patterns that select nothing which this configuration
// receives: the source is in another environment, or in another process, or its
// provider has no such event as far as its preset knows, or a typing error.
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

// warn logs what there is to be warned of in the lists in force, of the file and
// of the API together, and was not before.
func (a *App) warn() {
	inForce := new(config.Config)
	inForce.Sources = valid(a.managed.Sources())
	inForce.Endpoints = valid(a.managed.Endpoints())
	inForce.Subscribers = valid(a.managed.Subscribers())
	warned := make(map[Warning]bool)
	var news []Warning
	for _, w := range Warnings(inForce) {
		w.Pos = config.Position{} // moves with the file, and is not news
		if !a.warned[w] && !warned[w] {
			news = append(news, w)
		}
		warned[w] = true
	}
	for _, w := range news[:min(len(news), maxWarned)] {
		a.options.Logger.Warn("a pattern selects nothing", "by", w.By, event.AttrEnv, w.Env, "pattern", w.Pattern, "reason", w.Text)
	}
	if more := len(news) - maxWarned; more > 0 {
		a.options.Logger.Warn("more patterns select nothing", "count", more)
	}
	a.warned = warned
}

func valid[T config.Source | config.Endpoint | config.Subscriber](all []managed.Listed[T]) []T {
	found := make([]T, 0, len(all))
	for _, l := range all {
		if l.Problem == nil {
			found = append(found, l.Config)
		}
	}
	return found
}
