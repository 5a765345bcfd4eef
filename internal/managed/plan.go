package managed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// Kinds are the kinds that a configuration file has, in the order in which they can
// be made: the sources are what the others name.
var Kinds = []Kind{Sources, Endpoints, Subscribers}

// Document is what the entries of an environment shall be, each with the keys that a
// file would have. A kind that it does not have is left as it is.
type Document map[Kind][]map[string]any

// Action is what it takes to have an entry as a document says.
type Action string

// The actions.
const (
	Make     Action = "create"
	Change   Action = "update"
	Remove   Action = "delete"
	Keep     Action = "unchanged"
	Leave    Action = "left"     // the document does not have it
	Conflict Action = "conflict" // it is the file's, which says something else
)

// Planned is one entry and what is to be done with it.
type Planned struct {
	Action Action
	Kind   Kind
	Name   string
	OfFile bool
	// Revision is that of the entry of the store, zero where there is none.
	Revision    uint64
	Differences []config.Difference
}

// Bounds of what a plan says and does at once.
const (
	maxPlanFields = 50 // what is wrong
	maxResolving  = 16 // addresses that are looked up at once
)

// planner makes a plan for one document.
type planner struct {
	*Store
	env     event.Env
	planned []Planned
	wrong   []Field
	taken   map[string]bool   // the keys of the document's entries so far
	presets map[string]string // of the document's sources
	created int
	urls    []placedURL
}

// placedURL is a URL that is new, and the place of its entry in the document.
type placedURL struct{ at, url string }

// Plan says what it takes to have the entries of env as the document says, and
// changes nothing. What else there is of a kind that the document has is left, or,
// with prune, removed where it is not the file's. The error is an *Invalid, whose
// fields are such as body.endpoints[2].url, for everything that would be refused,
// or ErrMany.
func (s *Store) Plan(ctx context.Context, env event.Env, of Document, prune bool) ([]Planned, error) {
	p := &planner{Store: s, env: env, taken: make(map[string]bool), presets: make(map[string]string)}
	for _, kind := range Kinds {
		first := len(p.planned)
		for i, spec := range of[kind] {
			at := fmt.Sprintf("body.%s[%d]", kind, i)
			p.note(at, p.plan(kind, spec, at))
		}
		if of[kind] != nil {
			p.rest(kind, p.planned[first:], prune)
		}
	}
	if err := p.resolve(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	many := p.created > 0 && len(s.entries)+p.created > maxEntries
	s.mu.Unlock()
	switch {
	case len(p.wrong) > 0:
		return nil, &Invalid{Fields: p.wrong[:min(len(p.wrong), maxPlanFields)]}
	case many:
		return nil, ErrMany
	}
	return p.planned, nil
}

// note keeps what is wrong with the entry at a place of the document.
func (p *planner) note(at string, err error) {
	var wrong *Invalid
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		for _, f := range wrong.Fields {
			p.wrong = append(p.wrong, Field{at + strings.TrimPrefix(f.Name, "body"), f.Message})
		}
	case errors.Is(err, ErrTaken):
		p.wrong = append(p.wrong, Field{at + ".name", "is taken: endpoints and subscribers share one set of names in each environment, sources one over both"})
	default:
		p.wrong = append(p.wrong, Field{at, err.Error()})
	}
}

// plan plans one entry of the document.
func (p *planner) plan(kind Kind, spec map[string]any, at string) error {
	e := Entry{Kind: kind, Env: p.env, spec: merge(nil, spec)}
	if err := e.own(p.env); err != nil {
		return err
	}
	if p.taken[e.key()] {
		return ErrTaken
	}
	p.taken[e.key()] = true
	planned, err := p.compare(&e, spec)
	if err != nil {
		return err
	}
	p.planned = append(p.planned, planned)
	if planned.Action != Make && planned.Action != Change {
		return nil
	}
	for _, d := range planned.Differences {
		if url, ok := d.To.(string); ok && d.Key == "url" {
			p.urls = append(p.urls, placedURL{at, url})
		}
	}
	return p.checkNames(&e, p.presetOf)
}

// presetOf is preset as it will be with the document.
func (p *planner) presetOf(env event.Env, source string) string {
	if of, has := p.presets[source]; has {
		return of
	}
	return p.preset(env, source)
}

