package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// elsewhere says where the keys of an endpoint are that have no flags.
const elsewhere = `Its own secrets, retry, headers,
auth and tls have no flags: write them into a file for jethook apply, or ask the API.`

// endpointFlags are what an endpoint shall be, as far as flags are given.
type endpointFlags struct {
	api.EndpointSpec
	all, disabled, pull bool
}

func (f *endpointFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.URL, "url", "", "post events to this `URL`")
	cmd.Flags().BoolVar(&f.pull, "pull", false, "its receiver takes events with endpoints pull, instead of a url")
	cmd.Flags().StringSliceVar(&f.Events, "events", nil, "a `PATTERN` of the events it gets, such as stripe.invoice.*; may be repeated")
	cmd.Flags().BoolVar(&f.all, "all-events", false, "it gets all events of the environment")
	cmd.Flags().BoolVar(&f.disabled, "disabled", false, "its events wait; --disabled=false has them delivered again")
	cmd.Flags().StringVar(&f.Description, "description", "", "a `TEXT` for people")
	cmd.Flags().StringVar(&f.Signature, "signature", "", "`standard`, clink, chip or none")
	_ = cmd.RegisterFlagCompletionFunc("signature", among("standard", "clink", "chip", "none")) // fails only for a flag that is not there
	cmd.Flags().StringVar(&f.Timeout, "timeout", "", "how `long` one attempt may take, such as 15s")
	cmd.Flags().StringVar(&f.Rate, "rate", "", "most attempts per time, such as `200/s`, or none")
	cmd.Flags().IntVar(&f.Concurrency, "concurrency", 0, "most attempts at once")
	cmd.Flags().StringVar(&f.Filter, "filter", "", "an `EXPRESSION` over the body, such as 'data.object.amount >= 1000'")
}

func (f *endpointFlags) spec(cmd *cobra.Command) api.EndpointSpec {
	spec := f.EndpointSpec
	if cmd.Flags().Changed("pull") {
		spec.Pull = &f.pull
	}
	if cmd.Flags().Changed("all-events") {
		spec.AllEvents = &f.all
	}
	if enabled := !f.disabled; cmd.Flags().Changed("disabled") {
		spec.Enabled = &enabled
	}
	return spec
}

func newEndpointsCreate() *cobra.Command {
	var flags apiFlags
	var of endpointFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "create", Short: "Make an endpoint, and print its secret this once",
		Long:    "Makes an endpoint, and prints its secret this once. " + elsewhere,
		Example: `  jethook endpoints create --name billing --url https://billing.example.com/events --events stripe.invoice.*`,
		Args:    noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		e, err := client.CreateEndpoint(ctx, of.spec(cmd))
		return writeMade(cmd, &flags, e, err)
	})
	cmd.Flags().StringVar(&of.Name, "name", "", "its `NAME`; one is made of the url where there is none")
	cmd.Flags().StringVar(&of.Start, "start", "", "begin with `now`, beginning, the sequence of an event, or a time in RFC 3339")
	of.bind(cmd)
	return cmd
}

// writeMade prints an endpoint, and a secret that is shown this once.
func writeMade(cmd *cobra.Command, flags *apiFlags, e api.Endpoint, err error) error {
	if err != nil {
		return err
	}
	if flags.format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), e)
	}
	if err := writeEndpoint(cmd.OutOrStdout(), &e); err != nil {
		return err
	}
	if e.Secret != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret, shown this once: %s\n", e.Secret)
	}
	if e.PublicKey != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "public key:\n%s", e.PublicKey)
	}
	return err
}

func newEndpointsUpdate() *cobra.Command {
	var flags apiFlags
	var of endpointFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "update NAME", Short: "Change an endpoint that was made over the API in what flags say",
		Long:    "Changes an endpoint that was made over the API in what flags say. " + elsewhere,
		Example: "  jethook endpoints update billing --rate 50/s",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		e, err := client.UpdateEndpoint(ctx, args[0], of.spec(cmd))
		return writeMade(cmd, &flags, e, err)
	})
	of.bind(cmd)
	return cmd
}

func newEndpointsDelete() *cobra.Command {
	return newDeleteCommand("endpoint", (*api.Client).DeleteEndpoint, &cobra.Command{
		Use: "delete NAME", Short: "Delete an endpoint that was made over the API, and what waits for it",
		Example: "  jethook endpoints delete billing",
		Args:    exactly("NAME"),
	})
}

func newEndpointsRotate() *cobra.Command {
	var flags apiFlags
	var how api.RotateSecret
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "rotate-secret NAME", Short: "Sign an endpoint's deliveries with a new secret, and with the old one for a while",
		Example: "  jethook endpoints rotate-secret billing --overlap 48h",
		Args:    exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		e, err := client.RotateSecret(ctx, args[0], how)
		return writeMade(cmd, &flags, e, err)
	})
	cmd.Flags().StringVar(&how.Overlap, "overlap", "", "sign with both for this `DURATION`, at most 168h (default 24h)")
	return cmd
}

func newEndpointsTest() *cobra.Command {
	var flags apiFlags
	return apiCommand(&flags, &cobra.Command{
		Use: "test NAME", Short: "Send one test event to an endpoint now, and show what it answers",
		Long: `Sends an event jethook.test, signed as every delivery is, to an endpoint at once, be it
paused or disabled. It is not stored and not tried again. Ends with 1 where it is not
accepted.`,
		Example: "  jethook endpoints test billing", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		a, err := client.TestEndpoint(ctx, args[0])
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			err = writeJSON(cmd.OutOrStdout(), a)
		} else {
			err = writeFields(cmd.OutOrStdout(), "outcome", a.Outcome, "status", number(a.Status), "took", fmt.Sprintf("%.1f ms", a.DurationMS),
				"error", a.Error, "answer", a.Response, "webhook-id", a.EventID)
		}
		if err == nil && a.Outcome != "delivered" {
			err = fmt.Errorf("%s did not accept the test event", args[0])
		}
		return err
	})
}
