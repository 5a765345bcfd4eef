package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
)

// rewindEndpoint counts what an endpoint would be delivered again or, where that is
// confirmed, has it delivered.
func (h *Handler) rewindEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Body api.RewindSpec
},
) (*output[api.Rewind], error) {
	env, name := exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name)
	var r fanout.Rewind
	var err error
	if in.Body.Confirm != "" {
		agreed, wrong := parseAgreement(in.Body)
		if wrong != nil {
			return nil, wrong
		}
		r, err = h.config.Directory.Rewind(ctx, env, name, agreed)
	} else {
		spec, wrong := h.rewindSpec(in.Body)
		if wrong != nil {
			return nil, wrong
		}
		r, err = h.config.Directory.LookBack(ctx, env, name, spec)
	}
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil, noEndpoint()
	case errors.Is(err, fanout.ErrRewindChanged):
		return nil, refuse(notAgreed, fmt.Sprintf("Other events would be delivered again than when they were counted: %d from sequence %d to %d by now. Count again, and confirm that.", r.Count, r.First, r.Last))
	case err != nil:
		return nil, err
	}
	shown := api.Rewind{Endpoint: name, Env: string(env), First: r.First, Last: r.Last, Count: r.Count, Rewound: in.Body.Confirm != ""}
	if !shown.Rewound {
		shown.Confirm = agreement(r)
	}
	return answer(shown), nil
}

// rewindSpec reads how far an endpoint is to go back.
func (h *Handler) rewindSpec(of api.RewindSpec) (spec fanout.RewindSpec, err error) {
	given := 0
	for _, is := range []bool{of.Since != "", of.Sequence != 0, of.Beginning} {
		if is {
			given++
		}
	}
	if given != 1 {
		return spec, misplaced("body", "how far to go back is said by one of since, sequence and beginning")
	}
	spec = fanout.RewindSpec{Sequence: of.Sequence, Beginning: of.Beginning}
	spec.Since, err = moment(of.Since, h.now(), "body.since")
	return spec, err
}

// agreement is what confirms a rewinding: which events, and how many.
func agreement(r fanout.Rewind) string { return fmt.Sprintf("%d-%d-%d", r.First, r.Last, r.Count) }

func parseAgreement(of api.RewindSpec) (r fanout.Rewind, err error) {
	if of.Since != "" || of.Sequence != 0 || of.Beginning {
		return r, misplaced("body.confirm", "says how far to go back; leave since, sequence and beginning out beside it")
	}
	parts := strings.Split(of.Confirm, "-")
	into := []*uint64{&r.First, &r.Last, &r.Count}
	if len(parts) != len(into) {
		return r, misplaced("body.confirm", "is not what a request without it has answered")
	}
	for i, part := range parts {
		if *into[i], err = strconv.ParseUint(part, 10, 63); err != nil {
			return r, misplaced("body.confirm", "is not what a request without it has answered")
		}
	}
	return r, nil
}
