package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/managed"
)

// clink is Clink's API: POST /webhook/endpoints as its API reference has it, PUT
// /webhook/endpoints/ensure as its documentation describes it, and the other
// operations in the same style.
var clink = face{name: "clink", preset: "clink", style: "clink", maxURL: 512, refuse: refuseClink}

// maxClinkDescription is the API reference's bound, in characters.
const maxClinkDescription = 512

// clinkID begins the ids of Clink's endpoints.
const clinkID = "whk_"

func (h *Handler) clinkRoutes() map[string]faceHandler {
	return map[string]faceHandler{
		"POST /api/webhook/endpoints":        h.createClink,
		"PUT /api/webhook/endpoints/ensure":  h.ensureClink,
		"GET /api/webhook/endpoints":         h.listClink,
		"GET /api/webhook/endpoints/{id}":    h.getClink,
		"PUT /api/webhook/endpoints/{id}":    h.updateClink,
		"DELETE /api/webhook/endpoints/{id}": h.deleteClink,
	}
}

// clinkEndpoint is the data of Clink's answers.
type clinkEndpoint struct {
	ID                  string   `json:"id"`
	URL                 string   `json:"url"`
	Events              []string `json:"events"`
	Enabled             bool     `json:"enabled"`
	SigningSecret       string   `json:"signingSecret,omitempty"`
	MaskedSigningSecret string   `json:"maskedSigningSecret"`
	Description         string   `json:"description"`
	CreatedAt           int64    `json:"createdAt"` // ms since 1970
	UpdatedAt           int64    `json:"updatedAt"`
}

func clinkEndpointOf(shown faced, secret config.Secret) clinkEndpoint {
	return clinkEndpoint{
		ID: clinkID + hex.EncodeToString(shown.id[:]), URL: shown.url, Events: shown.names, Enabled: shown.enabled,
		SigningSecret: secret.Reveal(), MaskedSigningSecret: maskedSecret(shown.secret), Description: shown.description,
		CreatedAt: unixMilli(shown.created), UpdatedAt: unixMilli(shown.updated),
	}
}

// clinkAnswer is the form of all of Clink's answers.
type clinkAnswer struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

func answerClink(w http.ResponseWriter, data any) error {
	return writeFaced(w, http.StatusOK, clinkAnswer{Code: http.StatusOK, Msg: "Success", Data: data})
}

// writeFaced answers with JSON.
func writeFaced(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that has gone changes nothing
	return nil
}

func refuseClink(w http.ResponseWriter, p *problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	status := p.GetStatus()
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	messages := make([]string, 0, len(p.fields))
	for _, f := range p.fields {
		messages = append(messages, strings.TrimPrefix(f.Field, "body.")+": "+f.Message)
	}
	msg := p.detail
	if len(messages) > 0 {
		msg = strings.Join(messages, "; ")
	}
	_ = writeFaced(w, status, clinkAnswer{Code: status, Msg: msg}) // never fails
}

// readClink checks the fields of a request, which need not be there where they
// are to be changed alone.
func (h *Handler) readClink(ctx context.Context, fields map[string]any, change bool, before map[string]any) (map[string]any, error) {
	spec := map[string]any{}
	var found []wrong
	if url, given, ok := text(fields, "url"); !change || given || !ok {
		found = append(found, h.checkURL(ctx, &clink, "url", url)...)
		spec["url"] = url
	}
	if names, given, ok := texts(fields, "events"); !change || given || !ok {
		switch {
		case !ok:
			found = append(found, wrong{"events", "Event names are texts; numeric event codes are not accepted.", "invalid"})
		case len(names) == 0:
			found = append(found, wrong{"events", "At least one event is required.", "required"})
		}
		found = append(found, clink.checkNames(names, "events")...)
		for key, value := range h.selection(&clink, exchangeOf(ctx).key.Env, names, false, before) {
			spec[key] = value
		}
	}
	if description, given, ok := text(fields, "description"); given {
		if !ok || utf8.RuneCountInString(description) > maxClinkDescription {
			found = append(found, wrong{"description", "The description is a text of at most 512 characters.", "max_length"})
		}
		spec["description"] = description
	}
	if enabled, given, ok := boolean(fields, "enabled"); given {
		if !ok {
			found = append(found, wrong{"enabled", "enabled is true or false.", "invalid"})
		}
		spec["enabled"] = enabled
	}
	return spec, invalidFields(found)
}

// invalidFields is the refusal of fields that are wrong, or nil.
func invalidFields(found []wrong) error {
	if len(found) == 0 {
		return nil
	}
	return &managed.Invalid{Fields: fieldsOf(found)}
}

func fieldsOf(found []wrong) []managed.Field {
	var fields []managed.Field
	for _, w := range found {
		fields = append(fields, managed.Field{Name: "body." + w.field, Message: w.message})
	}
	return fields
}

func (h *Handler) createClink(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	fields, err := body(r)
	if err != nil {
		return err
	}
	shown, err := h.makeClink(ctx, fields)
	if err != nil {
		return err
	}
	return answerClink(w, clinkEndpointOf(shown, shown.secret))
}

func (h *Handler) makeClink(ctx context.Context, fields map[string]any) (faced, error) {
	spec, err := h.readClink(ctx, fields, false, nil)
	if err != nil {
		return faced{}, err
	}
	spec["signature"] = clink.style
	e, err := h.config.Managed.Create(ctx, managed.Endpoints, exchangeOf(ctx).key.Env, clink.name, spec)
	if err != nil {
		return faced{}, err
	}
	return h.findFaced(ctx, &clink, e.ID)
}

