package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

const (
	// tailWait is how long the bridge waits for an event in one request.
	tailWait = "20s"
	// tailPause comes before a bridge that does not answer is asked again.
	tailPause = time.Second
)

// follower reads events as they are stored, through the management API alone.
type follower struct {
	client *api.Client
	query  api.ReadQuery // After is where it is
}

// followFlags select the events that are followed.
type followFlags struct {
	events       []string
	since, where string
}

// newFollower begins where since says, or else with the next event.
func newFollower(ctx context.Context, client *api.Client, of followFlags) (*follower, error) {
	f := &follower{client: client, query: api.ReadQuery{Events: of.events, Since: of.since, Where: of.where, Limit: 100, Wait: tailWait}}
	if of.since != "" {
		return f, nil
	}
	var err error
	f.query.After, err = lastSequence(ctx, client)
	return f, err
}

// lastSequence is that of the newest message of the key's environment, also where it
// is no event; 0 where there was none yet.
func lastSequence(ctx context.Context, client *api.Client) (uint64, error) {
	now, err := client.Read(ctx, api.ReadQuery{Since: "0s"})
	return now.Next, err
}

// each calls use with every event until ctx ends or use fails. A bridge that does
// not answer is asked again; complain is told of it once.
func (f *follower) each(ctx context.Context, complain func(error), use func(*api.ReadEvent) error) error {
	silent := false
	for ctx.Err() == nil {
		page, err := f.client.Read(ctx, f.query)
		var refused *api.Problem
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused) && refused.Status < 500:
			return err
		case err != nil:
			if !silent {
				complain(err)
			}
			silent = true
			select {
			case <-time.After(tailPause):
			case <-ctx.Done():
			}
			continue
		}
		silent = false
		for i := range page.Data {
			if err := use(&page.Data[i]); err != nil {
				return err
			}
		}
		// How long ago it began is another time in the next request.
		f.query.After, f.query.Since = max(f.query.After, page.Next), ""
	}
	return ctx.Err()
}

func newEventsTail() *cobra.Command {
	var flags apiFlags
	var of followFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "tail", Short: "Print events as they are stored, until interrupted",
		Example: "  jethook events tail\n  jethook events tail --events 'stripe.invoice.*' --since 1h -o json",
		Args:    noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		f, err := newFollower(ctx, client, of)
		if err != nil {
			return err
		}
		return f.each(ctx, func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), err, "- trying again") }, func(e *api.ReadEvent) error {
			if flags.format == outputJSON {
				return writeJSON(cmd.OutOrStdout(), e.Event)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(harmless([]string{moment(e.Time), e.ID, e.Source, e.Type, fmt.Sprint(e.Size)}), "  "))
			return err
		})
	})
	of.bind(cmd)
	return cmd
}

func (f *followFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.events, "events", nil, "a `PATTERN` of events: source and name, such as stripe.invoice.* (default all); may be repeated")
	cmd.Flags().StringVar(&f.since, "since", "", "begin with events received from this `TIME` on: RFC 3339, or how long ago, such as 2h (default now)")
	cmd.Flags().StringVar(&f.where, "where", "", "an `EXPRESSION` over the body, such as 'data.object.amount >= 1000'")
}
