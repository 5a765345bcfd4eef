package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to one bridge with one key. It is safe for concurrent use. Its
// errors are *Problem where the bridge has refused, and ErrUnreachable where
// there was no answer or none of a bridge. None holds the key.
type Client struct {
	server string
	key    *string // a pointer, because fmt prints fields
	http   *http.Client
}

// ErrUnreachable means that there was no answer in time, or none of ours.
var ErrUnreachable = errors.New("the management API was not reached")

const (
	// clientTimeout is longer than the bridge works on one request.
	clientTimeout = 45 * time.Second
	// maxAnswer bounds an answer; a page has some hundred kilobytes, or one large
	// body in base64.
	maxAnswer = 16 << 20
)

// NewClient returns a client of the bridge at an address such as
// http://127.0.0.1:8081. It follows no redirects, which would carry the key
// elsewhere.
func NewClient(server, key string) (*Client, error) {
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the server is not an address such as http://127.0.0.1:8081")
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c >= 0x7f {
			return nil, errors.New("the key has characters that no API key has")
		}
	}
	return &Client{server: strings.TrimSuffix(server, "/"), key: &key, http: &http.Client{
		Timeout:       clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Error returns what is wrong with which part of the request or, where it is none of
// its parts, the detail. Of a failure of the bridge it has the request's id, by which
// the log tells more.
func (p *Problem) Error() string {
	switch {
	case p.Status >= http.StatusInternalServerError:
		return fmt.Sprintf("%s (request_id %s)", p.Detail, p.RequestID)
	case len(p.Errors) == 0:
		return p.Detail
	}
	parts := make([]string, len(p.Errors))
	for i, field := range p.Errors {
		parts[i] = field.Message
		if _, name, inner := strings.Cut(field.Field, "."); inner { // where it was, such as body, is the client's affair
			parts[i] = name + ": " + field.Message
		}
	}
	return strings.Join(parts, "; ")
}

// Page is the part of a list to ask for. Zero values are the API's defaults.
type Page struct{ Limit, Offset int }

// EventQuery selects events. Since and Until are RFC 3339 or how long ago.
type EventQuery struct {
	Page
	Source, Type, Since, Until string
}

// Events lists events, the newest first.
func (c *Client) Events(ctx context.Context, q EventQuery) (List[Event], error) {
	var list List[Event]
	return list, c.do(ctx, http.MethodGet, "/v1/events"+q.query("source", q.Source, "type", q.Type, "since", q.Since, "until", q.Until), nil, &list)
}

// Event returns the event of an id or a sequence.
func (c *Client) Event(ctx context.Context, id string) (Event, error) {
	var e Event
	return e, c.do(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id), nil, &e)
}

// Body returns an event's body, byte for byte.
func (c *Client) Body(ctx context.Context, id string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id)+"/body", nil)
}

// Attempts returns the attempts to deliver an event, and where it is dead, at one
// endpoint or, where that is empty, at all.
func (c *Client) Attempts(ctx context.Context, id, endpoint string) (Attempts, error) {
	var list Attempts
	return list, c.do(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id)+"/attempts"+Page{}.query("endpoint", endpoint), nil, &list)
}

// Resend has an event delivered again to one endpoint.
func (c *Client) Resend(ctx context.Context, id, endpoint string) (Redelivery, error) {
	var r Redelivery
	return r, c.do(ctx, http.MethodPost, "/v1/events/"+url.PathEscape(id)+"/resend", Resend{endpoint}, &r)
}

// EndpointQuery selects endpoints. Enabled is true, false or empty.
type EndpointQuery struct {
	Page
	Enabled, Event string
}

// Endpoints lists endpoints by name.
func (c *Client) Endpoints(ctx context.Context, q EndpointQuery) (List[Endpoint], error) {
	var list List[Endpoint]
	return list, c.do(ctx, http.MethodGet, "/v1/endpoints"+q.query("enabled", q.Enabled, "event", q.Event), nil, &list)
}

