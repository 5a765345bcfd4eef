package admin

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/jethook/jethook/api"
)

// description begins the OpenAPI document.
const description = `What became of an event, and what to do about it.

A key sees its environment alone: nothing of the other can be found with it.
Errors are RFC 9457 problems with a stable code.`

// routes makes the API's operations, all of them here.
func (h *Handler) routes() huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	of := humago.New(h.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "jethook management API", Version: "1", Description: description},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "Authorization: Bearer sk_prod_…"},
				"header": {Type: "apiKey", In: "header", Name: "X-API-KEY"},
			}},
			Security: []map[string][]string{{"bearer": {}}, {"header": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{explain},
	})
	h.flowRoutes(of)
	h.entryRoutes(of)

	// The framework's own form of errors, which explain replaces.
	delete(registry.Map(), "ErrorModel")
	delete(registry.Map(), "ErrorDetail")
	return of
}

// flowRoutes makes the operations on events and on where they go.
func (h *Handler) flowRoutes(of huma.API) {
	register(of, get("events-list", "/v1/events", "List events, the newest first"), h.listEvents)
	register(of, get("events-read", "/v1/events/read", "Read on from a sequence, the oldest first, with bodies where asked for"), h.readEvents)
	register(of, get("events-get", "/v1/events/{id}", "Show an event"), h.getEvent)
	register(of, get("events-body", "/v1/events/{id}/body", "Read an event's body, byte for byte"), h.getBody)
	register(of, get("events-attempts", "/v1/events/{id}/attempts", "List the attempts to deliver an event, the oldest first, and where it is dead"), h.listAttempts)
	register(of, accepted(post("events-resend", "/v1/events/{id}/resend", "Deliver an event again, to one endpoint alone")), h.resend)

	register(of, get("endpoints-list", "/v1/endpoints", "List the endpoints and how they are doing"), h.listEndpoints)
	register(of, created(post("endpoints-create", "/v1/endpoints", "Make an endpoint; its secret is shown this once")), h.createEndpoint)
	register(of, put("endpoints-ensure", "/v1/endpoints/ensure", "Make an endpoint, or change the one with that url"), h.ensureEndpoint)
	register(of, get("endpoints-get", "/v1/endpoints/{name}", "Show an endpoint"), h.getEndpoint)
	register(of, put("endpoints-update", "/v1/endpoints/{name}", "Change an endpoint: only the fields that are given"), h.updateEndpoint)
	register(of, emptied(remove("endpoints-delete", "/v1/endpoints/{name}", "Delete an endpoint and what waits for it")), h.deleteEndpoint)
	register(of, post("endpoints-rotate-secret", "/v1/endpoints/{name}/rotate-secret", "Sign with a new secret, and with the old one for a while"), h.rotateSecret)
	register(of, post("endpoints-test", "/v1/endpoints/{name}/test", "Send one test event to an endpoint now, and show the attempt"), h.testEndpoint)
	register(of, post("endpoints-pause", "/v1/endpoints/{name}/pause", "Stop delivering to an endpoint; its events wait"), h.pauseEndpoint)
	register(of, post("endpoints-resume", "/v1/endpoints/{name}/resume", "Deliver again to an endpoint that was paused or disabled, or try one that fails"), h.resumeEndpoint)
	register(of, post("endpoints-rewind", "/v1/endpoints/{name}/rewind", "Have an endpoint go back, and get all events from there on again; without confirm, count them"), h.rewindEndpoint)
	h.pullRoutes(of)
	register(of, post("endpoints-retries-hasten", "/v1/endpoints/{name}/retries/hasten", "Have an endpoint's waiting retries fall due now"), h.hastenRetries)
	register(of, remove("endpoints-retries-cancel", "/v1/endpoints/{name}/retries", "Cancel an endpoint's retries; they become dead events"), h.cancelRetries)

	register(of, created(post("replays-create", "/v1/replays", "Deliver stored events to an endpoint again, or count them")), h.createReplay)
	register(of, get("replays-list", "/v1/replays", "List replays, the newest first"), h.listReplays)
	register(of, get("replays-get", "/v1/replays/{id}", "Show how far a replay is"), h.getReplay)
	register(of, post("replays-pause", "/v1/replays/{id}/pause", "Have a replay wait"), h.pauseReplay)
	register(of, post("replays-resume", "/v1/replays/{id}/resume", "Have a paused replay go on"), h.resumeReplay)
	register(of, remove("replays-cancel", "/v1/replays/{id}", "End a replay"), h.cancelReplay)

	register(of, get("dead-list", "/v1/dead", "List dead events, the newest first"), h.listDead)
	register(of, get("dead-get", "/v1/dead/{id}", "Show a dead event"), h.getDead)
	register(of, accepted(post("dead-retry", "/v1/dead/{id}/retry", "Deliver a dead event again, to its endpoint alone")), h.retryDead)
	register(of, accepted(post("dead-retry-all", "/v1/dead/retry", "Deliver an endpoint's dead events again, up to 1000 in one request")), h.retryAllDead)
	register(of, post("dead-drop-all", "/v1/dead/drop", "Take an endpoint's dead events from the list for good, up to 1000 in one request"), h.dropAllDead)
	register(of, remove("dead-drop", "/v1/dead/{id}", "Take a dead event from the list for good"), h.dropDead)
}

