package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// replayRounds bounds how often it is measured, which takes half a minute.
	replayRounds = 3
	// replayPatience is how long after its last delivery a replay may take to be
	// over.
	replayPatience = 10 * time.Second
)

// replays is how fast stored events are delivered again and for the first time,
// both beside live traffic. Figures have one value a round.
type replays struct {
	deliveries
	alone, slow []float64 // the p99 of live deliveries in ms, and what it is beside a replay, in hundredths of that
}

func (b *bench) replay(ctx context.Context) (replays, error) {
	r := replays{deliveries: deliveries{map[string][]float64{}, map[string][]float64{}}}
	fmt.Fprintf(b.progress, "storing %d events\n", b.again)
	if err := b.fillJethook(ctx, "replay", b.again, 1); err != nil {
		return r, err
	}
	for round := range min(b.rounds, replayRounds) {
		fmt.Fprintf(b.progress, "delivering again, round %d of %d\n", round+1, min(b.rounds, replayRounds))
		if err := b.replayOnce(ctx, strconv.Itoa(round+1), &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// replayOnce adds one life in which events are delivered again, and then to a new
// endpoint.
func (b *bench) replayOnce(ctx context.Context, round string, r *replays) (err error) {
	live, err := newStopwatch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.server.Close()) }()
	c, err := b.startManaged(ctx, "replay")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	url := "http://" + c.addresses["admin"] + "/v1/"
	stored := []string{"bench." + eventRoot + "0"}
	if err := ask(ctx, http.MethodPut, url+"endpoints/ensure", map[string]any{"name": "live-" + round, "url": live.url + troubleNone, "events": []string{"bench." + eventRoot + "1"}}, nil); err != nil {
		return err
	}
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, rate: neighbourRate, kind: 1}
	if _, err := l.pace(ctx, warmUp, time.Duration(2*b.seconds*float64(time.Second))); err != nil {
		return err
	}
	took, err := live.stop(ctx)
	if err != nil {
		return err
	}
	alone := newPace(took, 1).p99
	for _, way := range []struct {
		row  string
		have func(endpoint string) error
	}{
		{rowAgain, func(to string) error {
			name := "again-" + round
			if err := ask(ctx, http.MethodPost, url+"endpoints", map[string]any{"name": name, "url": to, "events": []string{"bench.none"}}, nil); err != nil {
				return err
			}
			return ask(ctx, http.MethodPost, url+"replays", map[string]any{"endpoint": name, "events": stored}, nil)
		}},
		{rowFirst, func(to string) error {
			return ask(ctx, http.MethodPost, url+"endpoints", map[string]any{"name": "first-" + round, "url": to, "events": stored, "start": "beginning"}, nil)
		}},
	} {
		rate, err := b.besideLive(ctx, l, c, way.have)
		if err != nil {
			return fmt.Errorf("%s: %w", way.row, err)
		}
		if took, err = live.stop(ctx); err != nil {
			return err
		}
		if p := newPace(took, 1); way.row == rowAgain {
			r.alone, r.slow = append(r.alone, milliseconds(alone)), append(r.slow, 100*float64(p.p99)/float64(alone))
		}
		r.rates[way.row] = append(r.rates[way.row], rate)
	}
	return countedExactly(ctx, url+"replays", b.again)
}

// besideLive returns the events a second that come to a receiver, from the first to
// the last, while live ones are received and delivered.
func (b *bench) besideLive(ctx context.Context, l load, sender *child, have func(endpoint string) error) (rate float64, err error) {
	receiver, err := b.startSelf(ctx, "receive", "-events", strconv.Itoa(b.again))
	if err != nil {
		return 0, err
	}
	defer receiver.kill() // it has said all it had to say
	var to string
	for _, address := range receiver.addresses {
		to = "http://" + address + "/"
	}
	_, err = l.beside(ctx, func(ctx context.Context) error {
		if err := have(to); err != nil {
			return err
		}
		tally, err := receiver.wait(ctx, deliveryTimeout, sender)
		if err == nil {
			rate = float64(tally.Events-1) / tally.Seconds
		}
		return err
	})
	return rate, err
}

// countedExactly returns when the newest replay is over and says that it handed out
// as many events as it was to.
func countedExactly(ctx context.Context, url string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, replayPatience)
	defer cancel()
	for {
		var list struct {
			Data []struct {
				State          string
				Count, Handled int
			}
		}
		if err := ask(ctx, http.MethodGet, url, nil, &list); err != nil {
			return err
		}
		if len(list.Data) > 0 && list.Data[0].State == "done" {
			if of := list.Data[0]; of.Count != want || of.Handled != want {
				return fmt.Errorf("the replay counts %d and %d events, not %d", of.Count, of.Handled, want)
			}
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("the replay does not end: %w", err)
		}
	}
}
