package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// followEvery is how often a replay's progress is asked for.
const followEvery = 500 * time.Millisecond

// lateCounts is how often it is asked once more after a replay has ended, since other
// replicas may tell their counts a little later.
const lateCounts = 3

// replayFlags are what is delivered again, and whereto.
type replayFlags struct {
	apiFlags
	api.ReplaySpec
	to, toFile string
	toKey      keyFlag
	after      uint64
	detach     bool
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := apiCommand(&f.apiFlags, &cobra.Command{
		Use: "replay", Short: "Deliver stored events again: to an endpoint, an address or a file",
		Long: `Has what is stored delivered to one endpoint again, beside what it gets anyway: its
place, its rate and what is known of its health stay as they are, and a paused or
disabled endpoint gets it too. A delivery keeps its webhook-id and has the header
jethook-replay. What fails goes through the endpoint's retries. The command shows how
far it is until it is done, and ends with 1 where events failed; interrupted, the
replay goes on.

With --to URL it goes to an address that is no endpoint's, signed as Standard Webhooks
with a secret that is shown once, or with that of --to-key. What is not taken there in
four attempts is counted as failed. With --to-file it is written to a file, one
CloudEvent in JSON a line, its body in base64 as data_base64, byte for byte, and
without the provider's headers.`,
		Example: `  jethook replay --endpoint billing --since 2h --dry-run
  jethook replay --endpoint billing --events stripe.invoice.* --since 2026-11-20T00:00:00Z --rate 50/s
  jethook replay --to https://new.example.com/webhooks --to-key env:SECRET --since 24h
  jethook replay --to-file events.jsonl --where 'data.object.amount >= 1000'
  jethook replay list`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		switch {
		case f.toFile == "" && f.after > 0:
			return misused("--after goes on with --to-file")
		case f.toFile != "" && (f.DryRun || f.detach || f.Rate != ""):
			return misused("--dry-run, --detach and --rate mean nothing for --to-file")
		case f.toFile != "":
			return toFile(ctx, client, cmd, &f.ReplaySpec, f.toFile, f.after)
		}
		return f.run(ctx, client, cmd)
	})
	cmd.Flags().StringVar(&f.Endpoint, "endpoint", "", "the `NAME` of the endpoint")
	cmd.Flags().StringVar(&f.to, "to", "", "in place of an endpoint, a `URL` for this once")
	f.toKey.bind(cmd, "to-key", "what to sign for that with (default a new secret)")
	cmd.Flags().StringVar(&f.toFile, "to-file", "", "in place of an endpoint, write to this `PATH`, or - for stdout")
	cmd.Flags().Uint64Var(&f.after, "after", 0, "go on with --to-file after the `SEQUENCE` that it ended with")
	cmd.Flags().StringSliceVar(&f.Events, "events", nil, "a `PATTERN` of events, such as stripe.invoice.* (default those that the endpoint gets, or all); may be repeated")
	cmd.Flags().StringVar(&f.Since, "since", "", "events received from this `TIME` on: RFC 3339, or how long ago, such as 2h (default all that are stored)")
	cmd.Flags().StringVar(&f.Until, "until", "", "events received before this `TIME`")
	cmd.Flags().StringVar(&f.Where, "where", "", "an `EXPRESSION` over the body, such as 'data.object.amount >= 1000'")
	cmd.Flags().StringVar(&f.Rate, "rate", "", "most attempts per time, such as `50/s` (default the endpoint's)")
	cmd.Flags().BoolVar(&f.DryRun, "dry-run", false, "count, and deliver nothing")
	cmd.Flags().BoolVar(&f.detach, "detach", false, "do not wait for its end")
	cmd.MarkFlagsOneRequired("endpoint", "to", "to-file")
	cmd.MarkFlagsMutuallyExclusive("endpoint", "to", "to-file")
	cmd.AddCommand(newReplayList(),
		newReplayCommand("pause ID", "Have a replay wait", (*api.Client).PauseReplay),
		newReplayCommand("resume ID", "Have a paused replay go on", (*api.Client).ResumeReplay),
		newReplayCommand("cancel ID", "End a replay", (*api.Client).CancelReplay),
		newReplayCommand("show ID", "Show how far a replay is", (*api.Client).Replay))
	return cmd
}

// run has the events delivered, and follows that.
func (f *replayFlags) run(ctx context.Context, client *api.Client, cmd *cobra.Command) error {
	if f.to != "" {
		f.To = &api.Target{URL: f.to}
	}
	if f.toKey.given() {
		secret, err := f.toKey.read()
		if err != nil {
			return err
		}
		if f.To == nil {
			return misused("--to-key is for --to")
		}
		f.To.Secret = secret.Reveal()
	}
	made, err := client.CreateReplay(ctx, f.ReplaySpec)
	if err != nil {
		return err
	}
	if made.Secret != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "signed as Standard Webhooks with a secret that is shown this once: %s\n", made.Secret)
	}
	r := made
	if !f.DryRun && !f.detach {
		if r, err = followReplay(ctx, client, r, cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	switch {
	case f.format == outputJSON:
		r.Secret = made.Secret
		err = writeJSON(cmd.OutOrStdout(), r)
	case f.DryRun:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), counted(&r))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", r.ID, r.State, became(&r))
	}
	return cmp.Or(err, replayFailure(&r))
}

