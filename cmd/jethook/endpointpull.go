package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newEndpointsPull() *cobra.Command {
	var flags apiFlags
	var query api.PullQuery
	var ack bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "pull NAME", Short: "Take events of an endpoint whose events are pulled",
		Long: `Takes events of an endpoint that was made with --pull and prints them. Each is out
for the endpoint's timeout: with --ack it is acknowledged once it is printed, and
without it comes again by the endpoint's retry, as after a failed attempt.
With -o json each line is one event, its body in base64 as event.data_base64.`,
		Example: `  jethook endpoints pull warehouse --wait 20s --ack
  jethook endpoints pull warehouse -o json --ack | jq -r '.event.data_base64 | @base64d'`,
		Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		list, err := client.Pull(ctx, args[0], query)
		if err != nil {
			return err
		}
		var rows [][]string
		var tokens []string
		for _, t := range list.Data {
			tokens = append(tokens, t.Token)
			rows = append(rows, []string{t.Event.ID, t.Event.Source, t.Event.Type, fmt.Sprint(t.Attempt), moment(t.AckBy), fmt.Sprint(len(t.Event.Data))})
			if flags.format == outputJSON {
				if err := writeJSON(cmd.OutOrStdout(), t); err != nil {
					return err
				}
			}
		}
		if flags.format != outputJSON {
			if err := writeTable(cmd.OutOrStdout(), []string{"ID", "SOURCE", "TYPE", "ATTEMPT", "ACK BY", "BYTES"}, rows); err != nil {
				return err
			}
		}
		if !ack || len(tokens) == 0 {
			return nil
		}
		settled, err := client.Ack(ctx, args[0], tokens...)
		if err == nil && len(settled.Over) > 0 {
			err = fmt.Errorf("acknowledged too late, to be delivered again: %s", quantity(len(settled.Over), "event"))
		}
		return err
	})
	cmd.Flags().IntVar(&query.Limit, "limit", 0, "take at most `N` events, up to 100 (default 20)")
	cmd.Flags().StringVar(&query.Wait, "wait", "", "wait this `long` for an event where there is none, at most 25s")
	cmd.Flags().BoolVar(&ack, "ack", false, "acknowledge what is printed")
	return cmd
}
