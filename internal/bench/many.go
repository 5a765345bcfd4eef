package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// manyTypes is how many events have names of their own where endpoints share
	// them.
	manyTypes = 1000
	// hundreds is how many endpoints have five of those names each, or one where there
	// are as few names.
	hundreds = 200
	// fewEndpoints are what many registered ones are compared with.
	fewEndpoints = 10
	// quietRounds bounds how often they are measured, which takes ten seconds.
	quietRounds = 3
)

// shares divides events of so many names among n endpoints, so that each event goes to
// one.
func shares(types, n int, name string, urls []string) []endpoint {
	list := make([]endpoint, n)
	for i := range list {
		list[i] = endpoint{name: name + "-" + strconv.Itoa(n) + "-" + strconv.Itoa(i), url: urls[i%len(urls)]}
	}
	for t := range types {
		of := &list[t%n]
		of.events = append(of.events, "bench."+eventRoot+strconv.Itoa(t))
	}
	return list
}

// quiet is what endpoints take that are registered and get nothing. Figures
// have one value a round.
type quiet struct {
	endpoints                 int
	memory, start, stop, slow []float64 // MB, ms, ms, and the p99 of receiving in hundredths of that with few
}

func (b *bench) quiet(ctx context.Context) (quiet, error) {
	q := quiet{endpoints: b.endpoints}
	for round := range min(b.rounds, quietRounds) {
		fmt.Fprintf(b.progress, "registering, round %d of %d\n", round+1, min(b.rounds, quietRounds))
		var few quiet
		fewP99, err := b.register(ctx, fmt.Sprintf("few-%d", round+1), fewEndpoints, &few)
		if err != nil {
			return q, err
		}
		p99, err := b.register(ctx, fmt.Sprintf("many-%d", round+1), q.endpoints, &q)
		if err != nil {
			return q, err
		}
		q.slow = append(q.slow, 100*float64(p99)/float64(fewP99))
	}
	return q, nil
}

// register adds one life with n endpoints, and returns the p99 of receiving.
func (b *bench) register(ctx context.Context, store string, n int, q *quiet) (p99 time.Duration, err error) {
	list := make([]endpoint, n)
	for i := range list {
		list[i] = endpoint{name: "quiet-" + strconv.Itoa(i), url: "http://127.0.0.1:1/", events: []string{"quiet.t" + strconv.Itoa(i)}}
	}
	begin := time.Now()
	c, err := b.startJethook(ctx, store, "power", list...)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.kill())
		}
	}()
	if err := isReady(ctx, c.addresses["ops"]); err != nil {
		return 0, err
	}
	q.start = append(q.start, since(begin))
	if err := pause(ctx, idleAfter); err != nil {
		return 0, err
	}
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size}
	p, err := l.pace(ctx, warmUp, time.Duration(b.seconds*float64(time.Second)))
	if err != nil {
		return 0, err
	}
	resident, err := residentBytes(c.command.Process.Pid)
	if err != nil {
		return 0, err
	}
	q.memory = append(q.memory, megabytes(resident))
	begin = time.Now()
	if err := c.stop(); err != nil {
		return 0, err
	}
	q.stop = append(q.stop, since(begin))
	return p.p99, nil
}

func since(begin time.Time) float64 { return milliseconds(time.Since(begin)) }