// became says what has become of a replay's events.
func became(r *api.Replay) string {
	return fmt.Sprintf("%d of %s, %d delivered, %d filtered, %d failed", r.Handled, quantity(r.Count, "event"), r.Delivered, r.Filtered, r.Failed)
}

// replayFailure says that events of a replay failed, or is nil.
func replayFailure(r *api.Replay) error {
	switch {
	case r.Failed == 0:
		return nil
	case r.Endpoint == "":
		return fmt.Errorf("%d of %s failed: each was given up after four attempts", r.Failed, quantity(r.Count, "event"))
	}
	return fmt.Errorf("%d of %s failed: they go through the retries of %s, and those that are given up are shown by: jethook dead list --endpoint %[3]s",
		r.Failed, quantity(r.Count, "event"), r.Endpoint)
}

// counted says what a dry run has found.
func counted(r *api.Replay) string {
	to := cmp.Or(r.Endpoint, r.To)
	if r.LookedAt == nil || r.Matching == nil {
		return fmt.Sprintf("%s would be delivered to %s again", quantity(r.Count, "event"), to)
	}
	unfit := ""
	if r.Unfit != nil && *r.Unfit > 0 {
		unfit = fmt.Sprintf("; on %d more the expression or the filter cannot be evaluated", *r.Unfit)
	}
	if *r.LookedAt < r.Count {
		return fmt.Sprintf("at least %d of %s would be delivered to %s again: so many of the %d oldest, which were looked at%s", *r.Matching, quantity(r.Count, "event"), to, *r.LookedAt, unfit)
	}
	return fmt.Sprintf("%d of %s would be delivered to %s again%s", *r.Matching, quantity(r.Count, "event"), to, unfit)
}

// followReplay tells how far a replay is until it is over.
func followReplay(ctx context.Context, client *api.Client, r api.Replay, w io.Writer) (api.Replay, error) {
	bar := progress{w: w}
	defer func() {
		bar.end()
		if ctx.Err() != nil && (r.State == "running" || r.State == "paused") {
			fmt.Fprintf(w, "%s goes on; to end it: jethook replay cancel %s\n", r.ID, r.ID)
		}
	}()
	for late := 0; r.State != "failed" && r.State != "cancelled"; {
		if r.State == "done" {
			if late++; late > lateCounts || r.Delivered+r.Filtered+r.Failed >= r.Count {
				break
			}
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return r, ctx.Err()
		}
		next, err := client.Replay(ctx, r.ID)
		if err != nil {
			return r, err
		}
		r = next
		what := fmt.Sprintf("%d of %d", r.Handled, r.Count)
		if r.Failed > 0 {
			what += fmt.Sprintf(", %d failed", r.Failed)
		}
		if r.State == "paused" {
			what += ", paused"
		}
		bar.show(float64(r.Handled)/float64(max(1, r.Count)), what, time.Now())
	}
	if r.State == "failed" {
		return r, fmt.Errorf("%s failed: %s", r.ID, r.Reason)
	}
	return r, nil
}

func newReplayList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "list", Short: "List replays, the newest first", Example: "  jethook replay list", Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.Replays(ctx, page.Page)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, r := range list.Data {
			rows = append(rows, []string{r.ID, cmp.Or(r.Endpoint, r.To), r.State, fmt.Sprint(r.Handled), fmt.Sprint(r.Count), fmt.Sprint(r.Delivered), fmt.Sprint(r.Filtered), fmt.Sprint(r.Failed), moment(r.CreatedAt), moment(r.EndedAt), r.Reason})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"ID", "TO", "STATE", "HANDLED", "COUNT", "DELIVERED", "FILTERED", "FAILED", "MADE", "ENDED", "WHY"}, rows)
	})
	page.bind(cmd, 20)
	return cmd
}

// newReplayCommand is a command about one replay, whose answer is the replay.
func newReplayCommand(use, short string, ask func(*api.Client, context.Context, string) (api.Replay, error)) *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use: use, Short: short, Example: "  jethook replay " + use[:len(use)-2] + "rpl_019ac0a2b3c87d1e9f00a1b2c3d4e5f6", Args: exactly("ID"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		r, err := ask(client, ctx, args[0])
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), r)
		}
		return writeFields(cmd.OutOrStdout(), "id", r.ID, "endpoint", r.Endpoint, "to", r.To, "events", strings.Join(r.Events, ", "), "where", r.Where, "rate", r.Rate,
			"state", r.State, "why", r.Reason, "handled", became(&r), "made", moment(r.CreatedAt), "ended", moment(r.EndedAt))
	})
}
