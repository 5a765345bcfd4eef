package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// concurrency of the bare loop is an endpoint's by default.
const concurrency = 16

// fill stores events in a new store.
func fill(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	dir := flags.String("store", "", "directory of the stream")
	events := flags.Int("events", 0, "how many")
	size := flags.Int("size", 0, "bytes of each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStore(ctx, *dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	var group sync.WaitGroup
	errs := make([]error, concurrency)
	for part := range concurrency {
		group.Go(func() {
			for n := part; n < *events && errs[part] == nil; n += concurrency {
				id := "msg_" + strconv.Itoa(n)
				errs[part] = s.publish(ctx, id, webhookBody(nil, id, 0, *size))
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// deliverBare is the least that delivers: fetch, POST, acknowledge. It begins with
// the first event of the stream and goes on until ctx ends.
func deliverBare(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("deliver", flag.ContinueOnError)
	dir := flags.String("store", "", "directory of the stream")
	durable := flags.String("durable", "", "name of a new consumer")
	url := flags.String("url", "", "where events are posted")
	dressed := flags.Bool("dressed", false, "sign, and send every header that a delivery has")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStore(ctx, *dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	consumer, err := s.js.CreateConsumer(ctx, streamName, jetstream.ConsumerConfig{
		Durable: *durable, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return fmt.Errorf("make consumer %s: %w", *durable, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	defer messages.Stop()
	if err := say(message{Addresses: map[string]string{}}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}, Timeout: answerTimeout}
	var group sync.WaitGroup
	for range concurrency {
		group.Go(func() { cancel(deliverAll(ctx, messages, client, *url, *dressed)) })
	}
	group.Wait()
	client.CloseIdleConnections()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func deliverAll(ctx context.Context, messages jetstream.MessagesContext, client *http.Client, url string, dressed bool) error {
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(msg.Data()))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		if dressed {
			dress(request.Header, msg)
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode/100 != 2 {
			return fmt.Errorf("answered %s", response.Status)
		}
		if err := msg.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}
