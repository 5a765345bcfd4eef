package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	warmUp = 200 * time.Millisecond
	// deliveryTimeout bounds one round of deliveries.
	deliveryTimeout = 10 * time.Minute
)

// bench is one run.
type bench struct {
	settings
	progress io.Writer
	dir      string // removed at the end
	self     string // this program
	jethook  string // the one that is measured
}

// measure runs everything and returns the report.
func measure(ctx context.Context, s settings, progress io.Writer) (_ *report, err error) {
	b := &bench{settings: s, progress: progress}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	r := newReport(s)
	if b.dir, r.FileSystem, err = newDirectory(); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	fmt.Fprintln(progress, "building jethook")
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	paces, err := b.receiving(ctx)
	if err != nil {
		return nil, fmt.Errorf("receiving: %w", err)
	}
	r.addReceiving(paces)
	rates, times, err := b.delivering(ctx)
	if err != nil {
		return nil, fmt.Errorf("delivering: %w", err)
	}
	r.addDelivering(rates, times)
	beside, err := b.neighbours(ctx)
	if err != nil {
		return nil, fmt.Errorf("delivering beside trouble: %w", err)
	}
	r.addBeside(beside)
	f, err := b.footprint(ctx)
	if err != nil {
		return nil, fmt.Errorf("footprint: %w", err)
	}
	r.addFootprint(f)
	q, err := b.quiet(ctx)
	if err != nil {
		return nil, fmt.Errorf("registering: %w", err)
	}
	r.addQuiet(q)
	return r, nil
}

// startSelf runs a part of this program.
func (b *bench) startSelf(ctx context.Context, args ...string) (*child, error) {
	return start(ctx, b.self, args...)
}

// receiving returns the paces of the ways to receive, by row and round.
func (b *bench) receiving(ctx context.Context) (map[string][]pace, error) {
	ways := []struct {
		row   string
		start func() (*child, error)
	}{
		{rowHTTP, func() (*child, error) { return b.startSelf(ctx, "serve") }},
		{rowStream, func() (*child, error) { return b.startSelf(ctx, "serve", "-store", b.store("stream")) }},
		{rowProcess, func() (*child, error) { return b.startJethook(ctx, "process", "process") }},
		{rowPower, func() (*child, error) { return b.startJethook(ctx, "power", "power") }},
		{rowAlways, func() (*child, error) {
			return b.startSelf(ctx, "serve", "-store", b.store("always"), "-sync-always")
		}},
	}
	addresses := make([]string, len(ways))
	for i, way := range ways {
		c, err := way.start()
		if err != nil {
			return nil, err
		}
		defer c.kill() // what it stored is thrown away
		addresses[i] = c.addresses["ingest"]
	}
	length := time.Duration(b.seconds * float64(time.Second))
	paces := map[string][]pace{}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "receiving, round %d of %d\n", round+1, b.rounds)
		for i := range ways {
			i = (i + round) % len(ways) // nobody is always the first
			syscall.Sync()              // what one has written is not for the next to flush
			l := load{address: addresses[i], connections: b.connections, size: b.size}
			p, err := l.pace(ctx, warmUp, length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ways[i].row, err)
			}
			paces[ways[i].row] = append(paces[ways[i].row], p)
		}
	}
	return paces, nil
}

func (b *bench) store(name string) string { return filepath.Join(b.dir, name) }

// delivering returns events a second of the ways to deliver, and the processor
// time of each event, in microseconds, by row and round.
func (b *bench) delivering(ctx context.Context) (rates, times map[string][]float64, err error) {
	fmt.Fprintf(b.progress, "storing %d events, twice\n", b.events)
	if err := b.fillBare(ctx); err != nil {
		return nil, nil, err
	}
	if err := b.fillJethook(ctx); err != nil {
		return nil, nil, err
	}
	ways := []struct {
		row   string
		start func(name string, urls []string) (*child, error)
	}{
		{rowLoop, func(name string, urls []string) (*child, error) {
			return b.startSelf(ctx, "deliver", "-store", b.store("loop"), "-durable", name, "-url", urls[0])
		}},
		{rowDressed, func(name string, urls []string) (*child, error) {
			return b.startSelf(ctx, "deliver", "-store", b.store("loop"), "-durable", "dressed-"+name, "-url", urls[0], "-dressed")
		}},
		{rowEndpoint, func(name string, urls []string) (*child, error) {
			return b.startDelivering(ctx, "endpoint", []endpoint{{name: name, url: urls[0]}})
		}},
		{rowHundreds, func(name string, urls []string) (*child, error) {
			return b.startDelivering(ctx, "endpoint", shares(200, name, urls))
		}},
		{rowThousand, func(name string, urls []string) (*child, error) {
			return b.startDelivering(ctx, "endpoint", shares(1000, name, urls))
		}},
	}
	rates, times = map[string][]float64{}, map[string][]float64{}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "delivering, round %d of %d\n", round+1, b.rounds)
		for i := range ways {
			way := ways[(i+round)%len(ways)]
			syscall.Sync()
			rate, took, err := b.deliveryRate(ctx, func(urls []string) (*child, error) {
				return way.start("round-"+strconv.Itoa(round+1), urls)
			})
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", way.row, err)
			}
			rates[way.row], times[way.row] = append(rates[way.row], rate), append(times[way.row], took)
		}
	}
	return rates, times, nil
}

func (b *bench) fillBare(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, b.self, "fill", "-store", b.store("loop"),
		"-events", strconv.Itoa(b.events), "-size", strconv.Itoa(b.size)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fill the bare stream: %w\n%s", err, output)
	}
	return nil
}

func (b *bench) fillJethook(ctx context.Context) error {
	c, err := b.startJethook(ctx, "endpoint", "power")
	if err != nil {
		return err
	}
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, types: manyTypes}
	if err := errors.Join(l.send(ctx, b.events), c.stop()); err != nil {
		return fmt.Errorf("fill jethook: %w", err)
	}
	return nil
}

// deliveryRate returns the events a second of a sender, from the first receipt
// to the last, and the microseconds that it and the receiver had a processor
// for each, from when both were ready.
func (b *bench) deliveryRate(ctx context.Context, startSender func(urls []string) (*child, error)) (rate, took float64, err error) {
	receiver, err := b.startSelf(ctx, "receive", "-events", strconv.Itoa(b.events))
	if err != nil {
		return 0, 0, err
	}
	defer receiver.kill() // it has said all it had to say
	var urls []string
	for _, address := range receiver.addresses {
		urls = append(urls, "http://"+address+"/")
	}
	sender, err := startSender(urls)
	if err != nil {
		return 0, 0, err
	}
	before, early := processorTime(sender, receiver)
	tally, err := receiver.wait(ctx, deliveryTimeout, sender)
	after, late := processorTime(sender, receiver)
	if err := errors.Join(err, early, late, sender.stop()); err != nil {
		return 0, 0, err
	}
	return float64(tally.Events-1) / tally.Seconds, float64((after - before).Microseconds()) / float64(tally.Events), nil
}
