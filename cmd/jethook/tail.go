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
	query  api.EventQuery // After is where it is
}

// newFollower begins where since says, or else with the next event. pattern is
// that of events, or empty for all.
func newFollower(ctx context.Context, client *api.Client, pattern, since string) (*follower, error) {
	f := &follower{client: client, query: api.EventQuery{Page: api.Page{Limit: 100}, Since: since, Wait: tailWait, After: new(uint64)}}
	if pattern != "" && pattern != ">" {
		var named bool
		if f.query.Source, f.query.Type, named = strings.Cut(pattern, "."); !named {
			return nil, misused("%s names a source and no event; for all its events add .>", pattern)
		}
		if f.query.Source == "*" {
			f.query.Source = ""
		}
	}
	if since != "" {
		return f, nil
	}
	last, err := client.Events(ctx, api.EventQuery{Page: api.Page{Limit: 1}})
	if err == nil && len(last.Data) > 0 {
		*f.query.After = last.Data[0].Sequence
	}
	return f, err
}

// each calls use with every event until ctx ends or use fails. A bridge that does
// not answer is asked again; complain is told of it once.
func (f *follower) each(ctx context.Context, complain func(error), use func(api.Event) error) error {
	silent := false
	for ctx.Err() == nil {
		list, err := f.client.Events(ctx, f.query)
		var refused *api.Problem
		switch {
		case ctx.Err() != nil:
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
		for _, e := range list.Data {
			if err := use(e); err != nil {
				return err
			}
			*f.query.After, f.query.Since = e.Sequence, ""
		}
	}
	return ctx.Err()
}

func newEventsTail() *cobra.Command {
	var flags apiFlags
	var pattern, since string
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "tail", Short: "Print events as they are stored, until interrupted",
		Example: "  jethook events tail\n  jethook events tail --events 'stripe.invoice.*' --since 1h -o json",
		Args:    noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		f, err := newFollower(ctx, client, pattern, since)
		if err != nil {
			return err
		}
		return f.each(ctx, func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), err, "- trying again") }, func(e api.Event) error {
			if flags.format == outputJSON {
				return writeJSON(cmd.OutOrStdout(), e)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(harmless([]string{moment(e.Time), e.ID, e.Source, e.Type, fmt.Sprint(e.Size)}), "  "))
			return err
		})
	})
	bindFollow(cmd, &pattern, &since)
	return cmd
}

func bindFollow(cmd *cobra.Command, pattern, since *string) {
	cmd.Flags().StringVar(pattern, "events", "", "a `PATTERN` of events: source and name, such as stripe.invoice.* (default all)")
	cmd.Flags().StringVar(since, "since", "", "begin with events received from this `TIME` on: RFC 3339, or how long ago, such as 2h (default now)")
}
