package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

type endpointsQuery struct {
	Page
	Enabled string `query:"enabled" enum:"true,false" doc:"Those that the file enables, or those that it does not."`
	Event   string `query:"event" maxLength:"320" doc:"Those that get this event: source and name." example:"clink.order.succeeded"`
}

// selects reports whether the query is about the endpoint.
func (q *endpointsQuery) selects(s fanout.Status) bool {
	if q.Enabled != "" && s.Enabled != (q.Enabled == "true") {
		return false
	}
	return q.Event == "" || slices.ContainsFunc(s.Events, func(pattern string) bool {
		return event.Pattern(pattern).Covers(event.Pattern(q.Event))
	})
}

func (h *Handler) listEndpoints(ctx context.Context, q *endpointsQuery) (*output[api.List[api.Endpoint]], error) {
	if q.Event != "" {
		if _, err := event.ParsePattern(q.Event); err != nil {
			return nil, misplaced("query.event", err.Error())
		}
	}
	all, err := h.config.Directory.List(ctx, exchangeOf(ctx).key.Env)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s fanout.Status) bool { return !q.selects(s) })
	first := min(q.Offset, len(all))
	last := min(first+q.Limit, len(all))
	known := h.endpoints(exchangeOf(ctx).key.Env)
	found := make([]api.Endpoint, 0, last-first)
	for _, s := range all[first:last] {
		found = append(found, wireEndpoint(s, known[s.Name]))
	}
	return listed(found, last < len(all)), nil
}

// EndpointPath names an endpoint.
type EndpointPath struct {
	Name string `path:"name" maxLength:"64" doc:"The endpoint's name." example:"billing"`
}

func (h *Handler) getEndpoint(ctx context.Context, in *EndpointPath) (*endpointOutput, error) {
	s, err := h.config.Directory.Get(ctx, exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name))
	return h.endpointAnswer(ctx, s, err)
}

func (h *Handler) pauseEndpoint(ctx context.Context, in *EndpointPath) (*endpointOutput, error) {
	s, err := h.config.Directory.Pause(ctx, exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name))
	return h.endpointAnswer(ctx, s, err)
}

func (h *Handler) resumeEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Body *api.Resume
},
) (*endpointOutput, error) {
	var perSecond config.Rate
	if in.Body != nil && in.Body.Rate != "" {
		var err error
		if perSecond, err = config.ParseRate(in.Body.Rate); err != nil {
			return nil, misplaced("body.rate", "is not a rate such as 50/s, 100/m or 10/h")
		}
		if err := h.demandPosted(exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name), "how fast is theirs to say. Leave out the rate."); err != nil {
			return nil, err
		}
	}
	s, err := h.config.Directory.Resume(ctx, exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name), float64(perSecond))
	return h.endpointAnswer(ctx, s, err)
}

// endpointOutput is an endpoint and, where it can be changed, what to send as
// If-Match.
type endpointOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   api.Endpoint
}

func (h *Handler) endpointAnswer(ctx context.Context, s fanout.Status, err error) (*endpointOutput, error) {
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil, noEndpoint()
	case errors.Is(err, fanout.ErrNotEnabled):
		return nil, refuse(notEnabled, "The endpoint is made with enabled: false. Change that first.")
	case err != nil:
		return nil, err
	}
	known := h.endpoint(s.Env, s.Name)
	out := &endpointOutput{Status: http.StatusOK, Body: wireEndpoint(s, known)}
	if known != nil && known.Entry != nil {
		out.ETag = etag(known.Entry)
	}
	return out, nil
}

func noEndpoint() *problem {
	return refuse(notFound, "There is no endpoint of that name in this environment.")
}

// demandEndpoint refuses the name of an endpoint that there is not.
func (h *Handler) demandEndpoint(ctx context.Context, name string) error {
	err := h.config.Directory.Has(ctx, exchangeOf(ctx).key.Env, name)
	if errors.Is(err, bus.ErrNotFound) {
		return noEndpoint()
	}
	return err
}

