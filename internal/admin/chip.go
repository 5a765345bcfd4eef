package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/jethook/jethook/internal/managed"
)

// chip is the webhooks of CHIP Collect's API, with a slash at the end of its
// paths, or without.
var chip = face{name: "chip", preset: "chip-collect", style: "chip", maxURL: 500, refuse: refuseCHIP}

// maxCHIPTitle is the API reference's bound, in characters.
const maxCHIPTitle = 100

func (h *Handler) chipRoutes() map[string]faceHandler {
	routes := map[string]faceHandler{}
	for route, handle := range map[string]faceHandler{
		"POST /webhooks":        h.createCHIP,
		"GET /webhooks":         h.listCHIP,
		"GET /webhooks/{id}":    h.getCHIP,
		"PUT /webhooks/{id}":    h.updateCHIP,
		"PATCH /webhooks/{id}":  h.patchCHIP,
		"DELETE /webhooks/{id}": h.deleteCHIP,
	} {
		routes[route], routes[route+"/{$}"] = handle, handle
	}
	return routes
}

// chipWebhook is one of CHIP's webhooks.
type chipWebhook struct {
	Type      string   `json:"type"`
	ID        string   `json:"id"`
	CreatedOn int64    `json:"created_on"` // seconds since 1970
	UpdatedOn int64    `json:"updated_on"`
	Title     string   `json:"title"`
	AllEvents bool     `json:"all_events"`
	PublicKey string   `json:"public_key"`
	Events    []string `json:"events"`
	Callback  string   `json:"callback"`
}

func chipWebhookOf(shown faced) chipWebhook {
	return chipWebhook{Type: "webhook", ID: shown.id.String(), CreatedOn: unixSeconds(shown.created), UpdatedOn: unixSeconds(shown.updated),
		Title: shown.description, AllEvents: shown.all, PublicKey: shown.public, Events: shown.names, Callback: shown.url}
}

func unixSeconds(t time.Time) int64 { return unixMilli(t) / 1000 }

// chipList is all of them on one page.
type chipList struct {
	Results  []chipWebhook `json:"results"`
	Next     *string       `json:"next"`
	Previous *string       `json:"previous"`
}

// chipMessage is one thing that is wrong, under the name of its field or __all__.
type chipMessage struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

func refuseCHIP(w http.ResponseWriter, p *problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	status := p.GetStatus()
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	answer := map[string][]chipMessage{}
	for _, f := range p.fields {
		name := strings.TrimPrefix(f.Field, "body.")
		answer[name] = append(answer[name], chipMessage{f.Message, string(p.code)})
	}
	if len(answer) == 0 {
		answer["__all__"] = []chipMessage{{p.detail, string(p.code)}}
	}
	_ = writeFaced(w, status, answer) // never fails
}

// readCHIP checks the fields of a request.
func (h *Handler) readCHIP(ctx context.Context, fields map[string]any, change bool, before map[string]any) (map[string]any, error) {
	spec := map[string]any{}
	var found []wrong
	if callback, given, ok := text(fields, "callback"); !change || given || !ok {
		found = append(found, h.checkURL(ctx, &chip, "callback", callback)...)
		spec["url"] = callback
	}
	if title, given, ok := text(fields, "title"); !change || given || !ok {
		switch {
		case !ok || title == "":
			found = append(found, wrong{"title", "This field is required.", "required"})
		case utf8.RuneCountInString(title) > maxCHIPTitle:
			found = append(found, wrong{"title", "Ensure this field has no more than 100 characters.", "max_length"})
		}
		spec["description"] = title
	}
	all, givenAll, okAll := boolean(fields, "all_events")
	names, givenNames, okNames := texts(fields, "events")
	if !change || givenAll || givenNames || !okAll || !okNames {
		switch {
		case !okAll:
			found = append(found, wrong{"all_events", "Must be a valid boolean.", "invalid"})
		case !okNames:
			found = append(found, wrong{"events", "Expected a list of event names.", "not_a_list"})
		case !all && len(names) == 0:
			found = append(found, wrong{"events", "Either this or all_events is required.", "required"})
		}
		found = append(found, chip.checkNames(names, "events")...)
		for key, value := range h.selection(&chip, exchangeOf(ctx).key.Env, names, all, before) {
			spec[key] = value
		}
	}
	return spec, invalidFields(found)
}

func (h *Handler) createCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	fields, err := body(r)
	if err != nil {
		return err
	}
	spec, err := h.readCHIP(ctx, fields, false, nil)
	if err != nil {
		return err
	}
	spec["signature"] = chip.style
	e, err := h.config.Managed.Create(ctx, managed.Endpoints, exchangeOf(ctx).key.Env, chip.name, spec)
	if err != nil {
		return err
	}
	shown, err := h.findFaced(ctx, &chip, e.ID)
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusCreated, chipWebhookOf(shown))
}

func (h *Handler) listCHIP(ctx context.Context, w http.ResponseWriter, _ *http.Request) error {
	list := chipList{Results: []chipWebhook{}}
	for _, shown := range slices.Backward(h.allFaced(ctx, &chip)) {
		list.Results = append(list.Results, chipWebhookOf(shown))
	}
	return writeFaced(w, http.StatusOK, list)
}

// namedCHIP returns the webhook that a path names.
func (h *Handler) namedCHIP(ctx context.Context, r *http.Request) (faced, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || len(r.PathValue("id")) != 36 {
		return faced{}, noEndpoint()
	}
	return h.findFaced(ctx, &chip, id)
}

func (h *Handler) getCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedCHIP(ctx, r)
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusOK, chipWebhookOf(shown))
}

func (h *Handler) updateCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	return h.changeCHIP(ctx, w, r, false)
}

func (h *Handler) patchCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	return h.changeCHIP(ctx, w, r, true)
}

func (h *Handler) changeCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request, partial bool) error {
	shown, err := h.namedCHIP(ctx, r)
	if err != nil {
		return err
	}
	fields, err := body(r)
	if err != nil {
		return err
	}
	spec, err := h.readCHIP(ctx, fields, partial, h.specOf(shown))
	if err == nil {
		shown, err = h.updateFaced(ctx, &chip, shown, spec)
	}
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusOK, chipWebhookOf(shown))
}

func (h *Handler) deleteCHIP(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedCHIP(ctx, r)
	if err == nil {
		err = h.deleteFaced(ctx, shown)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
