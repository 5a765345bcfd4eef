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
	for _, part := range b.parts(r) {
		if b.only != "" && b.only != part.name {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r, nil
}

// measured is a part of the report, by which it can be asked for alone.
type measured struct {
	name    string
	measure func(context.Context) error
}

// parts are all that is measured, in turn.
func (b *bench) parts(r *report) []measured {
	return []measured{
		{"receiving", func(ctx context.Context) error { return into(ctx, b.receiving, r.addReceiving) }},
		{"churn", func(ctx context.Context) error { return into(ctx, b.churn, r.addChurn) }},
		{"delivering", func(ctx context.Context) error { return into(ctx, b.delivering, r.addDelivering) }},
		{"backlog", func(ctx context.Context) error { return into(ctx, b.backlog, r.addBacklog) }},
		{"replay", func(ctx context.Context) error { return into(ctx, b.replay, r.addReplays) }},
		{"trouble", func(ctx context.Context) error { return into(ctx, b.neighbours, r.addBeside) }},
		{"footprint", func(ctx context.Context) error { return into(ctx, b.footprint, r.addFootprint) }},
		{"quiet", func(ctx context.Context) error { return into(ctx, b.quiet, r.addQuiet) }},
		{"waiting", func(ctx context.Context) error { return into(ctx, b.waiting, r.addWaiting) }},
	}
}

// into adds what was measured to the report.
func into[T any](ctx context.Context, measure func(context.Context) (T, error), add func(T)) error {
	figures, err := measure(ctx)
	if err == nil {
		add(figures)
	}
	return err
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

// deliveries are the events a second of the ways to deliver, and the processor
// time of each event, in microseconds, by row and round.
type deliveries struct{ rates, times map[string][]float64 }

func (b *bench) delivering(ctx context.Context) (deliveries, error) {
	d := deliveries{map[string][]float64{}, map[string][]float64{}}
	fmt.Fprintf(b.progress, "storing %d events, three times\n", b.events)
	if err := b.fillBare(ctx); err != nil {
		return d, err
	}
	if err := b.fillJethook(ctx, "endpoint", b.events, manyTypes); err != nil {
		return d, err
	}
	if err := b.fillJethook(ctx, "single", b.events, hundreds); err != nil {
		return d, err
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
			return b.startDelivering(ctx, "endpoint", shares(manyTypes, hundreds, name, urls))
		}},
		{rowSingle, func(name string, urls []string) (*child, error) {
			return b.startDelivering(ctx, "single", shares(hundreds, hundreds, name, urls))
		}},
		{rowThousand, func(name string, urls []string) (*child, error) {
			return b.startDelivering(ctx, "endpoint", shares(manyTypes, manyTypes, name, urls))
		}},
	}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "delivering, round %d of %d\n", round+1, b.rounds)
		for i := range ways {
			way := ways[(i+round)%len(ways)]
			syscall.Sync()
			rate, took, err := b.deliveryRate(ctx, b.events, func(urls []string) (*child, error) {
				return way.start("round-"+strconv.Itoa(round+1), urls)
			})
			if err != nil {
				return d, fmt.Errorf("%s: %w", way.row, err)
			}
			d.rates[way.row], d.times[way.row] = append(d.rates[way.row], rate), append(d.times[way.row], took)
		}
	}
	return d, nil
}

func (b *bench) fillBare(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, b.self, "fill", "-store", b.store("loop"),
		"-events", strconv.Itoa(b.events), "-size", strconv.Itoa(b.size)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fill the bare stream: %w\n%s", err, output)
	}
	return nil
}

func (b *bench) fillJethook(ctx context.Context, store string, events, types int) error {
	c, err := b.startJethook(ctx, store, "power")
	if err != nil {
		return err
	}
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, types: types}
	if err := errors.Join(l.send(ctx, events), c.stop()); err != nil {
		return fmt.Errorf("fill jethook: %w", err)
	}
	return nil
}

// deliveryRate returns the events a second of a sender, from the first receipt
// to the last, and the microseconds that it and the receiver had a processor
// for each, from when both were ready.
func (b *bench) deliveryRate(ctx context.Context, events int, startSender func(urls []string) (*child, error)) (rate, took float64, err error) {
	receiver, err := b.startSelf(ctx, "receive", "-events", strconv.Itoa(events))
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
