package api

import (
	"context"
	"net/http"
	"net/url"
)

// CreateEndpoint makes an endpoint. The answer has its secret, this once, where
// that was generated.
func (c *Client) CreateEndpoint(ctx context.Context, spec EndpointSpec) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPost, "/v1/endpoints", spec, &e)
}

// EnsureEndpoint makes an endpoint, or changes the one that has its URL.
func (c *Client) EnsureEndpoint(ctx context.Context, spec EndpointSpec) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPut, "/v1/endpoints/ensure", spec, &e)
}

// UpdateEndpoint changes what spec says of an endpoint, and nothing else.
func (c *Client) UpdateEndpoint(ctx context.Context, name string, spec EndpointSpec) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPut, "/v1/endpoints/"+url.PathEscape(name), spec, &e)
}

// DeleteEndpoint removes an endpoint and what waits for it.
func (c *Client) DeleteEndpoint(ctx context.Context, name string) error {
	_, err := c.send(ctx, http.MethodDelete, "/v1/endpoints/"+url.PathEscape(name), nil)
	return err
}

// RotateSecret has an endpoint signed for with a new secret.
func (c *Client) RotateSecret(ctx context.Context, name string, how RotateSecret) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/rotate-secret", how, &e)
}

// TestEndpoint sends one test event to an endpoint, and returns the attempt.
func (c *Client) TestEndpoint(ctx context.Context, name string) (Attempt, error) {
	var a Attempt
	return a, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/test", nil, &a)
}
