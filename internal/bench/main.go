// Command bench measures jethook beside its limits, in one interleaved run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run measures and writes the report to stdout; progress goes to stderr. A
// missed target is no error: a speed depends on the machine.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if p := part(args[0]); p != nil {
			return p(ctx, args[1:])
		}
	}
	settings, err := parse(args, stderr)
	if err != nil {
		return err
	}
	r, err := measure(ctx, settings, stderr)
	if err != nil {
		return err
	}
	if settings.json {
		return r.writeJSON(stdout)
	}
	return r.writeTable(stdout)
}

// part returns what a child process of this program does, by the first
// argument, or nil.
func part(name string) func(context.Context, []string) error {
	switch name {
	case "serve":
		return serve
	case "fill":
		return fill
	case "deliver":
		return deliverBare
	case "receive":
		return receive
	case "wait":
		return storeWaiting
	}
	return nil
}

// settings are the flags.
type settings struct {
	rounds, connections, size, events, endpoints, retries, long, again int
	seconds                                                            float64
	only                                                               string
	json                                                               bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.rounds, "rounds", 5, "how often everything is measured; figures are medians")
	flags.Float64Var(&s.seconds, "seconds", 2, "how long each way of receiving is measured a round")
	flags.IntVar(&s.connections, "connections", 64, "requests at once")
	flags.IntVar(&s.size, "size", 1024, "bytes of a body, at least 128")
	flags.IntVar(&s.events, "events", 30000, "events delivered a round, at least 2")
	flags.IntVar(&s.endpoints, "endpoints", 10000, "endpoints that are registered and get nothing")
	flags.IntVar(&s.long, "backlog", 1000000, "events of a long backlog, at least 2")
	flags.IntVar(&s.again, "replay", 100000, "events delivered again, at least 2")
	flags.IntVar(&s.retries, "retries", 1000000, "retries that wait, at least 10000")
	flags.StringVar(&s.only, "only", "", "measure one part alone: receiving, churn, delivering, backlog, replay, trouble, footprint, quiet or waiting")
	flags.BoolVar(&s.json, "json", false, "write JSON")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	known := func(p measured) bool { return p.name == s.only }
	if s.only != "" && !slices.ContainsFunc((&bench{}).parts(nil), known) {
		return s, fmt.Errorf("-only %q is not a part of what is measured", s.only)
	}
	if flags.NArg() > 0 || s.rounds < 1 || s.seconds <= 0 || s.connections < 1 || s.endpoints < 1 || s.retries < waiters*dueEvents || s.size < minSize || s.events < 2 || s.long < 2 || s.again < 2 {
		flags.Usage()
		return s, errors.New("the flags cannot be meant so")
	}
	return s, nil
}
