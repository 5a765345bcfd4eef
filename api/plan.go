package api

import (
	"context"
	"net/http"
	"net/url"
)

// The kinds of entries.
const (
	KindSources     = "sources"
	KindEndpoints   = "endpoints"
	KindSubscribers = "subscribers"
)

// Spec is what was made over the API, as the configuration file would have it.
type Spec struct {
	Kind   string         `json:"kind" enum:"sources,endpoints,subscribers"`
	Name   string         `json:"name"`
	Spec   map[string]any `json:"spec" doc:"The keys that were given, with *** in place of secrets."`
	Masked []string       `json:"masked,omitempty" nullable:"false" doc:"The keys whose values are not shown as they are." example:"[\"auth.bearer\",\"secrets[0]\"]"`
}

// SpecQuery selects the entries of a kind, by name: up to Limit of those after a name.
type SpecQuery struct {
	Kind, After string
	Limit       int // 0 for the API's default
}

// Document is what the entries of an environment shall be, each in whole. A kind that is
// nil is left as it is; of one that is empty there shall be none.
type Document struct {
	Sources     []SourceSpec     `json:"sources,omitzero" nullable:"false"`
	Endpoints   []EndpointSpec   `json:"endpoints,omitzero" nullable:"false"`
	Subscribers []SubscriberSpec `json:"subscribers,omitzero" nullable:"false"`
}

// Plan asks what it takes to have the entries as a document says.
type Plan struct {
	Document
	Prune bool `json:"prune,omitempty" doc:"Delete what else there is of the kinds that the document has, but for the entries of the file."`
}

// What is to be done with an entry.
const (
	ActionCreate    = "create"
	ActionUpdate    = "update"
	ActionDelete    = "delete"
	ActionUnchanged = "unchanged"
	ActionLeft      = "left"
	ActionConflict  = "conflict"
)

// Change is what it takes to have one entry as a document says.
type Change struct {
	Action    string        `json:"action" enum:"create,update,delete,unchanged,left,conflict" doc:"left: the document does not have it. conflict: the configuration file has it, and says something else."`
	Kind      string        `json:"kind" enum:"sources,endpoints,subscribers"`
	Name      string        `json:"name"`
	ManagedBy string        `json:"managed_by,omitempty" enum:"file,api" doc:"What can change it; absent where there is none yet."`
	ETag      string        `json:"etag,omitempty" doc:"Of the state that was compared, to send as If-Match."`
	Fields    []FieldChange `json:"fields,omitempty" nullable:"false"`

	// Of an endpoint that was made or changed; the API does not say them in a plan.
	Secret    string `json:"secret,omitempty" doc:"Never in a plan."`
	PublicKey string `json:"public_key,omitempty" doc:"Never in a plan."`
}

// FieldChange is a key with another value.
type FieldChange struct {
	Field string `json:"field" example:"retry.attempts"`
	From  any    `json:"from,omitempty" doc:"Absent where it is empty; *** for a secret."`
	To    any    `json:"to,omitempty" doc:"Absent where it is empty; *** for a secret, also where both are and differ."`
}

// Specs lists what was made over the API.
func (c *Client) Specs(ctx context.Context, q SpecQuery) (List[Spec], error) {
	var list List[Spec]
	return list, c.do(ctx, http.MethodGet, "/v1/specs"+Page{Limit: q.Limit}.query("kind", q.Kind, "after", q.After), nil, &list)
}

// Plan says what it takes to have the entries as a document says, and changes
// nothing.
func (c *Client) Plan(ctx context.Context, of Plan) ([]Change, error) {
	var list List[Change]
	err := c.do(ctx, http.MethodPost, "/v1/plan", of, &list)
	return list.Data, err
}

// Replace makes an entry of a kind what spec, an EndpointSpec, a SourceSpec or a
// SubscriberSpec, says in whole, where its state is still that of etag. What spec
// leaves out is the default again, but for secrets, which stay. Of an endpoint it
// returns what it is then.
func (c *Client) Replace(ctx context.Context, kind, name, etag string, spec any) (Endpoint, error) {
	var e Endpoint
	err := c.do(ctx, http.MethodPut, entryPath(kind, name)+"?replace=true", spec, &e, "If-Match", etag)
	if kind != KindEndpoints {
		e = Endpoint{}
	}
	return e, err
}

// Delete removes an entry of a kind, where its state is still that of etag.
func (c *Client) Delete(ctx context.Context, kind, name, etag string) error {
	_, err := c.send(ctx, http.MethodDelete, entryPath(kind, name), nil, "If-Match", etag)
	return err
}

func entryPath(kind, name string) string { return "/v1/" + kind + "/" + url.PathEscape(name) }
