package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newEndpoints() *cobra.Command {
	group := &cobra.Command{
		Use:     "endpoints",
		Short:   "Make endpoints, see how they are doing, pause and resume them",
		Example: "  jethook endpoints list",
		RunE:    demandCommand("list, show, create, update, delete, rotate-secret, test, pull, pause, resume or rewind"),
	}
	group.AddCommand(
		newEndpointsList(),
		newEndpointCommand("show NAME", "Show an endpoint", "", "  jethook endpoints show billing", (*api.Client).Endpoint),
		newEndpointCommand("pause NAME", "Stop delivering to an endpoint; its events wait",
			`Stops the deliveries to an endpoint, in every replica and over restarts. Attempts
in flight finish; events and retries wait, and none is lost before
nats.stream.max_age.`, "  jethook endpoints pause billing", (*api.Client).Pause),
		newEndpointsResume(), newEndpointsRewind(),
		newEndpointsCreate(), newEndpointsUpdate(), newEndpointsDelete(), newEndpointsRotate(), newEndpointsTest(), newEndpointsPull(),
	)
	return group
}

func newEndpointsResume() *cobra.Command {
	var how api.Resume
	cmd := newEndpointCommand("resume NAME", "Deliver again to an endpoint that was paused or disabled, or try one that fails",
		`Has an endpoint get its events again that was paused, or that was disabled after
an answer of 410 or for failing too long. One that fails is tried at once. What
waits is delivered at the endpoint's own pace or, with --rate, no faster than that
until it is all delivered.`,
		"  jethook endpoints resume billing\n  jethook endpoints resume billing --rate 50/s",
		func(client *api.Client, ctx context.Context, name string) (api.Endpoint, error) {
			return client.Resume(ctx, name, how)
		})
	cmd.Flags().StringVar(&how.Rate, "rate", "", "deliver what waits at most at this `RATE`, such as 50/s")
	return cmd
}

func newEndpointsList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	var query api.EndpointQuery
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "list",
		Short: "List the endpoints, and what waits for each",
		Example: `  jethook endpoints list
  jethook endpoints list --event stripe.invoice.paid -o json`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		query.Page = page.Page
		list, err := client.Endpoints(ctx, query)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, e := range list.Data {
			rows = append(rows, []string{e.Name, e.State, fmt.Sprint(e.Waiting), fmt.Sprint(e.Retries), fmt.Sprint(e.Dead), e.URL, e.Reason})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"NAME", "STATE", "WAITING", "RETRIES", "DEAD", "URL", "WHY"}, rows)
	})
	cmd.Flags().StringVar(&query.Event, "event", "", "those that get this `EVENT`: source and name, such as stripe.invoice.paid")
	cmd.Flags().StringVar(&query.Enabled, "enabled", "", "`true` or false: those that the file enables, or not")
	page.bind(cmd, 100)
	return cmd
}

// newEndpointCommand is a command about one endpoint, whose answer is the
// endpoint as it is then.
func newEndpointCommand(use, short, long, example string,
	ask func(*api.Client, context.Context, string) (api.Endpoint, error),
) *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: exactly("NAME")},
		func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
			e, err := ask(client, ctx, args[0])
			if err != nil {
				return err
			}
			if flags.format == outputJSON {
				return writeJSON(cmd.OutOrStdout(), e)
			}
			return writeEndpoint(cmd.OutOrStdout(), &e)
		})
}

func writeEndpoint(w io.Writer, e *api.Endpoint) error {
	pull := ""
	if e.Pull {
		pull = "its receiver takes its events"
	}
	return writeFields(w, "name", e.Name, "env", e.Env, "url", e.URL, "pull", pull, "description", e.Description, "events", strings.Join(e.Events, " "), "filter", e.Filter,
		"signature", e.Signature, "headers", strings.Join(slices.Sorted(maps.Keys(e.Headers)), " "), "auth", authOf(e.Auth), "tls", tlsOf(e.TLS),
		"timeout", e.Timeout, "concurrency", number(e.Concurrency), "rate", e.Rate, "retry", retryOf(e.Retry),
		"state", e.State, "since", moment(e.Since), "why", e.Reason, "next warning", moment(e.NextWarning), "to be disabled", moment(e.DisableAt),
		"drains at", e.DrainRate, "oldest waits since", moment(e.OldestWaiting), "oldest expires", moment(e.ExpiresAt),
		"waiting", fmt.Sprint(e.Waiting), "retries", fmt.Sprint(e.Retries), "dead", fmt.Sprint(e.Dead), "managed by", e.ManagedBy)
}

// authOf says how deliveries are authorized; the API does not show with what.
func authOf(a *api.Auth) string {
	switch {
	case a == nil:
		return ""
	case a.Basic != nil:
		return "basic " + a.Basic.User
	}
	return "bearer"
}

// tlsOf says what an endpoint has of its own for TLS.
func tlsOf(t *api.TLS) string {
	if t == nil {
		return ""
	}
	var own []string
	if t.CA != "" {
		own = append(own, "ca")
	}
	if t.Cert != "" {
		own = append(own, "client certificate")
	}
	return strings.Join(own, ", ")
}

// retryOf is a schedule of attempts.
func retryOf(r *api.Retry) string {
	if r == nil || r.Attempts == nil || r.Multiplier == nil || r.Jitter == nil {
		return ""
	}
	return fmt.Sprintf("%s within %s, the second after %s, then %g times as long each, at most %s, give or take %g %%",
		quantity(*r.Attempts, "attempt"), r.MaxElapsed, r.Initial, *r.Multiplier, r.MaxInterval, 100**r.Jitter)
}
