package deliver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// benchmark gives a bench with b.N events stored, and a receiver that counts
// them and closes done at the last one.
func benchmark(b *testing.B) (w *bench, done chan struct{}) {
	done = make(chan struct{})
	var got atomic.Int64
	counting := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	b.Cleanup(counting.Close)
	w = newBench(b, always(200))
	w.endpoint.URL = counting.URL
	w.config.Logger = slog.New(slog.DiscardHandler)
	data := bytes.Repeat([]byte("a"), 1024)
	var group sync.WaitGroup
	next := make(chan int)
	for range 64 {
		group.Go(func() {
			for i := range next {
				e := sample()
				e.ID, e.Data, e.Traceparent = event.NewID(event.Test, "shop", fmt.Sprint(i)), data, ""
				w.store(e)
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	group.Wait()
	return w, done
}

func BenchmarkWorker(b *testing.B) {
	w, done := benchmark(b)
	b.ResetTimer()
	stop := w.start()
	<-done
	stop()
}

// BenchmarkBare is what there is to compare with: fetch, POST, acknowledge.
func BenchmarkBare(b *testing.B) {
	w, done := benchmark(b)
	consumer := w.makeDurable()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: idlePerHost}}
	b.Cleanup(client.CloseIdleConnections)
	b.ResetTimer()
	ctx, cancel := context.WithCancel(w.ctx)
	messages, err := consumer.Messages(jetstream.PullMaxMessages(DefaultConcurrency))
	if err != nil {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	work := make(chan jetstream.Msg)
	for range DefaultConcurrency {
		group.Go(func() {
			for m := range work {
				response, err := client.Post(w.endpoint.URL, "application/json", bytes.NewReader(m.Data()))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				_ = m.Ack()
			}
		})
	}
	go func() { <-done; cancel() }()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			break
		}
		work <- m
	}
	close(work)
	group.Wait()
	messages.Stop()
}
