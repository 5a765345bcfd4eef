// Command torture breaks jethook while it works and counts what was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	rounds, atOnce int
	seconds, pace  float64
	patience       time.Duration
	race, json     bool
	only           *regexp.Regexp
	seed           uint64
}

func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.rounds, "rounds", 3, "how often each row breaks something")
	flags.Float64Var(&s.seconds, "seconds", 2, "how long the load goes on before each break, give or take half")
	flags.Float64Var(&s.pace, "pace", usualPace, "events a second; rows that need more time for each take a share of it")
	flags.DurationVar(&s.patience, "patience", usualPatience, "how long nothing comes until what is missing is lost")
	flags.IntVar(&s.atOnce, "at-once", 2, "rows that run at the same time")
	flags.BoolVar(&s.race, "race", true, "build jethook with the race detector")
	flags.BoolVar(&s.json, "json", false, "write JSON")
	flags.Uint64Var(&s.seed, "seed", rand.Uint64(), "random moments derive from it")
	flags.Func("run", "only the rows whose names match this regular expression", func(text string) (err error) {
		s.only, err = regexp.Compile(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 || s.rounds < 1 || s.seconds <= 0 || s.pace <= 0 || s.atOnce < 1 {
		flags.Usage()
		return s, errors.New("the flags cannot be meant so")
	}
	return s, nil
}

// run writes the table to stdout; progress goes to stderr. One lost event is an
// error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	settings, err := parse(args, stderr)
	if err != nil {
		return err
	}
	results, err := torture(ctx, settings, stderr)
	if err != nil {
		return err
	}
	write := writeTable
	if settings.json {
		write = writeJSON
	}
	if err := write(stdout, results); err != nil {
		return err
	}
	for _, r := range results {
		if len(r.Wrong) > 0 {
			return errors.New("jethook did not hold its promises")
		}
	}
	return nil
}
