package admin

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/provider"
)

// face is a provider's own API for webhooks, in which a client that was written
// for the provider manages the endpoints here. All faces show the same endpoints.
type face struct {
	name   string // of the dialect, and of the provider's source where there is none yet
	preset string // of the provider's sources
	style  string // how what is made here is signed
	maxURL int    // characters
	// refuse answers with a refusal in the provider's form.
	refuse func(w http.ResponseWriter, p *problem)
}

// facePrefix begins the paths of the faces.
const facePrefix = "/compat/"

// faceOf returns the face that a path belongs to, or nil.
func faceOf(path string) *face {
	for _, f := range []*face{&clink, &diddo, &chip} {
		if strings.HasPrefix(path, facePrefix+f.name+"/") {
			return f
		}
	}
	return nil
}

// faced is an endpoint as a face shows it.
type faced struct {
	id               uuid.UUID
	url, description string
	names            []string // of the provider's events that it gets
	all              bool     // of them
	enabled          bool
	secret           config.Secret
	public           string
	created, updated time.Time
	entry            *managed.Entry // nil for one of the file
}

// milliseconds since 1970, or 0.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// sources are the names of the provider's sources in an environment, which a face
// writes patterns for, or the face's own where there is none yet. It reads patterns
// for that one too, which it may have written before there was a source of another
// name.
func (h *Handler) sources(f *face, env event.Env) (write, read []string) {
	taken := false // by a source, which may be another provider's
	for _, l := range h.config.Managed.Sources() {
		if l.Problem != nil || l.Config.Env != string(env) {
			continue
		}
		taken = taken || l.Config.Name == f.name
		if l.Config.Preset == f.preset {
			write = append(write, l.Config.Name)
		}
	}
	switch {
	case write == nil:
		return []string{f.name}, []string{f.name}
	case taken:
		return write, write
	}
	return write, append(slices.Clone(write), f.name)
}

// catalogue is the provider's events.
func (f *face) catalogue() []string {
	preset, err := provider.Lookup(f.preset)
	if err != nil {
		return nil // a test holds that there is one
	}
	return preset.Catalogue
}

// faced shows an endpoint.
func (h *Handler) faced(f *face, env event.Env, l *managed.Listed[config.Endpoint]) faced {
	c := l.Config
	shown := faced{id: l.ID(), url: masked(c.URL), description: c.Description, enabled: c.Enabled, entry: l.Entry, names: []string{}}
	patterns := []event.Pattern{event.AllEvents}
	if !c.AllEvents {
		patterns = nil
		for _, p := range c.Events {
			patterns = append(patterns, event.Pattern(p))
		}
	}
	catalogue := f.catalogue()
	_, from := h.sources(f, env)
	for _, name := range catalogue {
		if slices.ContainsFunc(from, func(source string) bool {
			return slices.ContainsFunc(patterns, func(p event.Pattern) bool { return p.Covers(event.Pattern(source + "." + name)) })
		}) {
			shown.names = append(shown.names, name)
		}
	}
	shown.all = len(shown.names) == len(catalogue)
	if l.Entry != nil {
		shown.url, shown.created, shown.updated = c.URL, l.Entry.CreatedAt, l.Entry.UpdatedAt
		shown.secret, shown.public = l.Entry.Signing()
	}
	return shown
}

// allFaced shows all endpoints of the caller's environment, the oldest first. A key
// for reading alone sees their urls as elsewhere; another sees them as they were
// given, for a client of the provider's compares them.
func (h *Handler) allFaced(ctx context.Context, f *face) []faced {
	key := exchangeOf(ctx).key
	var all []faced
	for _, l := range h.endpoints(key.Env) {
		if l.Config.Pull {
			continue // a provider posts events and has no word for it
		}
		shown := h.faced(f, key.Env, l)
		if key.ReadOnly {
			shown.url = masked(shown.url)
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b faced) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id.String(), b.id.String()))
	})
	return all
}

// findFaced returns the endpoint of an ID.
func (h *Handler) findFaced(ctx context.Context, f *face, id uuid.UUID) (faced, error) {
	for _, shown := range h.allFaced(ctx, f) {
		if shown.id == id {
			return shown, nil
		}
	}
	return faced{}, bus.ErrNotFound
}

