package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// followEvery is how often a replay's progress is asked for.
const followEvery = 500 * time.Millisecond

func newReplay() *cobra.Command {
	var flags apiFlags
	var spec api.ReplaySpec
	var detach bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "replay", Short: "Deliver stored events to an endpoint again",
		Long: `Has what is stored delivered to one endpoint again, beside what it gets anyway: its
place, its rate and what is known of its health stay as they are, and a paused or
disabled endpoint gets it too. A delivery keeps its webhook-id and has the header
jethook-replay. What fails goes through the endpoint's retries. The command shows how
far it is until it is done; interrupted, the replay goes on.`,
		Example: `  jethook replay --endpoint billing --since 2h --dry-run
  jethook replay --endpoint billing --events stripe.invoice.* --since 2026-11-20T00:00:00Z --rate 50/s
  jethook replay list`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		r, err := client.CreateReplay(ctx, spec)
		if err != nil {
			return err
		}
		if !spec.DryRun && !detach {
			if r, err = followReplay(ctx, client, r, cmd.ErrOrStderr()); err != nil {
				return err
			}
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), r)
		}
		if spec.DryRun {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d events would be delivered to %s again\n", r.Count, r.Endpoint)
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %d of %d events\n", r.ID, r.State, r.Handled, r.Count)
		return err
	})
	cmd.Flags().StringVar(&spec.Endpoint, "endpoint", "", "the `NAME` of the endpoint")
	cmd.Flags().StringSliceVar(&spec.Events, "events", nil, "a `PATTERN` of events, such as stripe.invoice.* (default those that the endpoint gets); may be repeated")
	cmd.Flags().StringVar(&spec.Since, "since", "", "events received from this `TIME` on: RFC 3339, or how long ago, such as 2h (default all that are stored)")
	cmd.Flags().StringVar(&spec.Until, "until", "", "events received before this `TIME`")
	cmd.Flags().StringVar(&spec.Where, "where", "", "an `EXPRESSION` over the body, such as 'data.object.amount >= 1000'")
	cmd.Flags().StringVar(&spec.Rate, "rate", "", "most attempts per time, such as `50/s` (default the endpoint's)")
	cmd.Flags().BoolVar(&spec.DryRun, "dry-run", false, "count, and deliver nothing")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	_ = cmd.MarkFlagRequired("endpoint") // there is such a flag
	cmd.AddCommand(newReplayList(),
		newReplayCommand("pause ID", "Have a replay wait", (*api.Client).PauseReplay),
		newReplayCommand("resume ID", "Have a paused replay go on", (*api.Client).ResumeReplay),
		newReplayCommand("cancel ID", "End a replay", (*api.Client).CancelReplay),
		newReplayCommand("show ID", "Show how far a replay is", (*api.Client).Replay))
	return cmd
}

// followReplay tells how far a replay is, whenever that has changed, until it is
// over.
func followReplay(ctx context.Context, client *api.Client, r api.Replay, w io.Writer) (api.Replay, error) {
	begun, last := time.Now(), uint64(0)
	for r.State == "running" || r.State == "paused" {
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			fmt.Fprintf(w, "%s goes on; to end it: jethook replay cancel %s\n", r.ID, r.ID)
			return r, ctx.Err()
		}
		next, err := client.Replay(ctx, r.ID)
		if err != nil {
			return r, err
		}
		if r = next; r.Handled == last || r.State != "running" {
			continue
		}
		last = r.Handled
		left := time.Duration(float64(time.Since(begun)) / float64(r.Handled) * float64(r.Count-min(r.Count, r.Handled)))
		fmt.Fprintf(w, "%d of %d, %s to go\n", r.Handled, r.Count, left.Round(time.Second))
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
			rows = append(rows, []string{r.ID, r.Endpoint, r.State, fmt.Sprint(r.Handled), fmt.Sprint(r.Count), moment(r.CreatedAt), moment(r.EndedAt), r.Reason})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"ID", "ENDPOINT", "STATE", "HANDLED", "COUNT", "MADE", "ENDED", "WHY"}, rows)
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
		return writeFields(cmd.OutOrStdout(), "id", r.ID, "endpoint", r.Endpoint, "state", r.State, "why", r.Reason,
			"handled", fmt.Sprintf("%d of %d", r.Handled, r.Count), "made", moment(r.CreatedAt), "ended", moment(r.EndedAt))
	})
}
