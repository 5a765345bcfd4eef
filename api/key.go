package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Key is an API key, without its text.
type Key struct {
	ID        string    `json:"id" example:"key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
	Name      string    `json:"name,omitempty"`
	Env       string    `json:"env" enum:"prod,test"`
	Masked    string    `json:"masked" doc:"Its beginning and its end, where that is known." example:"sk_prod_...k2xq"`
	Allow     []string  `json:"allow" nullable:"false" doc:"Addresses and networks that it may be used from; from everywhere where there is none."`
	ReadOnly  bool      `json:"read_only" doc:"It may read and change nothing."`
	ManagedBy string    `json:"managed_by" enum:"file,api" doc:"What can change it."`
	Valid     bool      `json:"valid" doc:"It has not expired."`
	CreatedAt time.Time `json:"created_at,omitzero"`
	CreatedBy string    `json:"created_by,omitempty" doc:"The id of the key that made it."`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	LastUsed  time.Time `json:"last_used_at,omitzero" doc:"To a minute."`

	Key string `json:"key,omitempty" doc:"Its text, shown when it was made and never again."`
}

// KeySpec is what an API key shall be. What is left out is as before, or the
// default of a new one.
type KeySpec struct {
	Name     *string   `json:"name,omitempty" maxLength:"100"`
	Allow    *[]string `json:"allow,omitempty" maxItems:"100" doc:"Addresses and networks, such as 203.0.113.7 or 10.0.0.0/8, that it may be used from; an empty list is everywhere." example:"[\"203.0.113.0/24\"]"`
	ReadOnly *bool     `json:"read_only,omitempty"`
}

// RollKey asks for a key to be replaced.
type RollKey struct {
	ExpiresIn string `json:"expires_in,omitempty" doc:"How long the old key stays valid: 0s unless said, or 1h to 168h." example:"24h"`
}

// Keys lists the API keys of the environment.
func (c *Client) Keys(ctx context.Context, page Page) (List[Key], error) {
	var list List[Key]
	return list, c.do(ctx, http.MethodGet, "/v1/keys"+page.query(), nil, &list)
}

// CreateKey makes an API key. The answer has its text, this once.
func (c *Client) CreateKey(ctx context.Context, spec KeySpec) (Key, error) {
	var k Key
	return k, c.do(ctx, http.MethodPost, "/v1/keys", spec, &k)
}

// UpdateKey changes what spec says of an API key.
func (c *Client) UpdateKey(ctx context.Context, id string, spec KeySpec) (Key, error) {
	var k Key
	return k, c.do(ctx, http.MethodPut, "/v1/keys/"+url.PathEscape(id), spec, &k)
}

// RollKey replaces an API key. The answer is the new one, with its text.
func (c *Client) RollKey(ctx context.Context, id string, how RollKey) (Key, error) {
	var k Key
	return k, c.do(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(id)+"/roll", how, &k)
}

// DeleteKey deletes an API key, unless it is the last valid one.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	_, err := c.send(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil)
	return err
}
