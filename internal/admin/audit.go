package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/jethook/jethook/internal/event"
)

// changedType names the event that tells of a change over the API.
const changedType = "jethook.api.changed"

// change is the event's body: who changed what. It has no part of a request's
// body, which may be secret.
type change struct {
	Type      string     `json:"type"`
	Timestamp time.Time  `json:"timestamp"`
	Data      changeData `json:"data"`
}

type changeData struct {
	Env       event.Env `json:"env"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	Key       string    `json:"key"` // the id of the API key
	KeyName   string    `json:"key_name,omitempty"`
	Address   string    `json:"address"`
	RequestID string    `json:"request_id"`
}

// tell publishes that a request has changed something. It is told in the log as
// well, should the bus not take it.
func (h *Handler) tell(x *exchange, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || x.key.Env == "" || x.status >= http.StatusBadRequest || x.quiet || x.Header().Get("Idempotency-Replayed") != "" {
		return
	}
	now := h.now().UTC()
	body, err := json.Marshal(change{changedType, now, changeData{
		Env: x.key.Env, Method: r.Method, Path: loggedPath(r), Status: x.status, Key: x.key.id(), KeyName: x.key.Name, Address: x.from.String(), RequestID: x.id,
	}})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTimeout)
		defer cancel()
		_, err = h.config.Bus.Publish(ctx, &event.Event{
			ID: event.NewID(x.key.Env, event.System, "api "+x.id), Env: x.key.Env, Source: event.System, Type: changedType,
			Time: now, ContentType: "application/json", Data: body,
		})
	}
	if err != nil {
		h.config.Logger.Warn("that something was changed over the API could not be published", "request_id", x.id, "error", err)
	}
}
