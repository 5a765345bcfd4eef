package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newRetries() *cobra.Command {
	group := &cobra.Command{
		Use:     "retries",
		Short:   "Hasten or cancel what waits for its next attempt",
		Example: "  jethook retries hasten billing",
		RunE:    demandCommand("hasten or cancel"),
	}
	group.AddCommand(
		newRetriesCommand(&cobra.Command{
			Use:   "hasten NAME",
			Short: "Have all that waits for its next attempt at an endpoint fall due now",
			Long: `Has everything that waits for its next attempt at an endpoint fall due now, such
as when the endpoint is mended hours before that. While the endpoint fails, is
paused or disabled, it waits all the same.`,
			Example: "  jethook retries hasten billing",
		}, (*api.Client).HastenRetries, "is due now", "are due now"),
		newRetriesCommand(&cobra.Command{
			Use:   "cancel NAME",
			Short: "Make dead events of all that waits for its next attempt at an endpoint",
			Long: `Makes dead events of everything that waits for its next attempt at an endpoint,
with the reason cancelled. An attempt under way is not cut short, and dead retry
has them delivered after all.`,
			Example: "  jethook retries cancel billing",
		}, (*api.Client).CancelRetries, "is dead now", "are dead now"),
	)
	return group
}

// newRetriesCommand asks for one batch after another, and tells what was done also
// where one fails.
func newRetriesCommand(cmd *cobra.Command, ask func(*api.Client, context.Context, string) (api.Counted, error), is, are string) *cobra.Command {
	var flags apiFlags
	cmd.Args = exactly("NAME")
	return apiCommand(&flags, cmd, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		var all api.Counted
		for {
			done, err := ask(client, ctx, args[0])
			if err != nil && all.Count == 0 {
				return err
			}
			all.Count, all.More = all.Count+done.Count, err != nil
			if err != nil || !done.More {
				return writeCounted(cmd, flags.format, all, args[0], is, are, err)
			}
		}
	})
}

// writeCounted writes what was done and returns what it was ended by.
func writeCounted(cmd *cobra.Command, format output, n api.Counted, endpoint, is, are string, failed error) error {
	if format == outputJSON {
		if err := writeJSON(cmd.OutOrStdout(), n); err != nil {
			return err
		}
		return failed
	}
	verb := are
	if n.Count == 1 {
		verb = is
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s of %s %s\n", quantity(n.Count, "event"), endpoint, verb)
	return failed
}
