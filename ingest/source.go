package ingest

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/time/rate"

	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// Bounds of a source's MaxBody.
const (
	defaultMaxBody = 1 << 20
	// largestMaxBody leaves room for the headers in a message of 8 MiB, the
	// largest the embedded server takes.
	largestMaxBody = 7 << 20
)

// Source is one sender of webhooks, at /in/NAME.
type Source struct {
	// Name is one path segment and one token of a subject. Required, unique,
	// and not event.System.
	Name string
	// Env is where its events go. Required.
	Env event.Env
	// Verifier checks signatures. Required: a source that accepts everything
	// has a verifier that says so.
	Verifier *signature.Verifier
	// Extractor names events. Required.
	Extractor *provider.Extractor
	// Handshake answers the provider's challenges. Nil: it has none.
	Handshake *provider.Handshake
	// KeepHeaders are the request's headers that an event keeps.
	KeepHeaders []string
	// AllowIPs are the networks callers may be in. Empty: any.
	AllowIPs []netip.Prefix
	// MaxBody is the largest body in bytes, at most 7 MiB. Zero: 1 MiB.
	MaxBody int64
	// Rate is how many requests a second are taken, in bursts of as many.
	// Zero: unlimited.
	Rate float64
	// RejectStatus answers a bad signature. Zero: 401.
	RejectStatus int
	// PublicURL is the address the provider sends to, where its signature
	// covers the address and a proxy hides it. A request's query is added
	// unless PublicURL has one. Empty: the address of the request.
	PublicURL string
}

// source is a Source made ready.
type source struct {
	Source
	limiter *rate.Limiter // nil: unlimited
	keep    []keptHeader
	labels  *labels
}

// keptHeader is a header to keep, by its two names.
type keptHeader struct{ canonical, lower string }

// SetSources replaces all sources at once: a request sees the old ones or the
// new. A source whose name and rate stay the same keeps its limiter. On an
// error, which names the source, the old ones stay.
func (h *Handler) SetSources(list []Source) error {
	h.setting.Lock()
	defer h.setting.Unlock()
	before := *h.sources.Load()
	after := make(map[string]*source, len(list))
	for _, config := range list {
		if _, taken := after[config.Name]; taken {
			return fmt.Errorf("source %q is there twice", config.Name)
		}
		s, err := newSource(config, before[config.Name])
		if err != nil {
			return fmt.Errorf("source %q: %w", config.Name, err)
		}
		after[config.Name] = s
	}
	h.sources.Store(&after)
	return nil
}

// newSource makes a source ready; before is the one of that name so far, or nil.
func newSource(config Source, before *source) (*source, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.MaxBody == 0 {
		config.MaxBody = defaultMaxBody
	}
	if config.RejectStatus == 0 {
		config.RejectStatus = http.StatusUnauthorized
	}
	config.AllowIPs = caller.Normal(config.AllowIPs)
	s := &source{Source: config, labels: newLabels(config.Name)}
	for _, name := range config.KeepHeaders {
		s.keep = append(s.keep, keptHeader{http.CanonicalHeaderKey(name), strings.ToLower(name)})
	}
	switch {
	case before != nil && before.Rate == config.Rate:
		s.limiter = before.limiter
	case config.Rate > 0:
		s.limiter = rate.NewLimiter(rate.Limit(config.Rate), max(1, int(math.Ceil(config.Rate))))
	}
	return s, nil
}

func (s *Source) validate() error {
	if s.Name == "" || strings.Contains(s.Name, "/") || s.Name == event.System {
		return fmt.Errorf("the name must be one path segment and not %q", event.System)
	}
	if _, err := event.ParseEnv(string(s.Env)); err != nil {
		return err
	}
	switch {
	case s.Verifier == nil:
		return errors.New("a verifier is required")
	case s.Extractor == nil:
		return errors.New("an extractor is required")
	case s.MaxBody < 0 || s.MaxBody > largestMaxBody:
		return fmt.Errorf("max body %d is not between 0 and %d bytes", s.MaxBody, largestMaxBody)
	case !(s.Rate >= 0 && s.Rate <= math.MaxInt32): // a NaN fails both
		return fmt.Errorf("rate %v is not between 0 and %d a second", s.Rate, math.MaxInt32)
	case s.RejectStatus != 0 && (s.RejectStatus < 400 || s.RejectStatus > 499):
		return fmt.Errorf("reject status %d is not between 400 and 499", s.RejectStatus)
	}
	for _, name := range s.KeepHeaders {
		if !isHeaderName(name) {
			return fmt.Errorf("header to keep %q is not a header's name", name)
		}
	}
	if s.PublicURL != "" {
		u, err := url.Parse(s.PublicURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("public url %q is not an http or https URL", s.PublicURL)
		}
	}
	return nil
}

// isHeaderName reports whether name is a token (RFC 9110, section 5.6.2). It
// becomes part of the name of a message's header.
func isHeaderName(name string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune(marks, r)
	}) < 0
}
