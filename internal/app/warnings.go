package app

import (
	"fmt"
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

// Warning is of something that may be meant.
type Warning struct {
	Text        string
	By, Pattern string // the endpoint or subscriber, and what it selects
	Pos         config.Position
}

// Warnings finds the patterns that select nothing which this configuration
// receives: the source is in another environment, or in another process, or its
// provider has no such event as far as its preset knows, or a typing error.
func Warnings(c *config.Config) []Warning {
	sources := make(map[string]warnedSource, len(c.Sources))
	for _, s := range c.Sources {
		sources[s.Name] = newWarnedSource(s)
	}
	var all []Warning
	look := func(name, env string, patterns []string, path string) {
		for i, pattern := range patterns {
			if text := warningOf(sources, env, pattern); text != "" {
				all = append(all, Warning{Text: text, By: name, Pattern: pattern, Pos: c.Position(fmt.Sprintf("%s.events[%d]", path, i))})
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

func newWarnedSource(s config.Source) warnedSource {
	of := warnedSource{env: s.Env}
	if preset, err := provider.Lookup(s.Preset); err == nil && len(s.Event) == 0 {
		of.preset = preset
	}
	return of
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
		return "events of a source that this configuration does not have are selected"
	case source.env != env:
		return "events of a source in the other environment are selected; give both the same env"
	}
	if err := source.preset.CheckPattern(events); err != nil {
		return err.Error()
	}
	return ""
}
