package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Source is a sender of webhooks.
type Source struct {
	Name          string         `json:"name" example:"clink"`
	ID            string         `json:"id" example:"src_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
	Env           string         `json:"env" enum:"prod,test"`
	Path          string         `json:"path" doc:"Where its requests are received, on listen.ingest." example:"/in/clink"`
	Preset        string         `json:"preset,omitempty"`
	Verify        map[string]any `json:"verify,omitempty" doc:"How requests are verified; beside a preset, what differs from it."`
	Event         []string       `json:"event,omitempty" doc:"Where the event's name is."`
	DeliveryID    []string       `json:"delivery_id,omitempty" doc:"What tells a redelivery from a new event."`
	Batch         string         `json:"batch,omitempty"`
	MaskedSecrets []string       `json:"masked_secrets,omitempty" doc:"The ends of its secrets."`
	PublicKeys    []string       `json:"public_keys,omitempty"`
	AllowIPs      []string       `json:"allow_ips,omitempty"`
	MaxBody       string         `json:"max_body,omitempty" example:"1MiB"`
	Rate          string         `json:"rate,omitempty" example:"500/s"`
	PublicURL     string         `json:"public_url,omitempty"`
	KeepHeaders   []string       `json:"keep_headers,omitempty"`
	ManagedBy     string         `json:"managed_by" enum:"file,api"`
	Problem       string         `json:"problem,omitempty" doc:"Why it is not in force although it was made."`
	CreatedAt     time.Time      `json:"created_at,omitzero"`
	UpdatedAt     time.Time      `json:"updated_at,omitzero"`
}

// SourceSpec is what a source shall be: the keys that the configuration file has
// for one. What is left out is as before, or the default of a new one.
type SourceSpec struct {
	Name        string         `json:"name,omitempty" maxLength:"63" doc:"The last part of its address. It cannot be changed." example:"clink"`
	Env         string         `json:"env,omitempty" enum:"prod,test" doc:"That of the API key."`
	Preset      string         `json:"preset,omitempty" maxLength:"64" example:"clink"`
	Verify      map[string]any `json:"verify,omitempty"`
	Event       []string       `json:"event,omitempty" maxItems:"20"`
	DeliveryID  []string       `json:"delivery_id,omitempty" maxItems:"20"`
	Batch       string         `json:"batch,omitempty"`
	Secrets     []string       `json:"secrets,omitempty" maxItems:"10" doc:"Shared secrets, any of which may match. They are not shown."`
	PublicKeys  []string       `json:"public_keys,omitempty" maxItems:"10"`
	AllowIPs    []string       `json:"allow_ips,omitempty" maxItems:"200"`
	MaxBody     string         `json:"max_body,omitempty" example:"1MiB"`
	Rate        string         `json:"rate,omitempty" example:"500/s"`
	PublicURL   string         `json:"public_url,omitempty" maxLength:"2048"`
	KeepHeaders []string       `json:"keep_headers,omitempty" maxItems:"50"`
}

// Sources lists the sources of the environment.
func (c *Client) Sources(ctx context.Context, page Page) (List[Source], error) {
	var list List[Source]
	return list, c.do(ctx, http.MethodGet, "/v1/sources"+page.query(), nil, &list)
}

// Source returns a source.
func (c *Client) Source(ctx context.Context, name string) (Source, error) {
	var s Source
	return s, c.do(ctx, http.MethodGet, "/v1/sources/"+url.PathEscape(name), nil, &s)
}

// CreateSource makes a source.
func (c *Client) CreateSource(ctx context.Context, spec SourceSpec) (Source, error) {
	var s Source
	return s, c.do(ctx, http.MethodPost, "/v1/sources", spec, &s)
}

// UpdateSource changes what spec says of a source, and nothing else.
func (c *Client) UpdateSource(ctx context.Context, name string, spec SourceSpec) (Source, error) {
	var s Source
	return s, c.do(ctx, http.MethodPut, "/v1/sources/"+url.PathEscape(name), spec, &s)
}

// DeleteSource removes a source. Its events stay.
func (c *Client) DeleteSource(ctx context.Context, name string) error {
	_, err := c.send(ctx, http.MethodDelete, "/v1/sources/"+url.PathEscape(name), nil)
	return err
}

// Account is that of a merchant at a provider whose webhook API jethook speaks.
type Account struct {
	Provider string `json:"provider" enum:"clink,chip,diddo"`
	APIKey   string `json:"api_key" minLength:"1" maxLength:"4096" doc:"Of the provider. It is used for this request and not kept."`
	BaseURL  string `json:"base_url,omitempty" maxLength:"2048" doc:"Of the provider's API, where it has several or none is known." example:"https://uat-api.clinkbill.com/api"`
}

// Connect asks for a source to be registered with its provider.
type Connect struct {
	Account
	Name      string         `json:"name,omitempty" maxLength:"63" doc:"Of the source: the provider's unless said."`
	PublicURL string         `json:"public_url" minLength:"1" maxLength:"2048" doc:"Where the provider reaches listen.ingest." example:"https://hooks.example.com"`
	Events    []string       `json:"events,omitempty" maxItems:"200" doc:"Names of the provider's events: all of its catalogue unless said."`
	Verify    map[string]any `json:"verify,omitempty" doc:"How requests are verified, for a provider that does not publish it."`
	Rotate    bool           `json:"rotate,omitempty" doc:"Have the provider make a new secret; the one before stays valid here."`
	DryRun    bool           `json:"dry_run,omitempty" doc:"Look, and change nothing."`
}

// Connected is what became of it.
type Connected struct {
	Address string   `json:"address" doc:"Where the provider sends to."`
	Events  []string `json:"events" nullable:"false"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Rotated bool     `json:"rotated,omitempty" doc:"The provider has made a new secret."`
	Webhook Webhook  `json:"webhook" doc:"As the provider has it; without an id where there is none yet."`
	Source  *Source  `json:"source,omitempty"`
}

// Webhook is one that is registered at a provider.
type Webhook struct {
	ID      string   `json:"id"`
	URL     string   `json:"url"`
	Events  []string `json:"events" nullable:"false"`
	Enabled bool     `json:"enabled"`
}

// Connect registers a source with its provider and keeps what that signs with.
func (c *Client) Connect(ctx context.Context, how Connect) (Connected, error) {
	var done Connected
	return done, c.do(ctx, http.MethodPost, "/v1/sources/connect", how, &done)
}

// Registered lists what is registered at a provider.
func (c *Client) Registered(ctx context.Context, of Account) (List[Webhook], error) {
	var list List[Webhook]
	return list, c.do(ctx, http.MethodPost, "/v1/sources/registered", of, &list)
}

// Disconnect removes a source at its provider, and then here.
func (c *Client) Disconnect(ctx context.Context, name string, of Account) error {
	body, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	_, err = c.send(ctx, http.MethodPost, "/v1/sources/"+url.PathEscape(name)+"/disconnect", body)
	return err
}
