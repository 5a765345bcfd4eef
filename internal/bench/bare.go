package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	path    = "/in/bench"
	subject = "events.prod.bench." + eventRoot + "0"
	maxBody = 1 << 20
)

// serve is the least that receives webhooks: net/http, the signature, and with
// -store a publish to a stream, whose acknowledgement it waits for.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	dir := flags.String("store", "", "directory of a stream to publish to")
	always := flags.Bool("sync-always", false, "flush each message")
	if err := flags.Parse(args); err != nil {
		return err
	}
	keep := func(context.Context, string, []byte) error { return nil }
	if *dir != "" {
		s, err := openStore(ctx, *dir, *always)
		if err != nil {
			return err
		}
		defer s.close()
		keep = s.publish
	}
	return listenAndServe(ctx, receiveWebhook(keep), 1)
}

// receiveWebhook answers 200 when the request is verified and kept.
func receiveWebhook(keep func(ctx context.Context, id string, body []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !verified(r.Header, body) {
			http.Error(w, "signature", http.StatusUnauthorized)
			return
		}
		id := r.Header.Get(headerID)
		if err := keep(r.Context(), id, body); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q,"duplicate":false}`, id)
	}
}

func (s *store) publish(ctx context.Context, id string, body []byte) error {
	_, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: body, Header: nats.Header{nats.MsgIdHdr: {id}}})
	return err
}

// listenAndServe serves on n addresses until ctx ends, and says which: the
// first is "ingest", the others have numbers.
func listenAndServe(ctx context.Context, handler http.Handler, n int) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	addresses := make(map[string]string, n)
	serving := make(chan error, n)
	for i := range n {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return errors.Join(err, server.Close())
		}
		name := "ingest"
		if i > 0 {
			name = strconv.Itoa(i)
		}
		addresses[name] = socket.Addr().String()
		go func() { serving <- server.Serve(socket) }()
	}
	if err := say(message{Addresses: addresses}); err != nil {
		return errors.Join(err, server.Close())
	}
	for range n {
		if err := <-serving; !errors.Is(err, http.ErrServerClosed) {
			return errors.Join(err, server.Close())
		}
	}
	return nil
}
