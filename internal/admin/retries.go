package admin

import (
	"context"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func (h *Handler) hastenRetries(ctx context.Context, in *EndpointPath) (*output[api.Counted], error) {
	return h.changeRetries(ctx, in.Name, deliver.Hasten)
}

func (h *Handler) cancelRetries(ctx context.Context, in *EndpointPath) (*output[api.Counted], error) {
	return h.changeRetries(ctx, in.Name, deliver.Cancel)
}

// changeRetries does one batch of a change to what waits for an endpoint.
func (h *Handler) changeRetries(ctx context.Context, name string,
	change func(context.Context, *bus.Bus, event.Env, string) (int, bool, error),
) (*output[api.Counted], error) {
	if err := h.demandEndpoint(ctx, name); err != nil {
		return nil, err
	}
	count, more, err := change(ctx, h.config.Bus, exchangeOf(ctx).key.Env, name)
	if err != nil {
		return nil, err
	}
	return answer(api.Counted{Count: count, More: more}), nil
}
