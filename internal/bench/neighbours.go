package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// neighbours are the endpoints of which one may be in trouble.
	neighbours = 100
	// neighbourRate is how many events they get in a second, far from all that
	// jethook could deliver: what is measured is how long each one takes.
	neighbourRate = 500
	// hangTimeout is the timeout of the endpoint that hangs.
	hangTimeout = time.Second
)

// Troubles of an endpoint, and the paths of the receiver that answer so.
const (
	troubleNone = "none"
	troubleHang = "hang"
	troubleFail = "fail"
)

// beside is how long deliveries to healthy endpoints took, from the event's receipt
// to its arrival: the p99 of each round, in milliseconds, by the trouble of another
// endpoint.
type beside map[string][]float64

func (b *bench) neighbours(ctx context.Context) (beside, error) {
	measured := beside{}
	troubles := []string{troubleNone, troubleHang, troubleFail}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "delivering beside trouble, round %d of %d\n", round+1, b.rounds)
		for i := range troubles {
			trouble := troubles[(i+round)%len(troubles)]
			p99, err := b.deliverBeside(ctx, fmt.Sprintf("beside-%s-%d", trouble, round+1), trouble)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", trouble, err)
			}
			measured[trouble] = append(measured[trouble], milliseconds(p99))
		}
	}
	return measured, nil
}

// deliverBeside returns the p99 of all endpoints but the first, which has the
// trouble.
func (b *bench) deliverBeside(ctx context.Context, store, trouble string) (p99 time.Duration, err error) {
	r, err := newStopwatch()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.server.Close()) }()
	list := make([]endpoint, neighbours)
	for i := range list {
		list[i] = endpoint{name: "neighbour-" + strconv.Itoa(i), url: r.url + troubleNone, events: []string{"bench." + eventRoot + strconv.Itoa(i)}}
	}
	list[0].url, list[0].timeout = r.url+trouble, hangTimeout
	if trouble == troubleNone {
		list[0].url = r.url + "not-counted"
	}
	c, err := b.startJethook(ctx, store, "power", list...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.kill()) }() // what it stored is thrown away
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, types: neighbours, rate: neighbourRate}
	if _, err := l.pace(ctx, warmUp, time.Duration(2*b.seconds*float64(time.Second))); err != nil {
		return 0, err
	}
	took, err := r.stop(ctx)
	if err != nil {
		return 0, err
	}
	return newPace(took, 1).p99, nil
}

// stopwatch receives deliveries and notes how long each took since its event was
// received.
type stopwatch struct {
	url    string
	server *http.Server

	mu   sync.Mutex
	took []time.Duration
}

func newStopwatch() (w *stopwatch, err error) {
	w = new(stopwatch)
	w.url, w.server, err = listen(w)
	return w, err
}

func (w *stopwatch) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	switch r.URL.Path[1:] {
	case troubleHang:
		<-r.Context().Done()
	case troubleFail:
		answer.WriteHeader(http.StatusInternalServerError)
	case troubleNone:
		received, err := time.Parse(time.RFC3339Nano, r.Header.Get("ce-time"))
		if err != nil {
			answer.WriteHeader(http.StatusBadRequest)
			return
		}
		w.mu.Lock()
		w.took = append(w.took, now.Sub(received))
		w.mu.Unlock()
	}
}

// stop returns what was noted, once there is something.
func (w *stopwatch) stop(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errors.New("nothing was delivered"))
	defer cancel()
	for {
		w.mu.Lock()
		took := w.took
		w.took = nil
		w.mu.Unlock()
		if len(took) > 0 {
			return took, nil
		}
		if pause(ctx, 10*time.Millisecond) != nil {
			return nil, context.Cause(ctx)
		}
	}
}