// endpoint returns the one of that name that this process has, nil for none: that
// of the file where both have one.
func (h *Handler) endpoint(env event.Env, name string) *managed.Listed[config.Endpoint] {
	if found := h.config.Managed.EndpointsNamed(env, name); len(found) > 0 {
		return &found[0]
	}
	return nil
}

// endpoints returns all that this process has, by name, as endpoint does.
func (h *Handler) endpoints(env event.Env) map[string]*managed.Listed[config.Endpoint] {
	known := make(map[string]*managed.Listed[config.Endpoint])
	for _, l := range h.config.Managed.Endpoints() {
		name, of := l.Config.Name, event.Env(l.Config.Env)
		if l.Entry != nil {
			name, of = l.Entry.Name, l.Entry.Env
		}
		if of == env && known[name] == nil {
			known[name] = &l
		}
	}
	return known
}

// endpointID begins the ids of endpoints, which paths take as well as names.
const endpointID = "ep_"

// nameOf returns the name of the endpoint that a path names.
func (h *Handler) nameOf(ctx context.Context, text string) string {
	if !strings.HasPrefix(text, endpointID) {
		return text
	}
	for name, l := range h.endpoints(exchangeOf(ctx).key.Env) {
		if wireID(endpointID, l.ID()) == text {
			return name
		}
	}
	return text
}

func wireID(prefix string, id uuid.UUID) string { return prefix + hex.EncodeToString(id[:]) }

// wireEndpoint shows how an endpoint is doing and, where this process has it, how
// it is made.
func wireEndpoint(s fanout.Status, l *managed.Listed[config.Endpoint]) api.Endpoint {
	e := api.Endpoint{ManagedBy: "file"}
	if l != nil {
		_ = json.Unmarshal(config.EntryJSON(l.Config), &e) // has the same names and types, which a test holds
		e.ID = wireID(endpointID, l.ID())
	}
	if l != nil && l.Entry != nil {
		e.ManagedBy, e.CreatedAt, e.UpdatedAt, e.RetiresAt = "api", l.Entry.CreatedAt, l.Entry.UpdatedAt, l.Entry.Retires(time.Now())
		if l.Problem != nil {
			e.Problem = l.Problem.Error()
		}
		secret, public := l.Entry.Signing()
		e.MaskedSecret, e.PublicKey = maskedSecret(secret), public
	}
	e.Name, e.Env, e.URL, e.Description, e.Events = s.Name, string(s.Env), masked(s.URL), s.Description, s.Events
	if e.Events == nil {
		e.Events = []string{}
	}
	e.Enabled, e.State, e.Since, e.Reason = s.Enabled, string(s.Condition), s.Since, s.Reason
	e.NextWarning, e.DisableAt = s.Warning, s.Disabling
	e.OldestWaiting, e.ExpiresAt = s.Oldest, s.Expires
	if s.DrainRate > 0 {
		e.DrainRate = config.Rate(s.DrainRate).String()
	}
	e.Waiting, e.Retries, e.Dead = s.Waiting, s.Retries, s.Dead
	return e
}

// maskedSecret shows as much of a secret as tells it from another: the last four
// of characters that are many.
func maskedSecret(s config.Secret) string {
	text := s.Reveal()
	if len(text) < 24 {
		return ""
	}
	prefix := ""
	if strings.HasPrefix(text, "whsec_") {
		prefix = "whsec_"
	}
	return prefix + "..." + text[len(text)-4:]
}

// masked is a URL without its password and the values of its query, which may
// be a token.
func masked(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	var shown []string
	for name := range strings.SplitSeq(u.RawQuery, "&") {
		if name, _, ok := strings.Cut(name, "="); ok {
			shown = append(shown, name+"=xxxxx")
		} else if name != "" {
			shown = append(shown, "xxxxx")
		}
	}
	u.RawQuery = strings.Join(shown, "&")
	return u.Redacted()
}
