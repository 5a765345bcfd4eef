package api

import (
	"context"
	"net/http"
	"net/url"
)

// RewindSpec is how far an endpoint is to go back, by one of Since, Sequence and
// Beginning, or that it is to, by Confirm.
type RewindSpec struct {
	Since     string `json:"since,omitempty" maxLength:"40" doc:"To what was received from this time on: RFC 3339, or how long ago, such as 2h." example:"2h"`
	Sequence  uint64 `json:"sequence,omitempty" doc:"To the event of this sequence, or the first one after it."`
	Beginning bool   `json:"beginning,omitempty" doc:"To the oldest event that is stored."`
	Confirm   string `json:"confirm,omitempty" maxLength:"64" doc:"What a request without it has answered. It is refused with 409 count_differs where other events would be delivered again by now."`
}

// Rewind is what an endpoint is delivered again.
type Rewind struct {
	Endpoint string `json:"endpoint"`
	Env      string `json:"env" enum:"prod,test"`
	First    uint64 `json:"first_sequence" doc:"The sequence it goes back to: at the least to what it has not settled yet."`
	Last     uint64 `json:"last_sequence" doc:"That of the newest event it has had."`
	Count    uint64 `json:"count" doc:"How many events it has had and gets again, before its filter. All that follow it gets as usual."`
	Rewound  bool   `json:"rewound" doc:"False where this is a count, and nothing has changed."`
	Confirm  string `json:"confirm,omitempty" doc:"Send this back to have it done." example:"4711-5012-87"`
}

// RewindEndpoint counts what an endpoint would be delivered again or, with Confirm,
// has it delivered by its own consumer, and all that follow after it.
func (c *Client) RewindEndpoint(ctx context.Context, name string, how RewindSpec) (Rewind, error) {
	var r Rewind
	return r, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(name)+"/rewind", how, &r)
}
