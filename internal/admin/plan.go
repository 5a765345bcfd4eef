package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/managed"
)

const (
	planPath = "/v1/plan"
	// maxPlan bounds the document of a plan, as a configuration file is bounded.
	maxPlan = 4 << 20
)

// looking is an operation that takes a whole document.
func looking(op huma.Operation) huma.Operation {
	op.MaxBodyBytes = maxPlan
	return op
}

// Extent is how much of an entry a request is about.
type Extent struct {
	Replace bool `query:"replace" doc:"The body is the entry in whole: what it leaves out is the default again. Its name, where it began, and secrets that the body leaves out stay."`
}

// updater changes an entry in what is given, or replaces it by that.
type updater func(context.Context, managed.Entry, map[string]any) (managed.Entry, error)

func (h *Handler) updater(of Extent) updater {
	if of.Replace {
		return h.config.Managed.Replace
	}
	return h.config.Managed.Update
}

func (h *Handler) listSpecs(ctx context.Context, q *struct {
	Kind  string `query:"kind" required:"true" enum:"sources,endpoints,subscribers"`
	After string `query:"after" maxLength:"64" doc:"Those whose names come after this one."`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"At most so many."`
},
) (*output[api.List[api.Spec]], error) {
	found, more := h.config.Managed.Specs(managed.Kind(q.Kind), exchangeOf(ctx).key.Env, q.After, q.Limit)
	shown := make([]api.Spec, 0, len(found))
	for _, of := range found {
		if text, ok := of.Keys["url"].(string); ok && maskedAddress(text) != text {
			of.Keys["url"] = maskedAddress(text)
			of.Masked = append(of.Masked, "url")
		}
		shown = append(shown, api.Spec{Kind: q.Kind, Name: of.Name, Spec: of.Keys, Masked: of.Masked})
	}
	return listed(shown, more), nil
}

// maskedAddress is the URL as it is, unless it has a query, whose values may be
// secret.
func maskedAddress(text string) string {
	if u, err := url.Parse(text); err == nil && u.RawQuery == "" {
		return text
	}
	return masked(text)
}

// plan changes nothing. It compares secrets, and so it is for keys that could set them.
func (h *Handler) plan(ctx context.Context, in *struct {
	Body    api.Plan
	RawBody []byte
},
) (*output[api.List[api.Change]], error) {
	exchangeOf(ctx).quiet = true
	document, err := documentOf(in.RawBody)
	if err != nil {
		return nil, err
	}
	planned, err := h.config.Managed.Plan(ctx, exchangeOf(ctx).key.Env, document, in.Body.Prune)
	if err != nil {
		return nil, err
	}
	changes := make([]api.Change, 0, len(planned))
	for _, p := range planned {
		changes = append(changes, wireChange(p))
	}
	return listed(changes, false), nil
}

// documentOf reads which entries a document has, and which of their keys. An
// entry that could not be made because of its size is refused.
func documentOf(body []byte) (managed.Document, error) {
	var lists map[managed.Kind]json.RawMessage
	if err := json.Unmarshal(body, &lists); err != nil {
		return nil, refuse(badRequest, "The body could not be read as a JSON object.")
	}
	document := make(managed.Document)
	for _, kind := range managed.Kinds {
		var entries []json.RawMessage
		if list, given := lists[kind]; !given || json.Unmarshal(list, &entries) != nil || entries == nil {
			continue // the framework has seen that it is a list
		}
		document[kind] = make([]map[string]any, len(entries))
		for i, entry := range entries {
			at := fmt.Sprintf("body.%s[%d]", kind, i)
			if len(entry) > maxBody {
				return nil, misplaced(at, "is larger than 64 KiB")
			}
			spec, err := given(entry)
			if err != nil {
				return nil, err
			}
			if kind == managed.Endpoints && spec["name"] == nil {
				return nil, misplaced(at+".name", "is missing; it says which one is meant")
			}
			if kind == managed.Endpoints && spec["name"] == "ensure" {
				return nil, misplaced(at+".name", "is the path of another operation; choose another name")
			}
			document[kind][i] = spec
		}
	}
	return document, nil
}

func wireChange(p managed.Planned) api.Change {
	c := api.Change{Action: string(p.Action), Kind: string(p.Kind), Name: p.Name}
	switch {
	case p.OfFile:
		c.ManagedBy = "file"
	case p.Revision > 0:
		c.ManagedBy, c.ETag = "api", strconv.Quote(strconv.FormatUint(p.Revision, 10))
	}
	for _, d := range p.Differences {
		if d.Key == "url" {
			d.From, d.To = maskedValue(d.From), maskedValue(d.To)
		}
		c.Fields = append(c.Fields, api.FieldChange{Field: d.Key, From: d.From, To: d.To})
	}
	return c
}

func maskedValue(value any) any {
	if text, ok := value.(string); ok {
		return maskedAddress(text)
	}
	return value
}
