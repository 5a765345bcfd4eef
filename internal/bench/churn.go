package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// churned is how many endpoints are made, and then deleted, a round.
	churned = 1000
	// churnRate is how many of these changes are made a second, where the bridge is
	// fast enough.
	churnRate = 50
	// churnRounds bounds how often it is measured, which takes a minute.
	churnRounds = 5
	// stillFor is for how long nothing is changed, in comparison.
	stillFor = 10 * time.Second
	// churnKey is the key of the management API.
	churnKey = "sk_prod_nothing-secret-only-for-measures"
)

// churn returns the paces of receiving while nothing is changed and while
// endpoints are made and deleted over the API, by row and round.
func (b *bench) churn(ctx context.Context) (map[string][]pace, error) {
	c, err := b.startManaged(ctx, "churn")
	if err != nil {
		return nil, err
	}
	defer c.kill() // what it stored is thrown away
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size}
	still := max(time.Duration(b.seconds*float64(time.Second)), stillFor)
	paces := map[string][]pace{}
	for round := range min(b.rounds, churnRounds) {
		fmt.Fprintf(b.progress, "changing endpoints, round %d of %d\n", round+1, min(b.rounds, churnRounds))
		ways := []struct {
			row string
			act func(context.Context) error
		}{
			{rowStill, func(ctx context.Context) error { return pause(ctx, still) }},
			{rowChurn, func(ctx context.Context) error {
				return comeAndGo(ctx, "http://"+c.addresses["admin"]+"/v1/endpoints", min(churned, b.endpoints))
			}},
		}
		for i := range ways {
			way := ways[(i+round)%len(ways)] // nobody is always the first
			syscall.Sync()
			p, err := l.beside(ctx, way.act)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.row, err)
			}
			paces[way.row] = append(paces[way.row], p)
		}
	}
	return paces, nil
}

// startManaged runs the bridge with the management API.
func (b *bench) startManaged(ctx context.Context, store string) (*child, error) {
	c := configuration(b.store(store), "power", nil)
	c["roles"] = []string{"ingest", "deliver", "admin"}
	c["listen"].(map[string]any)["admin"] = "127.0.0.1:0"
	c["admin"] = map[string]any{"keys": []string{churnKey}}
	if err := b.write(store, c); err != nil {
		return nil, err
	}
	return start(ctx, b.jethook, "serve", "-c", b.configFile(store))
}

// beside measures for as long as act takes.
func (l load) beside(ctx context.Context, act func(context.Context) error) (pace, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var over atomic.Bool
	acted := make(chan error, 1)
	begin := time.Now()
	go func() {
		err := act(ctx)
		over.Store(true)
		acted <- err
	}()
	samples, err := l.run(ctx, func() bool { return !over.Load() })
	length := time.Since(begin)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-acted); err != nil {
		return pace{}, err
	}
	took := make([]time.Duration, len(samples))
	for i, s := range samples {
		took[i] = s.took
	}
	return newPace(took, length), nil
}

// comeAndGo makes n endpoints and then deletes them.
func comeAndGo(ctx context.Context, url string, n int) error {
	turns := time.NewTicker(time.Second / churnRate)
	defer turns.Stop()
	defer http.DefaultClient.CloseIdleConnections()
	for i := range n {
		name := "churn-" + strconv.Itoa(i)
		if err := ask(ctx, http.MethodPost, url, map[string]any{"name": name, "url": "http://127.0.0.1:1/", "events": []string{"quiet." + name}}, nil); err != nil {
			return err
		}
		<-turns.C
	}
	for i := range n {
		if err := ask(ctx, http.MethodDelete, url+"/churn-"+strconv.Itoa(i), nil, nil); err != nil {
			return err
		}
		<-turns.C
	}
	return nil
}

// ask asks the management API for something that it must do, and decodes the
// answer into what is not nil.
func ask(ctx context.Context, method, url string, body map[string]any, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+churnKey)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	said, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: answered %s: %s", method, url, answer.Status, said)
	}
	if into != nil {
		return json.Unmarshal(said, into)
	}
	return nil
}
