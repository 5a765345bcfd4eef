package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newEndpointsRewind() *cobra.Command {
	var flags apiFlags
	var to api.RewindSpec
	var yes bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "rewind NAME", Short: "Have an endpoint go back, and get all events from there on again",
		Long: `Moves an endpoint's own place back: it gets every event again that its patterns select
from there on, in the order in which they were stored, and then goes on with what is
new. It counts them first and asks; --yes answers. To have some of the events delivered
again beside what is new, use jethook replay.`,
		Example: `  jethook endpoints rewind billing --since 2h
  jethook endpoints rewind billing --sequence 4711 --yes`,
		Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("sequence") && to.Sequence == 0 {
			return misused("--sequence is at least 1")
		}
		would, err := client.RewindEndpoint(ctx, args[0], to)
		if err != nil {
			return err
		}
		if !yes {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s would get %s again, from sequence %d to %d, and go on from there\n", would.Endpoint, quantity(would.Count, "event"), would.First, would.Last)
			if err := agree(cmd, "go on? [y/N] ", misused("nobody can be asked, for the input is not a terminal: add --yes")); err != nil {
				return err
			}
		}
		did, err := client.RewindEndpoint(ctx, args[0], api.RewindSpec{Confirm: would.Confirm})
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), did)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s gets %s again, from sequence %d on\n", did.Endpoint, quantity(did.Count, "event"), did.First)
		return err
	})
	cmd.Flags().StringVar(&to.Since, "since", "", "back to what was received from this `TIME` on: RFC 3339, or how long ago, such as 2h")
	cmd.Flags().Uint64Var(&to.Sequence, "sequence", 0, "back to the event of this `SEQUENCE`")
	cmd.Flags().BoolVar(&to.Beginning, "beginning", false, "back to the oldest event that is stored")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.MarkFlagsOneRequired("since", "sequence", "beginning")
	cmd.MarkFlagsMutuallyExclusive("since", "sequence", "beginning")
	return cmd
}
