package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newSubscribers() *cobra.Command {
	group := &cobra.Command{
		Use:     "subscribers",
		Short:   "Make, show and delete services that consume the stream with a NATS client",
		Example: "  jethook subscribers list",
		RunE:    demandCommand("list, show, create or delete"),
	}
	group.AddCommand(newSubscribersList(), newSubscribersShow(), newSubscribersCreate(), newSubscribersDelete())
	return group
}

func newSubscribersList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "list", Short: "List the subscribers", Example: "  jethook subscribers list", Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.Subscribers(ctx, page.Page)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, s := range list.Data {
			rows = append(rows, []string{s.Name, s.Stream, strings.Join(s.Events, " "), s.NKey, s.ManagedBy, s.Problem})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"NAME", "STREAM", "EVENTS", "NKEY", "MANAGED BY", "PROBLEM"}, rows)
	})
	page.bind(cmd, 100)
	return cmd
}

func writeSubscriber(cmd *cobra.Command, flags *apiFlags, s api.Subscriber, err error) error {
	if err != nil {
		return err
	}
	if flags.format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), s)
	}
	return writeFields(cmd.OutOrStdout(), "name", s.Name, "env", s.Env, "stream", s.Stream, "consumer", s.Name, "inbox prefix", "_INBOX_"+s.Name,
		"events", strings.Join(s.Events, " "), "nkey", s.NKey, "managed by", s.ManagedBy, "problem", s.Problem)
}

func newSubscribersShow() *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use: "show NAME", Short: "Show a subscriber", Example: "  jethook subscribers show ledger", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		s, err := client.Subscriber(ctx, args[0])
		return writeSubscriber(cmd, &flags, s, err)
	})
}

func newSubscribersCreate() *cobra.Command {
	var flags apiFlags
	var spec api.SubscriberSpec
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "create NAME", Short: "Make a durable consumer for a service, and admit its key to it",
		Example: "  jethook subscribers create ledger --events chip.> --nkey UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		spec.Name = args[0]
		s, err := client.CreateSubscriber(ctx, spec)
		return writeSubscriber(cmd, &flags, s, err)
	})
	cmd.Flags().StringSliceVar(&spec.Events, "events", nil, "a `PATTERN` of the events it gets, such as chip.>; may be repeated")
	cmd.Flags().StringVar(&spec.NKey, "nkey", "", "the public half of its `NKEY`, for the port of the embedded server")
	return cmd
}

func newSubscribersDelete() *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use: "delete NAME", Short: "Delete a subscriber that was made over the API, with its consumer",
		Example: "  jethook subscribers delete ledger", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, _ *cobra.Command, args []string) error {
		return client.DeleteSubscriber(ctx, args[0])
	})
}
