package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// receiver is the services that events are delivered to. It believes nothing
// that is not signed and whole.
type receiver struct {
	ledger *ledger
	signer signer
	server *http.Server
	url    string

	// Of billing:
	delay    atomic.Int64 // nanoseconds before each answer
	refusals atomic.Int64 // how many attempts of each event are answered 500
}

func newReceiver(l *ledger, s signer) (*receiver, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{ledger: l, signer: s, url: "http://" + socket.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/billing", r.takeBilling)
	mux.HandleFunc("/audit", func(w http.ResponseWriter, request *http.Request) {
		if id, ok := r.verify(w, request); ok {
			r.ledger.deliver(audit, id)
		}
	})
	mux.HandleFunc("/passing", func(w http.ResponseWriter, request *http.Request) { r.verify(w, request) })
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.server.Serve(socket) }() // until close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// calm has every delivery taken at once.
func (r *receiver) calm() {
	r.delay.Store(0)
	r.refusals.Store(0)
}

func (r *receiver) takeBilling(w http.ResponseWriter, request *http.Request) {
	id, ok := r.verify(w, request)
	if !ok {
		return
	}
	attempt := r.ledger.attempt(id)
	if pause(request.Context(), time.Duration(r.delay.Load())) != nil {
		return // the sender went away; it will come again
	}
	if int64(attempt) <= r.refusals.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.ledger.deliver(billing, id)
}

// verify returns the id of an event that arrived as its provider sent it.
func (r *receiver) verify(w http.ResponseWriter, request *http.Request) (string, bool) {
	body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	if err != nil {
		return "", false // the sender went away; it will come again
	}
	id, err := idOf(body)
	if err == nil {
		err = r.signer.Verify(body, request.Header)
	}
	if err != nil || !bytes.Equal(body, bodyOf(id)) {
		r.ledger.fault("delivered to %s is not what was sent: %v: %.200s", request.URL.Path, err, body)
		w.WriteHeader(http.StatusBadRequest)
		return "", false
	}
	return id, true
}

// pause returns early with an error where ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
