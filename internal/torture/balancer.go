package main

import (
	"errors"
	"net/http"
	"sync/atomic"
)

// errAway is what a sender sees of a bridge that is not there.
var errAway = errors.New("nobody is there")

// balancer asks the bridges in turn, and the next one where one has closed or
// broken the connection.
type balancer struct {
	http.Transport
	bridges []*bridge
	turn    atomic.Uint64
}

// RoundTrip sends to the first that answers.
func (b *balancer) RoundTrip(request *http.Request) (*http.Response, error) {
	turn, failed := int(b.turn.Add(1)%1024), errAway
	for try := range 2 * len(b.bridges) { // one that was away may be there by now
		addresses := b.bridges[(turn+try)%len(b.bridges)].addresses.Load()
		if addresses == nil {
			continue
		}
		again := request.Clone(request.Context())
		again.URL.Host = (*addresses)["ingest"]
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
		response, err := b.Transport.RoundTrip(again)
		if err == nil {
			return response, nil
		}
		failed = err
	}
	return nil, failed
}
