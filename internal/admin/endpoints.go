package admin

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
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
	all, err := h.config.Directory.List(ctx, exchangeOf(ctx).key.env)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s fanout.Status) bool { return !q.selects(s) })
	first := min(q.Offset, len(all))
	last := min(first+q.Limit, len(all))
	found := make([]api.Endpoint, 0, last-first)
	for _, s := range all[first:last] {
		found = append(found, wireEndpoint(s))
	}
	return listed(found, last < len(all)), nil
}

// EndpointPath names an endpoint.
type EndpointPath struct {
	Name string `path:"name" maxLength:"64" doc:"The endpoint's name." example:"billing"`
}

func (h *Handler) getEndpoint(ctx context.Context, in *EndpointPath) (*output[api.Endpoint], error) {
	return endpointAnswer(h.config.Directory.Get(ctx, exchangeOf(ctx).key.env, in.Name))
}

func (h *Handler) pauseEndpoint(ctx context.Context, in *EndpointPath) (*output[api.Endpoint], error) {
	return endpointAnswer(h.config.Directory.Pause(ctx, exchangeOf(ctx).key.env, in.Name))
}

func (h *Handler) resumeEndpoint(ctx context.Context, in *EndpointPath) (*output[api.Endpoint], error) {
	return endpointAnswer(h.config.Directory.Resume(ctx, exchangeOf(ctx).key.env, in.Name))
}

func endpointAnswer(s fanout.Status, err error) (*output[api.Endpoint], error) {
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil, noEndpoint()
	case errors.Is(err, fanout.ErrNotEnabled):
		return nil, refuse(notEnabled, "The configuration file says enabled: false. Change it there.")
	case err != nil:
		return nil, err
	}
	return answer(wireEndpoint(s)), nil
}

func noEndpoint() *problem {
	return refuse(notFound, "There is no endpoint of that name in this environment.")
}

// demandEndpoint refuses the name of an endpoint that there is not.
func (h *Handler) demandEndpoint(ctx context.Context, name string) error {
	err := h.config.Directory.Has(ctx, exchangeOf(ctx).key.env, name)
	if errors.Is(err, bus.ErrNotFound) {
		return noEndpoint()
	}
	return err
}

func wireEndpoint(s fanout.Status) api.Endpoint {
	events := s.Events
	if events == nil {
		events = []string{}
	}
	return api.Endpoint{Name: s.Name, Env: string(s.Env), URL: masked(s.URL), Description: s.Description, Events: events,
		Enabled: s.Enabled, ManagedBy: "file", State: string(s.Condition), Since: s.Since, Reason: s.Reason,
		NextWarning: s.Warning, DisableAt: s.Disabling, Waiting: s.Waiting, Retries: s.Retries, Dead: s.Dead}
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