// selection is what an endpoint selects that gets the named events of a provider
// and, besides, what it has of other sources.
func (h *Handler) selection(f *face, env event.Env, names []string, all bool, before map[string]any) map[string]any {
	var patterns []any
	write, read := h.sources(f, env)
	old, _ := before["events"].([]any)
	for _, item := range old {
		pattern, _ := item.(string)
		if source, _, _ := strings.Cut(pattern, "."); source != "*" && source != ">" && !slices.Contains(read, source) {
			patterns = append(patterns, pattern)
		}
	}
	for _, source := range write {
		if all {
			patterns = append(patterns, source+".>")
			continue
		}
		for _, name := range names {
			patterns = append(patterns, source+"."+name)
		}
	}
	return map[string]any{"events": patterns, "all_events": nil}
}

// checkNames refuses names that are not the provider's.
func (f *face) checkNames(names []string, at string) []wrong {
	preset, err := provider.Lookup(f.preset)
	if err != nil {
		return nil
	}
	var found []wrong
	for _, name := range names {
		if err := preset.CheckEvent(name); err != nil {
			found = append(found, wrong{at, err.Error(), "invalid_choice"})
		}
	}
	return found
}

// wrong is a field of a request that is wrong: what, and a word for it.
type wrong struct{ field, message, code string }

// checkURL refuses what is not https, unless it is at an address of the operator's
// own network, where receivers have no certificate that everybody trusts.
func (h *Handler) checkURL(ctx context.Context, f *face, field, text string) []wrong {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return []wrong{{field, "This field is required.", "required"}}
	case utf8.RuneCountInString(text) > f.maxURL:
		return []wrong{{field, "The url is longer than the maximum length.", "max_length"}}
	case err != nil || u.Hostname() == "":
		return []wrong{{field, "Enter a valid URL.", "invalid"}}
	case u.Scheme == "http" && h.config.Guard.Internal(ctx, text):
	case u.Scheme != "https":
		return []wrong{{field, "The url must be https.", "invalid"}}
	}
	return nil
}

// updateFaced changes an endpoint.
func (h *Handler) updateFaced(ctx context.Context, f *face, shown faced, patch map[string]any) (faced, error) {
	if shown.entry == nil {
		return faced{}, managed.ErrFile
	}
	e, err := h.edit(ctx, managed.Endpoints, shown.entry.Name, "", func(e managed.Entry) (managed.Entry, error) {
		return h.config.Managed.Update(ctx, e, patch)
	})
	if err != nil {
		return faced{}, err
	}
	return h.findFaced(ctx, f, e.ID)
}

// deleteFaced removes an endpoint.
func (h *Handler) deleteFaced(ctx context.Context, shown faced) error {
	if shown.entry == nil {
		return managed.ErrFile
	}
	_, err := h.edit(ctx, managed.Endpoints, shown.entry.Name, "", func(e managed.Entry) (managed.Entry, error) {
		return e, h.config.Managed.Delete(ctx, e)
	})
	return err
}

// text reads a field that is a text; ok is false where it is something else.
func text(fields map[string]any, name string) (value string, given, ok bool) {
	found, given := fields[name]
	if !given || found == nil {
		return "", false, true
	}
	value, ok = found.(string)
	return value, true, ok
}

// boolean reads a field that is true or false.
func boolean(fields map[string]any, name string) (value, given, ok bool) {
	found, given := fields[name]
	if !given || found == nil {
		return false, false, true
	}
	value, ok = found.(bool)
	return value, true, ok
}

// texts reads a field that is a list of texts.
func texts(fields map[string]any, name string) (values []string, given, ok bool) {
	found, given := fields[name]
	if !given || found == nil {
		return nil, false, true
	}
	list, ok := found.([]any)
	for _, item := range list {
		value, isText := item.(string)
		ok = ok && isText
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values, true, ok
}

// body reads the JSON object that a request is.
func body(r *http.Request) (map[string]any, error) {
	content, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, refuse(bodyTooLarge, "The body is larger than 64 KiB.")
	}
	if err != nil {
		return nil, refuse(badRequest, "The body could not be read.")
	}
	return given(content)
}

// faceHandler is an operation of a face.
type faceHandler func(ctx context.Context, w http.ResponseWriter, r *http.Request) error

// faceRoutes makes the operations of all faces.
func (h *Handler) faceRoutes() {
	for _, of := range []struct {
		face   *face
		routes map[string]faceHandler
	}{{&clink, h.clinkRoutes()}, {&diddo, h.diddoRoutes()}, {&chip, h.chipRoutes()}} {
		for route, handle := range of.routes {
			method, path, _ := strings.Cut(route, " ")
			h.mux.HandleFunc(method+" "+facePrefix+of.face.name+path, func(w http.ResponseWriter, r *http.Request) {
				if err := handle(r.Context(), w, r); err != nil {
					p := problemOf(err)
					exchangeOf(r.Context()).cause = p.cause
					of.face.refuse(w, p)
				}
			})
		}
	}
}
