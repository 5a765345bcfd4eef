package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newDead() *cobra.Command {
	group := &cobra.Command{
		Use:     "dead",
		Short:   "Deal with events that are not tried any more",
		Example: "  jethook dead list",
		RunE:    demandCommand("list, get, retry or drop"),
	}
	group.AddCommand(newDeadList(), newDeadGet(), newDeadRetry(), newDeadDrop())
	return group
}

func newDeadList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	var period periodFlags
	var endpoint, kind string
	cmd := apiCommand(&flags, &cobra.Command{
		Use:     "list",
		Short:   "List dead events, the newest first",
		Example: "  jethook dead list --endpoint billing --type 'order.*' --since 12h",
		Args:    noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.DeadEvents(ctx, api.DeadQuery{Page: page.Page, Endpoint: endpoint, Type: kind, Since: period.since, Until: period.until})
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, d := range list.Data {
			rows = append(rows, []string{d.ID, moment(d.DiedAt), d.Endpoint, d.EventID, d.EventType, fmt.Sprint(d.Attempts), number(d.LastStatus), whyOf(d.Reason, d.LastError)})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"ID", "DIED", "ENDPOINT", "EVENT", "TYPE", "ATTEMPTS", "STATUS", "REASON"}, rows)
	})
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "those of the endpoint of this `NAME`")
	cmd.Flags().StringVar(&kind, "type", "", "those of this name or `PATTERN`: * for one token, > for all that follow")
	period.bind(cmd, "those that died")
	page.bind(cmd, 20)
	return cmd
}

// whyOf is why an event is dead, and at what the last attempt failed.
func whyOf(reason, failed string) string {
	if reason == "" || failed == "" {
		return reason + failed
	}
	return reason + "; the last: " + failed
}

func newDeadGet() *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use:   "get ID",
		Short: "Show a dead event",
		Long: `Shows a dead event: where it is dead and why, and what its attempts came to. events
get shows the event itself and each of its attempts.`,
		Example: "  jethook dead get dead_42",
		Args:    exactly("ID"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		d, err := client.DeadEvent(ctx, args[0])
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), d)
		}
		return writeDead(cmd.OutOrStdout(), &d)
	})
}

func writeDead(w io.Writer, d *api.Dead) error {
	receiver := "endpoint"
	if d.Subscriber {
		receiver = "subscriber"
	}
	return writeFields(w, "id", d.ID, receiver, d.Endpoint, "env", d.Env, "reason", d.Reason, "died", moment(d.DiedAt),
		"event", d.EventID, "type", d.EventType, "source", d.Source, "sequence", fmt.Sprint(d.Sequence), "attempts", fmt.Sprint(d.Attempts),
		"first attempt", moment(d.FirstAttemptAt), "last attempt", moment(d.LastAttemptAt), "last status", number(d.LastStatus), "last error", d.LastError)
}

// bindDead gives cmd the flags that select an endpoint's dead events in place of IDs.
func bindDead(cmd *cobra.Command, which *api.DeadSelection) {
	cmd.Flags().StringVar(&which.Endpoint, "endpoint", "", "all of the endpoint of this `NAME`")
	cmd.Flags().StringVar(&which.Type, "type", "", "with --endpoint, those of this name or `PATTERN`")
	cmd.Flags().StringVar(&which.Since, "since", "", "with --endpoint, those that died from this `TIME` on: RFC 3339, or how long ago, such as 2h")
	cmd.Flags().StringVar(&which.Until, "until", "", "with --endpoint, those that died before this `TIME`")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if (len(args) > 0) == (which.Endpoint != "") {
			return misused("%s takes IDs, or --endpoint with what selects its dead events", cmd.CommandPath())
		}
		for _, name := range []string{"type", "since", "until"} { // empty, as a script's variable may be, would select all
			if flag := cmd.Flags().Lookup(name); flag.Changed && (len(args) > 0 || flag.Value.String() == "") {
				return misused("--%s goes with --endpoint, and is not empty", name)
			}
		}
		return nil
	}
}