// clinkEnsured is the data of the answer to ensure.
type clinkEnsured struct {
	Endpoint                       clinkEndpoint `json:"endpoint"`
	SigningSecretAvailable         bool          `json:"signingSecretAvailable"`
	SigningSecretUnavailableReason string        `json:"signingSecretUnavailableReason,omitempty"`
	NextAction                     string        `json:"nextAction,omitempty"`
}

// What ensure says where a secret was asked for that is not returned any more.
const (
	secretNotReturnable = "EXISTING_SECRET_NOT_RETURNABLE"
	nextRotateSecret    = "ROTATE_SECRET" // ask again with rotateSecret
)

// ensureClink makes the endpoint of a url, or changes it. A secret is returned
// when it was made in this request, and else only a new one.
func (h *Handler) ensureClink(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	fields, err := body(r)
	if err != nil {
		return err
	}
	flags := map[string]bool{"returnSigningSecret": true}
	for _, name := range []string{"returnSigningSecret", "rotateSecret", "rotateSecretIfUnavailable"} {
		value, given, ok := boolean(fields, name)
		if !ok {
			return invalidFields([]wrong{{name, name + " is true or false.", "invalid"}})
		}
		if given {
			flags[name] = value
		}
	}
	url, _, _ := text(fields, "url")
	shown, have := h.findURL(ctx, &clink, url)
	if !have {
		if shown, err = h.makeClink(ctx, fields); err != nil {
			return err
		}
		return answerClink(w, ensured(shown, flags["returnSigningSecret"], flags["returnSigningSecret"]))
	}
	spec, err := h.readClink(ctx, fields, true, h.specOf(shown))
	if err != nil {
		return err
	}
	if shown, err = h.updateFaced(ctx, &clink, shown, spec); err != nil {
		return err
	}
	rotate := flags["rotateSecret"] || flags["rotateSecretIfUnavailable"] && flags["returnSigningSecret"]
	if rotate {
		e, err := h.edit(ctx, managed.Endpoints, shown.entry.Name, "", func(e managed.Entry) (managed.Entry, error) {
			return h.config.Managed.Rotate(ctx, e, config.Secret{}, defaultOverlap)
		})
		if err != nil {
			return err
		}
		if shown, err = h.findFaced(ctx, &clink, e.ID); err != nil {
			return err
		}
	}
	return answerClink(w, ensured(shown, flags["returnSigningSecret"], rotate))
}

// ensured is the answer about an endpoint whose secret the caller asked for or
// not, and which may be returned or not.
func ensured(shown faced, asked, returnable bool) clinkEnsured {
	answer := clinkEnsured{SigningSecretAvailable: asked && returnable}
	secret := config.Secret{}
	switch {
	case asked && returnable:
		secret = shown.secret
	case asked:
		answer.SigningSecretUnavailableReason, answer.NextAction = secretNotReturnable, nextRotateSecret
	}
	answer.Endpoint = clinkEndpointOf(shown, secret)
	return answer
}

// findURL returns the endpoint of a url, the oldest where there are several.
func (h *Handler) findURL(ctx context.Context, f *face, url string) (faced, bool) {
	for _, shown := range h.allFaced(ctx, f) {
		if shown.url == url && url != "" {
			return shown, true
		}
	}
	return faced{}, false
}

// specOf is what an endpoint was made of, nil for one of the file.
func (h *Handler) specOf(shown faced) map[string]any {
	if shown.entry == nil {
		return nil
	}
	return shown.entry.Selection()
}

func (h *Handler) listClink(ctx context.Context, w http.ResponseWriter, _ *http.Request) error {
	list := []clinkEndpoint{}
	for _, shown := range h.allFaced(ctx, &clink) {
		list = append(list, clinkEndpointOf(shown, config.Secret{}))
	}
	return answerClink(w, list)
}

// namedClink returns the endpoint that a path names.
func (h *Handler) namedClink(ctx context.Context, r *http.Request) (faced, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(r.PathValue("id"), clinkID))
	if err != nil || len(raw) != len(uuid.UUID{}) || !strings.HasPrefix(r.PathValue("id"), clinkID) {
		return faced{}, noEndpoint()
	}
	return h.findFaced(ctx, &clink, uuid.UUID(raw))
}

func (h *Handler) getClink(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedClink(ctx, r)
	if err != nil {
		return err
	}
	return answerClink(w, clinkEndpointOf(shown, config.Secret{}))
}

func (h *Handler) updateClink(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedClink(ctx, r)
	if err != nil {
		return err
	}
	fields, err := body(r)
	if err != nil {
		return err
	}
	spec, err := h.readClink(ctx, fields, true, h.specOf(shown))
	if err != nil {
		return err
	}
	if shown, err = h.updateFaced(ctx, &clink, shown, spec); err != nil {
		return err
	}
	return answerClink(w, clinkEndpointOf(shown, config.Secret{}))
}

func (h *Handler) deleteClink(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	shown, err := h.namedClink(ctx, r)
	if err != nil {
		return err
	}
	if err := h.deleteFaced(ctx, shown); err != nil {
		return err
	}
	return answerClink(w, nil)
}
