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

// ByName has every spec of the document, a SourceSpec, an EndpointSpec or a
// SubscriberSpec, by its kind and name, such as endpoints/billing.
func (d *Document) ByName() map[string]any {
	specs := make(map[string]any)
	for _, s := range d.Sources {
		specs[KindSources+"/"+s.Name] = s
	}
	for _, e := range d.Endpoints {
		specs[KindEndpoints+"/"+e.Name] = e
	}
	for _, s := range d.Subscribers {
		specs[KindSubscribers+"/"+s.Name] = s
	}
	return specs
}

// Create makes an entry of a kind. Of an endpoint it returns what it is then, with
// a secret that was generated.
func (c *Client) Create(ctx context.Context, kind string, spec any) (Endpoint, error) {
	return c.put(ctx, http.MethodPost, kind, "/v1/"+kind, spec)
}

// Replace makes an entry of a kind what spec, an EndpointSpec, a SourceSpec or a
// SubscriberSpec, says in whole, where its state is still that of etag. What spec
// leaves out is the default again, but for secrets, which stay. Of an endpoint it
// returns what it is then.
func (c *Client) Replace(ctx context.Context, kind, name, etag string, spec any) (Endpoint, error) {
	return c.put(ctx, http.MethodPut, kind, entryPath(kind, name)+"?replace=true", spec, "If-Match", etag)
}

func (c *Client) put(ctx context.Context, method, kind, path string, spec any, header ...string) (e Endpoint, err error) {
	if kind == KindEndpoints {
		err = c.do(ctx, method, path, spec, &e, header...)
		return e, err
	}
	var entry struct{} // what else it is does not concern the caller
	return e, c.do(ctx, method, path, spec, &entry, header...)
}

// Delete removes an entry of a kind, where its state is still that of etag.
func (c *Client) Delete(ctx context.Context, kind, name, etag string) error {
	_, err := c.send(ctx, http.MethodDelete, entryPath(kind, name), nil, "If-Match", etag)
	return err
}

func entryPath(kind, name string) string { return "/v1/" + kind + "/" + url.PathEscape(name) }
