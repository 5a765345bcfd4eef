package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	clients = 8
	// sendAgain is how long a client waits after a refusal or a broken
	// connection. Providers wait longer.
	sendAgain = 100 * time.Millisecond
	// answerTimeout is longer than the gateway's own bound on storing.
	answerTimeout = 30 * time.Second
	// recent is how many of its last events a client may send once more.
	recent = 100
	// redeliverOneIn so many requests is of an event acknowledged already.
	redeliverOneIn = 20
)

// load is what providers do: it sends events, each again with the same id
// until it is answered 2xx, and now and then one that was.
type load struct {
	ledger *ledger
	log    *logFile
	signer signer
	client *http.Client
	pace   *rate.Limiter

	refused atomic.Int64 // answers of 503
	broken  atomic.Int64 // requests that were not answered
	unsent  atomic.Int64 // events that were given up

	group sync.WaitGroup
	quit  chan struct{} // closed: no new events
}

func newLoad(l *ledger, log *logFile, s signer, to http.RoundTripper, perSecond float64) *load {
	return &load{
		ledger: l, log: log, signer: s,
		client: &http.Client{Transport: to, Timeout: answerTimeout},
		pace:   rate.NewLimiter(rate.Limit(perSecond), clients),
		quit:   make(chan struct{}),
	}
}

// start sends until end. ctx ends it at once.
func (l *load) start(ctx context.Context, random *rand.Rand) {
	for i := range clients {
		own := rand.New(rand.NewPCG(random.Uint64(), uint64(i)))
		l.group.Go(func() { l.run(ctx, fmt.Sprintf("evt-%d-", i), own) })
	}
}

func (l *load) run(ctx context.Context, prefix string, random *rand.Rand) {
	var sent []string
	for n := 0; l.pace.Wait(ctx) == nil; n++ {
		select {
		case <-l.quit:
			return
		default:
		}
		if len(sent) > 0 && random.IntN(redeliverOneIn) == 0 {
			l.store(ctx, sent[random.IntN(len(sent))])
			continue
		}
		id := fmt.Sprint(prefix, n)
		l.store(ctx, id)
		sent = append(sent[max(0, len(sent)-recent+1):], id)
	}
}

// end stops new events and waits until those under way are acknowledged, but
// not longer than patience.
func (l *load) end(patience time.Duration) {
	close(l.quit)
	done := make(chan struct{})
	go func() { l.group.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		l.ledger.fault("what was sent was not acknowledged within %s", patience)
	}
	l.client.CloseIdleConnections()
}

// store sends an event until it is acknowledged.
func (l *load) store(ctx context.Context, id string) {
	for {
		duplicate, err := l.post(ctx, id)
		switch {
		case err == nil:
			l.ledger.acknowledge(id, duplicate)
			return
		case ctx.Err() != nil || pause(ctx, sendAgain) != nil:
			l.unsent.Add(1)
			return
		}
	}
}

// errRefused is an answer after which providers send again.
var errRefused = errors.New("refused")

// post sends an event once. Any answer but 200 and 503 is a fault.
func (l *load) post(ctx context.Context, id string) (duplicate bool, err error) {
	body := bodyOf(id)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://jethook/in/"+sourceName, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if request.Header, err = l.signer.header(id, body); err != nil {
		return false, err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return false, l.breaks(id, err)
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return false, l.breaks(id, err)
	}
	var receipt struct{ Duplicate bool }
	switch {
	case response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		l.refused.Add(1)
		return false, errRefused
	case response.StatusCode != http.StatusOK || json.Unmarshal(text, &receipt) != nil:
		l.ledger.fault("answered %s: %.200s", response.Status, text)
		return false, errRefused
	}
	return receipt.Duplicate, nil
}

// breaks counts a request that was not answered.
func (l *load) breaks(id string, err error) error {
	l.broken.Add(1)
	if !errors.Is(err, errAway) {
		l.log.printf("%s was not answered: %v", id, err)
	}
	return err
}
