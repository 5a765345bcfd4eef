package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/managed"
)

// diddo is Diddo's API: GET, POST /webhook and GET, PUT, DELETE /webhook/{id}, as
// its documentation lists them with their fields and statuses. It does not print
// the bodies of answers, nor how it signs; deliveries are signed as Standard
// Webhooks.
var diddo = face{name: "diddo", preset: "diddo", style: "standard", maxURL: 2048, refuse: refuseDiddo}

// Bounds of Diddo's lists.
const (
	diddoLimit    = 20
	maxDiddoLimit = 100
)

func (h *Handler) diddoRoutes() map[string]faceHandler {
	return map[string]faceHandler{
		"POST /webhook":        h.createDiddo,
		"GET /webhook":         h.listDiddo,
		"GET /webhook/{id}":    h.getDiddo,
		"PUT /webhook/{id}":    h.updateDiddo,
		"DELETE /webhook/{id}": h.deleteDiddo,
	}
}

// diddoWebhook is one of Diddo's webhooks.
type diddoWebhook struct {
	ID          string    `json:"id"`
	URL         string    `json:"url"`
	Description string    `json:"description"`
	Events      []string  `json:"events"`
	Active      bool      `json:"active"`
	Secret      string    `json:"secret,omitempty"` // at its creation alone
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

func diddoWebhookOf(shown faced, secret config.Secret) diddoWebhook {
	return diddoWebhook{ID: shown.id.String(), URL: shown.url, Description: shown.description, Events: shown.names,
		Active: shown.enabled, Secret: secret.Reveal(), CreatedAt: shown.created, UpdatedAt: shown.updated}
}

// diddoList is a page of them.
type diddoList struct {
	Data   []diddoWebhook `json:"data"`
	Total  int            `json:"total"`
	Limit  int            `json:"limit"`
	Offset int            `json:"offset"`
}

// diddoError is the form of refusals.
type diddoError struct {
	Error   string              `json:"error"`
	Message string              `json:"message"`
	Details []map[string]string `json:"details,omitempty"`
}

func refuseDiddo(w http.ResponseWriter, p *problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	status := p.GetStatus()
	if !slices.Contains([]int{400, 401, 403, 404, 405, 409, 429, 503}, status) {
		status = http.StatusInternalServerError
	}
	if p.GetStatus() == http.StatusUnprocessableEntity || p.GetStatus() == http.StatusRequestEntityTooLarge {
		status = http.StatusBadRequest
	}
	answer := diddoError{Error: http.StatusText(status), Message: p.detail}
	for _, f := range p.fields {
		answer.Details = append(answer.Details, map[string]string{"field": strings.TrimPrefix(f.Field, "body."), "message": f.Message})
	}
	_ = writeFaced(w, status, answer) // never fails
}

// readDiddo checks the fields of a request.
func (h *Handler) readDiddo(ctx context.Context, fields map[string]any, change bool, before map[string]any) (map[string]any, error) {
	spec := map[string]any{}
	var found []wrong
	if url, given, ok := text(fields, "url"); !change || given || !ok {
		found = append(found, h.checkURL(ctx, &diddo, "url", url)...)
		spec["url"] = url
	}
	if names, given, ok := texts(fields, "events"); !change || given || !ok {
		if !ok || len(names) == 0 {
			found = append(found, wrong{"events", "events is a list of at least one event type.", "required"})
		}
		found = append(found, diddo.checkNames(names, "events")...)
		for key, value := range h.selection(&diddo, exchangeOf(ctx).key.Env, names, false, before) {
			spec[key] = value
		}
	}
	if description, given, ok := text(fields, "description"); given {
		if !ok {
			found = append(found, wrong{"description", "description is a text.", "invalid"})
		}
		spec["description"] = description
	}
	if active, given, ok := boolean(fields, "active"); given {
		if !ok {
			found = append(found, wrong{"active", "active is true or false.", "invalid"})
		}
		spec["enabled"] = active
	}
	return spec, invalidFields(found)
}

// conflicts refuses the url of another webhook.
func (h *Handler) conflicts(ctx context.Context, url any, but uuid.UUID) error {
	if text, ok := url.(string); ok {
		if other, taken := h.findURL(ctx, &diddo, text); taken && other.id != but {
			return refuse(nameTaken, "A webhook with this url exists.")
		}
	}
	return nil
}

func (h *Handler) createDiddo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	fields, err := body(r)
	if err != nil {
		return err
	}
	spec, err := h.readDiddo(ctx, fields, false, nil)
	if err == nil {
		err = h.conflicts(ctx, spec["url"], uuid.Nil)
	}
	if err != nil {
		return err
	}
	spec["signature"] = diddo.style
	e, err := h.config.Managed.Create(ctx, managed.Endpoints, exchangeOf(ctx).key.Env, diddo.name, spec)
	if err != nil {
		return err
	}
	shown, err := h.findFaced(ctx, &diddo, e.ID)
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusCreated, diddoWebhookOf(shown, shown.secret))
}

func (h *Handler) listDiddo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	page := diddoList{Data: []diddoWebhook{}, Limit: diddoLimit}
	var found []wrong
	number := func(name string, into *int, least, most int) {
		text := query.Get(name)
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			found = append(found, wrong{name, name + " is a number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most) + ".", "invalid"})
		}
		*into = n
	}
	number("limit", &page.Limit, 1, maxDiddoLimit)
	number("offset", &page.Offset, 0, 1<<30)
	active := query.Get("active")
	if active != "" && active != "true" && active != "false" {
		found = append(found, wrong{"active", "active is true or false.", "invalid"})
	}
	if err := invalidFields(found); err != nil {
		return err
	}
	for _, shown := range h.allFaced(ctx, &diddo) {
		if active != "" && shown.enabled != (active == "true") || query.Get("event") != "" && !slices.Contains(shown.names, query.Get("event")) {
			continue
		}
		if page.Total++; page.Total > page.Offset && len(page.Data) < page.Limit {
			page.Data = append(page.Data, diddoWebhookOf(shown, config.Secret{}))
		}
	}
	return writeFaced(w, http.StatusOK, page)
}

// namedDiddo returns the webhook that a path names.
func (h *Handler) namedDiddo(ctx context.Context, r *http.Request) (faced, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || len(r.PathValue("id")) != 36 {
		return faced{}, refuse(badRequest, "The id is not a UUID.")
	}
	return h.findFaced(ctx, &diddo, id)
}

func (h *Handler) getDiddo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedDiddo(ctx, r)
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusOK, diddoWebhookOf(shown, config.Secret{}))
}

func (h *Handler) updateDiddo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedDiddo(ctx, r)
	if err != nil {
		return err
	}
	fields, err := body(r)
	if err != nil {
		return err
	}
	spec, err := h.readDiddo(ctx, fields, true, h.specOf(shown))
	if err == nil {
		err = h.conflicts(ctx, spec["url"], shown.id)
	}
	if err == nil {
		shown, err = h.updateFaced(ctx, &diddo, shown, spec)
	}
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusOK, diddoWebhookOf(shown, config.Secret{}))
}

func (h *Handler) deleteDiddo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedDiddo(ctx, r)
	if err == nil {
		err = h.deleteFaced(ctx, shown)
	}
	if err != nil {
		return err
	}
	return writeFaced(w, http.StatusOK, map[string]any{"id": shown.id.String(), "deleted": true})
}