// allDead asks for one batch after another, and returns what one has failed by.
func allDead(which api.DeadSelection, ask func(api.DeadSelection) (next string, err error)) error {
	for {
		next, err := ask(which)
		if err != nil || next == "" {
			return err
		}
		which.After = next
	}
}

func newDeadRetry() *cobra.Command {
	var flags apiFlags
	var which api.DeadSelection
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "retry [ID]... | retry --endpoint NAME",
		Short: "Deliver dead events again, each to its endpoint alone",
		Long: `Has dead events delivered again now, each to its endpoint alone and with all its
attempts anew, and takes them from the list: those of the IDs, or all of an
endpoint that the flags select.`,
		Example: `  jethook dead retry dead_42
  jethook dead retry --endpoint billing --type 'order.*' --since 12h`,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		for _, id := range args {
			sent, err := client.RetryDead(ctx, id)
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			if err := writeRedelivery(cmd.OutOrStdout(), flags.format, sent); err != nil {
				return err
			}
		}
		if len(args) > 0 {
			return nil
		}
		return retryAllDead(ctx, client, cmd, which, flags.format)
	})
	bindDead(cmd, &which)
	return cmd
}

// retryAllDead tells what was done also where it fails then.
func retryAllDead(ctx context.Context, client *api.Client, cmd *cobra.Command, which api.DeadSelection, format output) error {
	var all api.Retried
	failed := allDead(which, func(which api.DeadSelection) (string, error) {
		done, err := client.RetryAllDead(ctx, which)
		all.Retried, all.Gone = all.Retried+done.Retried, all.Gone+done.Gone
		return done.Next, err
	})
	if failed != nil && all == (api.Retried{}) {
		return failed
	}
	if format == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
		return failed
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d are delivered again to %s\n", all.Retried, which.Endpoint)
	if all.Gone > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d stay in the list: their bodies are no longer stored\n", all.Gone)
	}
	return failed
}

func newDeadDrop() *cobra.Command {
	var flags apiFlags
	var which api.DeadSelection
	var sure sureFlag
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "drop [ID]... | drop --endpoint NAME",
		Short: "Take dead events from the list for good",
		Long: `Takes dead events from the list for good: those of the IDs, or all of an endpoint
that the flags select, for which it asks at a terminal. The events stay in their
stream.`,
		Example: `  jethook dead drop dead_42
  jethook dead drop --endpoint billing --type 'order.*' --until 12h`,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		for _, id := range args {
			if err := client.DropDead(ctx, id); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			if flags.format == outputJSON {
				if err := writeJSON(cmd.OutOrStdout(), struct {
					ID string `json:"id"`
				}{id}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is dropped\n", id)
		}
		if len(args) > 0 {
			return nil
		}
		if err := sure.ask(cmd, dropQuestion(which)); err != nil {
			return err
		}
		return dropAllDead(ctx, client, cmd, which, flags.format)
	})
	bindDead(cmd, &which)
	sure.bind(cmd)
	return cmd
}

// dropQuestion repeats what the flags select.
func dropQuestion(which api.DeadSelection) string {
	var bounds []string
	for _, b := range [][2]string{{"type", which.Type}, {"since", which.Since}, {"until", which.Until}} {
		if b[1] != "" {
			bounds = append(bounds, b[0]+" "+b[1])
		}
	}
	question := "drop all dead events of " + which.Endpoint
	if len(bounds) > 0 {
		question += " (" + strings.Join(bounds, ", ") + ")"
	}
	return harmless([]string{question})[0] + " for good?"
}

// dropAllDead tells what was done also where it fails then.
func dropAllDead(ctx context.Context, client *api.Client, cmd *cobra.Command, which api.DeadSelection, format output) error {
	var all api.Dropped
	failed := allDead(which, func(which api.DeadSelection) (string, error) {
		done, err := client.DropAllDead(ctx, which)
		all.Dropped += done.Dropped
		return done.Next, err
	})
	if failed != nil && all.Dropped == 0 {
		return failed
	}
	if format == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
		return failed
	}
	verb := "are"
	if all.Dropped == 1 {
		verb = "is"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s of %s %s dropped\n", quantity(all.Dropped, "dead event"), which.Endpoint, verb)
	return failed
}
