package main

import (
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// receivers is how many addresses deliveries go to where endpoints are many:
// theirs seldom have one in common, for which few connections are kept.
const receivers = 16

// receive answers deliveries with 200, and says how long it took from the
// first to the last of the number it expects.
func receive(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("receive", flag.ContinueOnError)
	events := flags.Int64("events", 0, "how many to expect, at least 2")
	if err := flags.Parse(args); err != nil {
		return err
	}
	begin := time.Now()
	var received, first atomic.Int64
	return listenAndServe(ctx, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the sender went away; it did not count as delivered
		}
		switch at := time.Since(begin); received.Add(1) {
		case 1:
			first.Store(int64(at))
		case *events:
			// Nobody reads a failure to say so but the parent, which is gone then.
			_ = say(message{Events: int(*events), Seconds: (at - time.Duration(first.Load())).Seconds()})
		}
	}), receivers)
}

// listen serves in this process, at an address of its own, until the server is
// closed.
func listen(handler http.Handler) (url string, server *http.Server, err error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server = &http.Server{Handler: handler}
	go func() { _ = server.Serve(socket) }() // until it is closed
	return "http://" + socket.Addr().String() + "/", server, nil
}
