package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// ReadQuery selects events to read on from a sequence. Since and Until are RFC 3339
// or how long ago.
type ReadQuery struct {
	Events       []string // patterns; none is all
	Since, Until string
	Where        string // an expression over the body
	// After is the sequence that those asked for follow, and Through that of the last
	// one; 0 does not bound.
	After, Through uint64
	Limit          int    // at most so many; 0 is the API's default
	Bodies         bool   // their bodies as well
	Wait           string // how long to wait for one where there is none, such as 20s
}

// Reading is what a stretch of the stream has.
type Reading struct {
	Data     []ReadEvent `json:"data" nullable:"false" doc:"The oldest first."`
	Next     uint64      `json:"next" doc:"What to send as after to read on: everything up to it has been looked at."`
	Complete bool        `json:"complete" doc:"Nothing follows now, within the bounds of the question."`
}

// ReadEvent is an event with its body.
type ReadEvent struct {
	Event
	Body []byte `json:"body,omitempty" doc:"Where bodies are asked for, byte for byte, in base64."`
}

// Read reads the events that follow a sequence, the oldest first.
func (c *Client) Read(ctx context.Context, q ReadQuery) (Reading, error) {
	values := url.Values{}
	for name, value := range map[string]string{
		"since": q.Since, "until": q.Until, "where": q.Where, "wait": q.Wait, "after": number(q.After), "through": number(q.Through), "limit": number(uint64(max(0, q.Limit))),
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if len(q.Events) > 0 {
		values["events"] = q.Events
	}
	if q.Bodies {
		values.Set("bodies", "true")
	}
	var r Reading
	return r, c.do(ctx, http.MethodGet, "/v1/events/read?"+values.Encode(), nil, &r)
}

// number is n; empty for zero.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