// compare finds what differs between an entry of the document and what there is.
func (p *planner) compare(e *Entry, spec map[string]any) (Planned, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	planned := Planned{Action: Make, Kind: e.Kind, Name: e.Name}
	var before any
	switch stored, is := p.entries[e.key()]; {
	case p.fileEntry(e) != nil: // which is in force, be there one in the store or not
		planned.Action, planned.OfFile = Conflict, true
		before = p.fileEntry(e)
	case is && stored.Kind == e.Kind && stored.Env == e.Env:
		planned.Action, planned.Revision = Change, stored.Revision
		if v := p.read(&stored); v.config != nil {
			before = entryOf(v.config, e.Kind)
		}
		*e = stored.replacedBy(spec)
	case is, p.fileHas(e):
		return planned, ErrTaken
	default:
		p.created++
	}
	one, err := p.check(e)
	if err != nil {
		return planned, err
	}
	after := entryOf(one, e.Kind)
	planned.Differences = config.Diff(before, after)
	if planned.OfFile {
		planned.Differences = withoutKept(planned.Differences, len(e.secrets()) == 0)
	}
	if planned.Action != Make && len(planned.Differences) == 0 {
		planned.Action = Keep
	}
	if c, ok := after.(config.Source); ok && planned.Action != Conflict {
		p.presets[c.Name] = namingPreset(c)
	}
	return planned, nil
}

// withoutKept leaves out what does not count against an entry of the file: where it
// began, and secrets that the document does not have.
func withoutKept(all []config.Difference, secrets bool) []config.Difference {
	return slices.DeleteFunc(all, func(d config.Difference) bool { return d.Key == "start" || secrets && d.Key == "secrets" })
}

// rest plans what there is of a kind beside the document's entries.
func (p *planner) rest(kind Kind, planned []Planned, prune bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[string]bool, len(planned))
	for _, of := range planned {
		known[of.Name] = true
	}
	for _, name := range p.fileNames(kind) {
		if !known[name] {
			known[name] = true
			p.planned = append(p.planned, Planned{Action: Leave, Kind: kind, Name: name, OfFile: true})
		}
	}
	for _, e := range p.all(kind) {
		if e.Env != p.env || p.taken[e.key()] {
			continue
		}
		left := Planned{Action: Leave, Kind: kind, Name: e.Name, Revision: e.Revision}
		if prune {
			left.Action = Remove
		}
		p.planned = append(p.planned, left)
	}
}

// resolve looks up the addresses that are new.
func (p *planner) resolve(ctx context.Context) error {
	refused := make([]error, len(p.urls))
	var group errgroup.Group
	group.SetLimit(maxResolving)
	for i, of := range p.urls {
		group.Go(func() error {
			refused[i] = p.Store.resolve(ctx, &Entry{Kind: Endpoints}, map[string]any{"url": of.url})
			return ctx.Err()
		})
	}
	err := group.Wait()
	for i, refusal := range refused {
		p.note(p.urls[i].at, refusal)
	}
	return err
}

// fileEntry is the file's entry of the same kind, environment and name, or nil.
func (s *Store) fileEntry(e *Entry) any {
	at, has := s.ofFile(e)
	switch {
	case !has:
		return nil
	case e.Kind == Sources:
		return s.file.Sources[at.index]
	case e.Kind == Endpoints:
		return s.file.Endpoints[at.index]
	}
	return s.file.Subscribers[at.index]
}

// fileNames are the names of the file's entries of a kind in the environment.
func (p *planner) fileNames(kind Kind) []string {
	switch kind {
	case Sources:
		return namesIn(p.file, sources, p.env)
	case Endpoints:
		return namesIn(p.file, endpoints, p.env)
	}
	return namesIn(p.file, subscribers, p.env)
}

func namesIn[T config.Source | config.Endpoint | config.Subscriber](file *config.Config, of shape[T], env event.Env) []string {
	var names []string
	for _, c := range of.ofFile(file) {
		if in, name := of.nameOf(c); in == string(env) {
			names = append(names, name)
		}
	}
	return names
}

// entryOf is the one entry that a configuration has.
func entryOf(one *config.Config, kind Kind) any {
	switch {
	case kind == Sources && len(one.Sources) > 0:
		return one.Sources[0]
	case kind == Endpoints && len(one.Endpoints) > 0:
		return one.Endpoints[0]
	case kind == Subscribers && len(one.Subscribers) > 0:
		return one.Subscribers[0]
	}
	return nil
}