// entryRoutes makes the operations on what is made over the API beside endpoints.
func (h *Handler) entryRoutes(of huma.API) {
	sources, subscribers := h.sourceEntries(), h.subscriberEntries()
	register(of, get("sources-list", "/v1/sources", "List the sources"), sources.list)
	register(of, created(post("sources-create", "/v1/sources", "Make a source")), h.createSource)
	register(of, get("sources-get", "/v1/sources/{name}", "Show a source"), sources.get)
	register(of, put("sources-update", "/v1/sources/{name}", "Change a source: only the fields that are given"), h.updateSource)
	register(of, emptied(remove("sources-delete", "/v1/sources/{name}", "Delete a source; its events stay")), sources.delete)

	register(of, post("sources-connect", "/v1/sources/connect", "Register a source with its provider, and keep what that signs with"), h.connect)
	register(of, post("sources-registered", "/v1/sources/registered", "List what is registered at a provider"), h.registered)
	register(of, emptied(post("sources-disconnect", "/v1/sources/{name}/disconnect", "Remove a source at its provider, and then here")), h.disconnect)

	register(of, get("subscribers-list", "/v1/subscribers", "List the subscribers"), subscribers.list)
	register(of, created(post("subscribers-create", "/v1/subscribers", "Make a subscriber; its key is shown this once")), h.createSubscriber)
	register(of, get("subscribers-get", "/v1/subscribers/{name}", "Show a subscriber"), h.getSubscriber)
	register(of, put("subscribers-update", "/v1/subscribers/{name}", "Change a subscriber: only the fields that are given"), h.updateSubscriber)
	register(of, post("subscribers-rotate", "/v1/subscribers/{name}/rotate", "Admit a subscriber with another key, and with the one before for a while"), h.rotateNKey)
	register(of, emptied(remove("subscribers-delete", "/v1/subscribers/{name}", "Delete a subscriber with its consumer")), subscribers.delete)

	register(of, get("specs-list", "/v1/specs", "List what was made over the API, as the configuration file would have it"), h.listSpecs)
	register(of, looking(post("plan", planPath, "Say what it takes to have the entries as a document says, and change nothing")), h.plan)

	register(of, get("keys-list", "/v1/keys", "List the API keys of the environment"), h.listKeys)
	register(of, get("keys-get", "/v1/keys/{id}", "Show an API key"), h.getKey)
	register(of, created(post("keys-create", "/v1/keys", "Make an API key; its text is shown this once")), h.createKey)
	register(of, put("keys-update", "/v1/keys/{id}", "Rename an API key, or restrict it"), h.updateKey)
	register(of, created(post("keys-roll", "/v1/keys/{id}/roll", "Replace an API key, which expires now or later")), h.rollKey)
	register(of, emptied(remove("keys-delete", "/v1/keys/{id}", "Delete an API key, unless it is the last valid one")), h.deleteKey)
}

func get(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}
}

func post(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary}
}

// accepted is an operation whose answer says that something will happen.
func accepted(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusAccepted
	return op
}

func put(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodPut, Path: path, Summary: summary}
}

// created is an operation that makes something new.
func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

// emptied is an operation whose answer has no body.
func emptied(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusNoContent
	return op
}

func remove(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodDelete, Path: path, Summary: summary}
}

// statuses are the refusals that every operation may have.
var statuses = []int{400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503}

// register adds an operation. Whatever error its handler returns becomes a
// problem, and its cause goes to the log.
func register[I, O any](to huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	op.Responses = make(map[string]*huma.Response, len(statuses))
	refusal := map[string]*huma.MediaType{problemContentType: {
		Schema: to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, ""),
	}}
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: refusal}
	}
	huma.Register(to, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			p := problemOf(err)
			exchangeOf(ctx).cause = p.cause
			return nil, p
		}
		return out, nil
	})
}

// explain writes errors in our form.
func explain(ctx huma.Context, _ string, v any) (any, error) {
	x := exchangeOf(ctx.Context())
	switch of := v.(type) {
	case *problem:
		return of.body(x.id), nil
	case *huma.ErrorModel:
		return frameworkProblem(of).body(x.id), nil
	}
	return v, nil
}

// Page is the part of a list that is asked for. What queries and paths share is
// exported for the framework, which passes over embedded structs that are not.
type Page struct {
	Limit  int `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"At most so many."`
	Offset int `query:"offset" minimum:"0" maximum:"10000" default:"0" doc:"Leave out so many. To go further back than 10000, use until."`
}

// output is an answer with a body.
type output[T any] struct{ Body T }

func answer[T any](body T) *output[T] { return &output[T]{Body: body} }

func listed[T any](data []T, more bool) *output[api.List[T]] {
	if data == nil {
		data = []T{}
	}
	return answer(api.List[T]{Data: data, HasMore: more})
}