// Endpoint returns an endpoint.
func (c *Client) Endpoint(ctx context.Context, name string) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodGet, "/v1/endpoints/"+url.PathEscape(name), nil, &e)
}

// Pause has an endpoint get nothing until it is resumed.
func (c *Client) Pause(ctx context.Context, name string) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/pause", nil, &e)
}

// Resume has an endpoint get events again that was paused or disabled, and one that
// fails tried at once.
func (c *Client) Resume(ctx context.Context, name string, how Resume) (Endpoint, error) {
	var e Endpoint
	return e, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/resume", how, &e)
}

// HastenRetries has a batch of an endpoint's waiting retries fall due now.
func (c *Client) HastenRetries(ctx context.Context, name string) (Counted, error) {
	var n Counted
	return n, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/retries/hasten", nil, &n)
}

// CancelRetries makes dead events of a batch of an endpoint's retries.
func (c *Client) CancelRetries(ctx context.Context, name string) (Counted, error) {
	var n Counted
	return n, c.do(ctx, http.MethodDelete, "/v1/endpoints/"+url.PathEscape(name)+"/retries", nil, &n)
}

// DeadQuery selects dead events. Since and Until are RFC 3339 or how long ago.
type DeadQuery struct {
	Page
	Endpoint, Type, Since, Until string
}

// DeadEvents lists dead events, the newest first.
func (c *Client) DeadEvents(ctx context.Context, q DeadQuery) (List[Dead], error) {
	var list List[Dead]
	return list, c.do(ctx, http.MethodGet, "/v1/dead"+q.query("endpoint", q.Endpoint, "type", q.Type, "since", q.Since, "until", q.Until), nil, &list)
}

// DeadEvent returns a dead event.
func (c *Client) DeadEvent(ctx context.Context, id string) (Dead, error) {
	var d Dead
	return d, c.do(ctx, http.MethodGet, "/v1/dead/"+url.PathEscape(id), nil, &d)
}

// RetryDead has a dead event delivered again to its endpoint.
func (c *Client) RetryDead(ctx context.Context, id string) (Redelivery, error) {
	var r Redelivery
	return r, c.do(ctx, http.MethodPost, "/v1/dead/"+url.PathEscape(id)+"/retry", nil, &r)
}

// RetryAllDead has a batch of an endpoint's dead events delivered again.
func (c *Client) RetryAllDead(ctx context.Context, which DeadSelection) (Retried, error) {
	var r Retried
	return r, c.do(ctx, http.MethodPost, "/v1/dead/retry", which, &r)
}

// DropDead takes a dead event from the list for good.
func (c *Client) DropDead(ctx context.Context, id string) error {
	_, err := c.send(ctx, http.MethodDelete, "/v1/dead/"+url.PathEscape(id), nil)
	return err
}

// DropAllDead takes a batch of an endpoint's dead events from the list for good.
func (c *Client) DropAllDead(ctx context.Context, which DeadSelection) (Dropped, error) {
	var d Dropped
	return d, c.do(ctx, http.MethodPost, "/v1/dead/drop", which, &d)
}

// query writes the page and names with their values, those that are not empty.
func (p Page) query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	for name, n := range map[string]int{"limit": p.Limit, "offset": p.Offset} {
		if n != 0 {
			values.Set(name, fmt.Sprint(n))
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// do sends in as JSON, where it is not nil, and reads the answer into out. header
// has names of headers with their values.
func (c *Client) do(ctx context.Context, method, path string, in, out any, header ...string) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
	}
	text, err := c.send(ctx, method, path, body, header...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: the answer is not the API's: %w", ErrUnreachable, err)
	}
	return nil
}

// send makes a request and returns the body of an answer that is no refusal.
func (c *Client) send(ctx context.Context, method, path string, body []byte, header ...string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+*c.key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		return text, nil
	}
	refusal := new(Problem)
	if json.Unmarshal(text, refusal) != nil || !strings.HasPrefix(refusal.Type, ProblemType) {
		return nil, fmt.Errorf("%w: %s answered %d, and not as the API does", ErrUnreachable, c.server, response.StatusCode)
	}
	return nil, refusal
}
