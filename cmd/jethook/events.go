package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newEvents() *cobra.Command {
	group := &cobra.Command{
		Use:     "events",
		Short:   "See what became of an event, and send it again",
		Example: "  jethook events list --since 1h",
		RunE:    demandCommand("list, get, tail or resend"),
	}
	group.AddCommand(newEventsList(), newEventsGet(), newEventsTail(), newEventsResend())
	return group
}

func newEventsList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	var period periodFlags
	var source, kind string
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "list",
		Short: "List events, the newest first",
		Example: `  jethook events list --source stripe --since 2h
  jethook events list --type 'invoice.*' --limit 100 -o json`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.Events(ctx, api.EventQuery{Page: page.Page, Source: source, Type: kind, Since: period.since, Until: period.until})
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, e := range list.Data {
			rows = append(rows, []string{moment(e.Time), e.ID, e.Source, e.Type, fmt.Sprint(e.Size), fmt.Sprint(e.Sequence)})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"TIME", "ID", "SOURCE", "TYPE", "BYTES", "SEQUENCE"}, rows)
	})
	cmd.Flags().StringVar(&source, "source", "", "those of this source")
	cmd.Flags().StringVar(&kind, "type", "", "those of this name or `PATTERN`: * for one token, > for all that follow")
	period.bind(cmd, "those received")
	page.bind(cmd, 20)
	return cmd
}

// eventStory is an event and what became of it.
type eventStory struct {
	api.Event
	Attempts         []api.Attempt `json:"attempts"`
	Dead             []api.Dead    `json:"dead"`
	AttemptsComplete bool          `json:"attempts_complete"` // and of Dead
}

func newEventsGet() *cobra.Command {
	var flags apiFlags
	var body bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "get EVENT",
		Short: "Show an event, every attempt to deliver it, and where it is dead",
		Long: `Shows an event, every attempt to deliver it, and where it is dead, which it may be
without an attempt. EVENT is its id, which is known for three days, or its sequence,
which dead events and attempts name.`,
		Example: `  jethook events get evt_xpuj4azcvz7ajuyrlzoezhc44a
  jethook events get evt_xpuj4azcvz7ajuyrlzoezhc44a --body > body.json`,
		Args: exactly("EVENT"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if body {
			content, err := client.Body(ctx, args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(content)
			return err
		}
		e, err := client.Event(ctx, args[0])
		if err != nil {
			return err
		}
		attempts, err := client.Attempts(ctx, args[0], "")
		if err != nil {
			return err
		}
		story := eventStory{e, attempts.Data, attempts.Dead, attempts.Complete}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), story)
		}
		return story.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
	cmd.Flags().BoolVar(&body, "body", false, "write its body, byte for byte, and nothing else")
	return cmd
}

func (s *eventStory) write(stdout, stderr io.Writer) error {
	if err := writeFields(stdout, "id", s.ID, "type", s.Type, "source", s.Source, "env", s.Env, "received", moment(s.Time),
		"bytes", fmt.Sprint(s.Size), "content type", s.ContentType, "sequence", fmt.Sprint(s.Sequence), "trace", s.Traceparent); err != nil {
		return err
	}
	if !s.AttemptsComplete {
		fmt.Fprintln(stderr, "there are more records since the event than were read; the latest attempts, or where it is dead, may be missing")
	}
	if err := s.writeAttempts(stdout); err != nil || len(s.Dead) == 0 {
		return err
	}
	fmt.Fprintln(stdout)
	var rows [][]string
	for _, d := range s.Dead {
		rows = append(rows, []string{d.ID, moment(d.DiedAt), d.Endpoint, fmt.Sprint(d.Attempts), number(d.LastStatus), whyOf(d.Reason, d.LastError)})
	}
	return writeTable(stdout, []string{"DEAD", "DIED", "ENDPOINT", "ATTEMPTS", "STATUS", "REASON"}, rows)
}

func (s *eventStory) writeAttempts(stdout io.Writer) error {
	if len(s.Attempts) == 0 {
		_, err := fmt.Fprintln(stdout, "\nno attempt to deliver it is recorded")
		return err
	}
	fmt.Fprintln(stdout)
	var rows [][]string
	for _, a := range s.Attempts {
		rows = append(rows, []string{moment(a.At), a.Endpoint, fmt.Sprint(a.Attempt), number(a.Status),
			fmt.Sprintf("%.0f ms", a.DurationMS), a.Outcome, moment(a.NextAt), whyOf(a.Reason, a.Error)})
	}
	return writeTable(stdout, []string{"ATTEMPTED", "ENDPOINT", "NO", "STATUS", "TOOK", "OUTCOME", "NEXT", "WHY"}, rows)
}

func newEventsResend() *cobra.Command {
	var flags apiFlags
	var endpoint string
	cmd := apiCommand(&flags, &cobra.Command{
		Use:   "resend EVENT --endpoint NAME",
		Short: "Deliver an event again, to one endpoint alone",
		Long: `Has an event delivered again now, to one endpoint alone and with all its
attempts anew. An endpoint that is paused or disabled gets it later. The
endpoint's filter holds.`,
		Example: "  jethook events resend evt_xpuj4azcvz7ajuyrlzoezhc44a --endpoint billing",
		Args:    exactly("EVENT"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		sent, err := client.Resend(ctx, args[0], endpoint)
		if err != nil {
			return err
		}
		return writeRedelivery(cmd.OutOrStdout(), flags.format, sent)
	})
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "the endpoint's `NAME`")
	_ = cmd.MarkFlagRequired("endpoint") // fails only for a flag that is not there
	return cmd
}

func writeRedelivery(w io.Writer, format output, r api.Redelivery) error {
	if format == outputJSON {
		return writeJSON(w, r)
	}
	_, err := fmt.Fprintf(w, "%s is delivered again to %s\n", r.EventID, r.Endpoint)
	return err
}
