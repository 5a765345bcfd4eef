package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newSubscribers() *cobra.Command {
	group := &cobra.Command{
		Use:     "subscribers",
		Short:   "Make, show and delete services that consume the stream with a NATS client",
		Example: "  jethook subscribers list",
		RunE:    demandCommand("list, show, create, rotate or delete"),
	}
	group.AddCommand(newSubscribersList(), newSubscribersShow(), newSubscribersCreate(), newSubscribersRotate(), newSubscribersDelete())
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

func writeSubscriber(cmd *cobra.Command, flags *apiFlags, s *api.Subscriber) error {
	if flags.format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), s)
	}
	deliveries := "without end"
	if s.MaxDeliver > 0 {
		deliveries = fmt.Sprint(s.MaxDeliver)
	}
	old := strings.Join(s.OldNKeys, " ")
	if !s.OldUntil.IsZero() {
		old += " until " + moment(s.OldUntil)
	}
	if err := writeFields(cmd.OutOrStdout(), "name", s.Name, "env", s.Env, "stream", s.Stream, "consumer", s.Name, "url", s.URL, "inbox prefix", s.InboxPrefix,
		"events", strings.Join(s.Events, " "), "ack wait", (time.Duration(s.AckWaitMS) * time.Millisecond).String(), "deliveries", deliveries,
		"nkey", s.NKey, "old nkeys", old, "jwt", s.JWT, "managed by", s.ManagedBy, "problem", s.Problem); err != nil {
		return err
	}
	var err error
	if s.Seed != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "seed, shown this once: %s\n", s.Seed)
	}
	if s.Creds != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "creds, shown this once:\n%s", s.Creds)
	}
	return err
}

func newSubscribersShow() *cobra.Command {
	var flags apiFlags
	var kind string
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "show NAME", Short: "Show a subscriber, or a program that consumes as it",
		Long: `Shows a subscriber. With --snippet it writes a program in Go, JavaScript or Python or a
command line that consumes its events, or what nats-server.conf needs on a cluster. The
credentials are read from NAME.nk, or NAME.creds where nats.signing is set, as --save of
create and rotate writes them.`,
		Example: "  jethook subscribers show ledger --snippet go > main.go", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if kind != "" && !slices.Contains(snippetKinds, kind) {
			return misused("--snippet is one of %s", strings.Join(snippetKinds, ", "))
		}
		s, err := client.Subscriber(ctx, args[0])
		if err != nil {
			return err
		}
		if kind != "" {
			return writeSnippet(cmd.OutOrStdout(), kind, s)
		}
		return writeSubscriber(cmd, &flags, &s)
	})
	cmd.Flags().StringVar(&kind, "snippet", "", "write a `KIND` of program or configuration: "+strings.Join(snippetKinds, ", "))
	_ = cmd.RegisterFlagCompletionFunc("snippet", among(snippetKinds...)) // fails only for a flag that is not there
	return cmd
}

// saved has the credentials that a request is answered with written to a file that
// only its owner may read, and not printed. Without a path it does nothing. The
// file is made before, so that no key is made that could not be kept; it takes the
// place of another only where replace says so, and in one step.
func saved(path string, replace bool, request func() (api.Subscriber, error)) (s api.Subscriber, err error) {
	if path == "" {
		return request()
	}
	var file *os.File
	if replace {
		file, err = os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	} else {
		file, err = createFile(path, 0o600, "move that away: it may be the only copy of a key")
	}
	if err != nil {
		return s, fmt.Errorf("save the credentials: %w", err)
	}
	kept := false
	defer func() {
		if !kept {
			_ = os.Remove(file.Name()) // the error that is returned tells more
		}
	}()
	if s, err = request(); err != nil {
		return s, errors.Join(err, file.Close())
	}
	text := s.Creds
	if text == "" && s.Seed != "" {
		text = s.Seed + "\n"
	}
	if text == "" {
		return s, errors.Join(errors.New("nothing is saved: the key was given, and its seed is with whoever made it"), file.Close())
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil && replace {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return s, fmt.Errorf("the credentials are not saved; make others with subscribers rotate: %w", err)
	}
	kept = true
	s.Seed, s.Creds = "", ""
	return s, nil
}

func newSubscribersCreate() *cobra.Command {
	var flags apiFlags
	var spec api.SubscriberSpec
	var save string
	var deliveries int
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "create NAME", Short: "Make a durable consumer for a service, and a key that is admitted to it alone",
		Long: `Makes a durable consumer for a service, and an nkey that is admitted to it and to nothing
else. Its seed is shown this once, or written to a file with --save; where nats.signing
is set, that is a credentials file.`,
		Example: "  jethook subscribers create ledger --events 'chip.>' --save ledger.nk",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if spec.Name = args[0]; cmd.Flags().Changed("max-deliver") {
			spec.MaxDeliver = &deliveries
		}
		s, err := saved(save, false, func() (api.Subscriber, error) { return client.CreateSubscriber(ctx, spec) })
		if err != nil {
			return err
		}
		if s.URL == "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: it cannot connect, since the embedded server has no port: give nats.embedded.listen an address and start jethook again")
		}
		return writeSubscriber(cmd, &flags, &s)
	})
	cmd.Flags().StringSliceVar(&spec.Events, "events", nil, "a `PATTERN` of the events it gets, such as chip.>; may be repeated")
	cmd.Flags().StringVar(&spec.NKey, "nkey", "", "the public half of an `NKEY` of its own, instead of one that is made")
	cmd.Flags().StringVar(&spec.AckWait, "ack-wait", "", "hand an event out again after this `DURATION` without an acknowledgement (default 30s)")
	cmd.Flags().IntVar(&deliveries, "max-deliver", 0, "after so many times it is dead; 0: without end (default 10)")
	cmd.Flags().StringVar(&save, "save", "", "write the credentials to this `FILE`, which is not there yet, instead of showing them")
	return cmd
}

func newSubscribersRotate() *cobra.Command {
	var flags apiFlags
	var how api.RotateNKey
	var save string
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "rotate NAME", Short: "Admit a subscriber with another key, and with the one before for a while",
		Long: `Makes another key for a subscriber that was made over the API. The one before is admitted
for a while yet. On a cluster its operator admits and revokes keys: put the new one into
the servers' configuration, or revoke the old one with nsc.`,
		Example: "  jethook subscribers rotate ledger --overlap 48h --save ledger.nk",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		s, err := saved(save, true, func() (api.Subscriber, error) { return client.RotateNKey(ctx, args[0], how) })
		if err != nil {
			return err
		}
		return writeSubscriber(cmd, &flags, &s)
	})
	cmd.Flags().StringVar(&how.NKey, "nkey", "", "the public half of an `NKEY` of its own, instead of one that is made")
	cmd.Flags().StringVar(&how.Overlap, "overlap", "", "admit both for this `DURATION`, at most 168h (default 24h)")
	cmd.Flags().StringVar(&save, "save", "", "write the credentials to this `FILE`, in the place of what it has, instead of showing them")
	return cmd
}

func newSubscribersDelete() *cobra.Command {
	return newDeleteCommand("subscriber", (*api.Client).DeleteSubscriber, &cobra.Command{
		Use: "delete NAME", Short: "Delete a subscriber that was made over the API, with its consumer",
		Example: "  jethook subscribers delete ledger", Args: exactly("NAME"),
	})
}
