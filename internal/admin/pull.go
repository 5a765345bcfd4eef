package admin

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/event"
)

// pullRoutes makes the operations of receivers that take their events.
func (h *Handler) pullRoutes(of huma.API) {
	register(of, get("endpoints-pull", "/v1/endpoints/{name}/events", "Take events of an endpoint whose events are pulled, or wait for one"), h.pull)
	register(of, post("endpoints-ack", "/v1/endpoints/{name}/ack", "Say that events which were taken are dealt with"), h.ackTaken)
	register(of, post("endpoints-nack", "/v1/endpoints/{name}/nack", "Say that events which were taken could not be dealt with; they come again"), h.nackTaken)
	register(of, post("endpoints-extend", "/v1/endpoints/{name}/extend", "Have more time to deal with events which were taken"), h.extendTaken)
}

type pullQuery struct {
	EndpointPath
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"At most so many, and no more than the endpoint's concurrency are out at once, which replicas that are asked in the same moment count each for themselves."`
	Wait  string `query:"wait" maxLength:"16" doc:"How long to wait for one where there is none, at most 25s." example:"20s"`
}

// pull is a GET and changes something all the same, so that a key for reading alone
// is refused here.
func (h *Handler) pull(ctx context.Context, q *pullQuery) (*output[api.List[api.Taken]], error) {
	if exchangeOf(ctx).key.ReadOnly {
		return nil, refuse(keyReadOnly, "The API key may read and change nothing, and an event that is taken is out for a while. Use another one.")
	}
	wait, err := waitOf(q.Wait)
	if err != nil {
		return nil, err
	}
	e, err := h.pulled(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	taken, err := h.puller.Take(ctx, e, q.Limit, wait, func(ctx context.Context) (bool, error) {
		return h.config.Directory.Active(ctx, e.Env, e.Name)
	})
	if errors.Is(err, deliver.ErrManyWaiting) {
		return nil, &problem{code: tooManyWaiting, retryAfter: time.Second, detail: "Too many requests wait for events of this endpoint. Take more at once with fewer, and give up those that nobody reads."}
	}
	if err != nil {
		return nil, err
	}
	shown := make([]api.Taken, 0, len(taken))
	for i := range taken {
		shown = append(shown, wireTaken(&taken[i]))
	}
	return listed(shown, len(taken) == q.Limit), nil
}

// pulled finds an endpoint whose events are pulled. What is asked about them
// changes nothing that is managed: were it told as an event, an endpoint that gets
// such events would never come to an end.
func (h *Handler) pulled(ctx context.Context, name string) (deliver.Endpoint, error) {
	exchangeOf(ctx).quiet = true
	e, pulled, err := h.config.Directory.Pulled(exchangeOf(ctx).key.Env, h.nameOf(ctx, name))
	if err != nil {
		return e, noEndpoint()
	}
	if !pulled {
		return e, refuse(otherKind, "The endpoint's events are posted to its url. To take them instead, make an endpoint with pull: true.")
	}
	return e, nil
}

// demandPosted refuses an endpoint whose events are pulled.
func (h *Handler) demandPosted(env event.Env, name, why string) error {
	if _, pulled, err := h.config.Directory.Pulled(env, name); err == nil && pulled {
		return refuse(otherKind, "The endpoint's receiver takes its events: "+why)
	}
	return nil
}

func wireTaken(t *deliver.Taken) api.Taken {
	e := t.Event
	data := e.Data
	if data == nil {
		data = []byte{} // an empty body is a body
	}
	return api.Taken{Token: t.Token, AckBy: t.Until.UTC(), Attempt: t.Attempt, Sequence: t.Sequence, Previous: t.Previous, Headers: e.Header,
		Event: api.CloudEvent{SpecVersion: "1.0", ID: string(e.ID), Source: "/" + string(e.Env) + "/" + e.Source, Type: e.Type, Time: e.Time,
			DataContentType: e.ContentType, Traceparent: e.Traceparent, Data: data}}
}

// settled answers with what became of tokens.
func settled(tokens, over []string, err error) (*output[api.Settled], error) {
	if err != nil {
		return nil, err
	}
	distinct := make(map[string]bool, len(tokens))
	for _, token := range tokens {
		distinct[token] = true
	}
	for _, token := range over {
		delete(distinct, token)
	}
	if over == nil {
		over = []string{}
	}
	return answer(api.Settled{Count: len(distinct), Over: over}), nil
}

func (h *Handler) ackTaken(ctx context.Context, in *struct {
	EndpointPath
	Body api.Tokens
},
) (*output[api.Settled], error) {
	e, err := h.pulled(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	over, err := h.puller.Ack(ctx, e, in.Body.Tokens)
	return settled(in.Body.Tokens, over, err)
}

func (h *Handler) nackTaken(ctx context.Context, in *struct {
	EndpointPath
	Body api.Nack
},
) (*output[api.Settled], error) {
	e, err := h.pulled(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	var delay time.Duration
	if in.Body.Delay != "" {
		if delay, err = time.ParseDuration(in.Body.Delay); err != nil || delay < 0 || delay > 24*time.Hour {
			return nil, misplaced("body.delay", "is not a duration up to 24h, such as 30s")
		}
	}
	over, err := h.puller.Nack(ctx, e, in.Body.Tokens, in.Body.Reason, delay)
	return settled(in.Body.Tokens, over, err)
}

func (h *Handler) extendTaken(ctx context.Context, in *struct {
	EndpointPath
	Body api.Extend
},
) (*output[api.Settled], error) {
	e, err := h.pulled(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	by, err := time.ParseDuration(in.Body.By)
	if err != nil || by <= 0 || by > 10*time.Minute {
		return nil, misplaced("body.by", "is not a duration up to 10m, such as 1m")
	}
	over, err := h.puller.Extend(ctx, e, in.Body.Tokens, by)
	return settled(in.Body.Tokens, over, err)
}
