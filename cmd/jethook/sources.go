package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/provider"
)

func newSources() *cobra.Command {
	group := &cobra.Command{
		Use:     "sources",
		Short:   "Make, show and delete the senders of webhooks",
		Example: "  jethook sources list",
		RunE:    demandCommand("list, show, create, delete, connect, registered or disconnect"),
	}
	group.AddCommand(newSourcesList(), newSourcesShow(), newSourcesCreate(), newSourcesDelete(),
		newSourcesConnect(), newSourcesRegistered(), newSourcesDisconnect())
	return group
}

func newSourcesList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "list", Short: "List the sources", Example: "  jethook sources list", Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.Sources(ctx, page.Page)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, s := range list.Data {
			rows = append(rows, []string{s.Name, s.Preset, s.Path, s.Rate, s.ManagedBy, s.Problem})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"NAME", "PRESET", "PATH", "RATE", "MANAGED BY", "PROBLEM"}, rows)
	})
	page.bind(cmd, 100)
	return cmd
}

func writeSource(cmd *cobra.Command, flags *apiFlags, s api.Source, err error) error {
	if err != nil {
		return err
	}
	if flags.format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), s)
	}
	return writeFields(cmd.OutOrStdout(), "name", s.Name, "env", s.Env, "preset", s.Preset, "path", s.Path, "secrets", strings.Join(s.MaskedSecrets, " "),
		"public keys", fmt.Sprint(len(s.PublicKeys)), "allowed", strings.Join(s.AllowIPs, " "), "rate", s.Rate, "max body", s.MaxBody, "managed by", s.ManagedBy, "problem", s.Problem)
}

func newSourcesShow() *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use: "show NAME", Short: "Show a source", Example: "  jethook sources show stripe", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		s, err := client.Source(ctx, args[0])
		return writeSource(cmd, &flags, s, err)
	})
}

func newSourcesCreate() *cobra.Command {
	var flags apiFlags
	var spec api.SourceSpec
	var secrets, publicKeys []string
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "create NAME", Short: "Make a source of a provider that jethook knows",
		Long: `Makes a source with a preset. Its secret is read from a file or a variable and never
taken from the command line. What a preset does not fit is set up with POST /v1/sources
or in the configuration file.`,
		Example: "  jethook sources create stripe --preset stripe --secret env:STRIPE_SECRET",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		spec.Name = args[0]
		for _, of := range []struct {
			flag string
			from []string
			into *[]string
		}{{"secret", secrets, &spec.Secrets}, {"public-key", publicKeys, &spec.PublicKeys}} {
			for _, reference := range of.from {
				var text config.Secret
				text, err := (&keyFlag{of.flag, reference}).read()
				if err != nil {
					return err
				}
				*of.into = append(*of.into, text.Reveal())
			}
		}
		s, err := client.CreateSource(ctx, spec)
		return writeSource(cmd, &flags, s, err)
	})
	cmd.Flags().StringVar(&spec.Preset, "preset", "", "the `PROVIDER`, such as stripe")
	_ = cmd.RegisterFlagCompletionFunc("preset", among(provider.Names()...)) // fails only for a flag that is not there
	cmd.Flags().StringSliceVar(&secrets, "secret", nil, "where the shared secret is: `@FILE` or env:NAME; may be repeated")
	cmd.Flags().StringSliceVar(&publicKeys, "public-key", nil, "where the public key is: `@FILE` or env:NAME; may be repeated")
	cmd.Flags().StringSliceVar(&spec.AllowIPs, "allow-ip", nil, "an `ADDRESS` or network that may call; may be repeated")
	cmd.Flags().StringVar(&spec.Rate, "rate", "", "most requests per time, such as `500/s`")
	return cmd
}

func newSourcesDelete() *cobra.Command {
	return newDeleteCommand("source", (*api.Client).DeleteSource, &cobra.Command{
		Use: "delete NAME", Short: "Delete a source that was made over the API; its events stay",
		Example: "  jethook sources delete stripe", Args: exactly("NAME"),
	})
}
