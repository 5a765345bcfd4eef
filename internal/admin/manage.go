package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/managed"
)

// defaultOverlap is how long a secret that was replaced stays valid unless the
// request says otherwise.
const defaultOverlap = 24 * time.Hour

// endpointBody is a request that says what an endpoint shall be. The bytes say
// which fields are given.
type endpointBody struct {
	Body    api.EndpointSpec
	RawBody []byte
}

// Match is a condition on the state that a request was made for.
type Match struct {
	IfMatch string `header:"If-Match" doc:"The ETag of an answer: only where nothing has changed since."`
}

func (h *Handler) createEndpoint(ctx context.Context, in *endpointBody) (*endpointOutput, error) {
	spec, err := given(in.RawBody)
	if err != nil {
		return nil, err
	}
	if spec["name"] == "ensure" {
		return nil, misplaced("body.name", "is the path of another operation; choose another name")
	}
	e, err := h.config.Managed.Create(ctx, managed.Endpoints, exchangeOf(ctx).key.Env, "", spec)
	if err != nil {
		return nil, err
	}
	return h.made(ctx, e, http.StatusCreated, len(in.Body.Secrets) == 0)
}

// made answers with an endpoint, and with its secret where that is new.
func (h *Handler) made(ctx context.Context, e managed.Entry, status int, isNew bool) (*endpointOutput, error) {
	s, err := h.config.Directory.Get(ctx, e.Env, e.Name)
	out, err := h.endpointAnswer(ctx, s, err)
	if err != nil {
		return nil, err
	}
	out.Status, out.ETag = status, etag(&e)
	if secret, _ := e.Signing(); isNew {
		out.Body.Secret = secret.Reveal()
	}
	return out, nil
}

func (h *Handler) ensureEndpoint(ctx context.Context, in *struct {
	Match
	endpointBody
},
) (*endpointOutput, error) {
	if in.Body.URL == "" {
		return nil, misplaced("body.url", "is missing; it says which endpoint is meant")
	}
	for _, l := range h.endpoints(exchangeOf(ctx).key.Env) {
		if l.Config.URL != in.Body.URL {
			continue
		}
		if l.Entry == nil {
			return nil, managed.ErrFile
		}
		return h.change(ctx, l.Entry.Name, in.IfMatch, in.RawBody, h.config.Managed.Update)
	}
	if in.IfMatch != "" {
		return nil, refuse(outdated, "There is no endpoint with that url any more.")
	}
	return h.createEndpoint(ctx, &in.endpointBody)
}

func (h *Handler) updateEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Match
	Extent
	endpointBody
},
) (*endpointOutput, error) {
	return h.change(ctx, h.nameOf(ctx, in.Name), in.IfMatch, in.RawBody, h.updater(in.Extent))
}

// change updates an endpoint. The secret that another signature needs is shown.
func (h *Handler) change(ctx context.Context, name, match string, body []byte, update updater) (*endpointOutput, error) {
	patch, err := given(body)
	if err != nil {
		return nil, err
	}
	var before config.Secret
	e, err := h.edit(ctx, managed.Endpoints, name, match, func(e managed.Entry) (managed.Entry, error) {
		before, _ = e.Signing()
		return update(ctx, e, patch)
	})
	if err != nil {
		return nil, err
	}
	after, _ := e.Signing()
	return h.made(ctx, e, http.StatusOK, patch["secrets"] == nil && after.Reveal() != before.Reveal())
}

func (h *Handler) deleteEndpoint(ctx context.Context, in *struct {
	EndpointPath
	Match
},
) (*struct{}, error) {
	_, err := h.edit(ctx, managed.Endpoints, h.nameOf(ctx, in.Name), in.IfMatch, func(e managed.Entry) (managed.Entry, error) {
		return e, h.config.Managed.Delete(ctx, e)
	})
	return nil, err
}

func (h *Handler) rotateSecret(ctx context.Context, in *struct {
	EndpointPath
	Match
	Body *api.RotateSecret
},
) (*endpointOutput, error) {
	overlap, secret := defaultOverlap, config.Secret{}
	if in.Body != nil && in.Body.Overlap != "" {
		var err error
		if overlap, err = time.ParseDuration(in.Body.Overlap); err != nil {
			return nil, misplaced("body.overlap", "is not a duration such as 24h or 0s")
		}
	}
	if in.Body != nil && in.Body.Secret != "" {
		secret = config.NewSecret(in.Body.Secret)
	}
	e, err := h.edit(ctx, managed.Endpoints, h.nameOf(ctx, in.Name), in.IfMatch, func(e managed.Entry) (managed.Entry, error) {
		return h.config.Managed.Rotate(ctx, e, secret, overlap)
	})
	if err != nil {
		return nil, err
	}
	return h.made(ctx, e, http.StatusOK, secret.Empty())
}

// testEndpoint sends an event that is stored nowhere. Its failure is no failure of
// the request.
func (h *Handler) testEndpoint(ctx context.Context, in *EndpointPath) (*output[api.Attempt], error) {
	env, name := exchangeOf(ctx).key.Env, h.nameOf(ctx, in.Name)
	if err := h.demandPosted(env, name, "nothing can be sent to it. Hand in an event that it selects."); err != nil {
		return nil, err
	}
	a, err := h.config.Directory.Test(ctx, env, name, h.config.Client)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, noEndpoint()
	}
	if err != nil {
		return nil, err
	}
	shown := wireAttempt(&a)
	if shown.Outcome == string(deliver.OutcomeRetry) {
		shown.Outcome = "failed"
	}
	return answer(shown), nil
}

// maxEdits is how often an entry that others change at the same time is tried.
const maxEdits = 5

// edit changes an entry, again where somebody else was faster, unless the caller
// meant one state of it alone.
func (h *Handler) edit(ctx context.Context, kind managed.Kind, name, match string, act func(managed.Entry) (managed.Entry, error)) (managed.Entry, error) {
	for try := 1; ; try++ {
		e, err := h.config.Managed.Get(kind, exchangeOf(ctx).key.Env, name)
		if errors.Is(err, bus.ErrNotFound) && kind == managed.Endpoints {
			return e, noEndpoint()
		}
		if err != nil {
			return e, err
		}
		if match != "" && match != "*" && match != etag(&e) {
			return e, refuse(outdated, "It was changed since it was read. Read it again, and send its ETag as If-Match.")
		}
		e, err = act(e)
		if !errors.Is(err, managed.ErrChanged) || try == maxEdits {
			return e, err
		}
	}
}

// etag names a state of an entry.
func etag(e *managed.Entry) string { return strconv.Quote(strconv.FormatUint(e.Revision, 10)) }

// given reads which fields a request has, and their values.
func given(body []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil || fields == nil {
		return nil, refuse(badRequest, "The body could not be read as a JSON object.")
	}
	return fields, nil
}
