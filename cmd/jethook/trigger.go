package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// trigger is one run of the command.
type trigger struct {
	files         configFiles
	key           keyFlag
	data          dataFlag
	url           string
	count         int
	rate          string
	format        output
	source, event string
}

func newTrigger() *cobra.Command {
	var t trigger
	cmd := &cobra.Command{
		Use:   "trigger SOURCE EVENT",
		Short: "Sign a sample event like its provider and post it to the gateway",
		Long: `Posts events to the running gateway, signed as the provider of the source signs
them. Each is a new event with an id of its own. A source whose provider signs
with a private key needs that with --key.

With --data the body is what you give. EVENT then has an effect only where the
provider names events in a header, and the same body again may be a duplicate.`,
		Example: `  jethook trigger stripe charge.refunded -c jethook.yaml
  jethook trigger clink order.succeeded --data @order.json
  jethook trigger stripe invoice.paid --count 1000 --rate 100/s -o json
  jethook trigger chip purchase.paid --key @chip-private.pem`,
		Args: exactly("SOURCE", "EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.source, t.event = args[0], args[1]
			return t.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: t.complete,
	}
	t.files.bind(cmd)
	t.key.bind(cmd, "key", "what to sign with (default the first secret of the source)")
	t.data.bind(cmd, "a body in place of the provider's sample")
	cmd.Flags().StringVar(&t.url, "url", "", "the gateway's `ADDRESS` (default as listen.ingest of the configuration)")
	cmd.Flags().IntVarP(&t.count, "count", "n", 1, "how many events")
	cmd.Flags().StringVar(&t.rate, "rate", "none", "most events per time, such as 50/s or 10/m")
	t.format.bind(cmd)
	return cmd
}

// exactly demands the arguments of these names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return fmt.Errorf("%s takes %s", cmd.CommandPath(), strings.Join(names, " and "))
	}
}

func (t *trigger) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if t.count < 1 {
		return misused("--count is at least 1")
	}
	limiter, err := newLimiter(t.rate)
	if err != nil {
		return err
	}
	s, err := t.sender()
	if err != nil {
		return err
	}
	var body []byte
	if t.data.reference != "" {
		if body, err = t.data.read(stdin); err != nil {
			return err
		}
		if !slices.ContainsFunc(s.preset.Event, func(place string) bool { return strings.HasPrefix(place, "header:") }) {
			fmt.Fprintf(stderr, "note: %s is not put into --data; the data name the event\n", t.event)
		}
	}
	refused := 0
	for range t.count {
		if err := limiter.Wait(ctx); err != nil {
			return err
		}
		a, err := s.send(ctx, t.event, uuid.NewString(), body)
		if err != nil {
			return err
		}
		if !a.stored() {
			refused++
		}
		if err := t.write(stdout, a); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("the gateway refused %d of %s", refused, quantity(t.count, "event"))
	}
	return nil
}

// sender prepares the source's provider.
func (t *trigger) sender() (*sender, error) {
	source, c, err := t.files.source(t.source)
	if err != nil {
		return nil, err
	}
	preset, err := app.Resolve(source)
	if err != nil {
		return nil, err
	}
	keys, err := signingKeys(&t.key, *preset.Scheme, source)
	if err != nil {
		return nil, err
	}
	gateway := t.url
	if gateway == "" {
		if gateway, err = gatewayURL(c.Listen.Ingest); err != nil {
			return nil, err
		}
	}
	return newSender(source, preset, keys, gateway)
}

// write writes one result: a line for a person or an object.
func (t *trigger) write(w io.Writer, a answer) error {
	if t.format == outputJSON {
		return writeJSON(w, struct {
			ID        string `json:"id"`
			Source    string `json:"source"`
			Event     string `json:"event"`
			Status    int    `json:"status"`
			Duplicate bool   `json:"duplicate"`
			Code      string `json:"code,omitempty"`
			Detail    string `json:"detail,omitempty"`
		}{a.ID, t.source, t.event, a.Status, a.Duplicate, a.Code, a.Detail})
	}
	verdict := "stored"
	switch {
	case a.Duplicate:
		verdict = "duplicate"
	case !a.stored():
		verdict = strings.TrimSuffix(a.Code+": "+a.Detail, ": ")
	}
	_, err := fmt.Fprintf(w, "%-30s  %d  %s\n", orDash(a.ID), a.Status, verdict)
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// unknownSource is the failure for a source that is not configured.
func unknownSource(name string, sources []config.Source) error {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	return &failure{exitNotFound, fmt.Errorf("no source %q in the configuration; it has %s", name, orNone(names))}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// complete offers the sources of the configuration, and then the events that
// the provider is known to send.
func (t *trigger) complete(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := t.files.load()
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, source := range c.Sources {
		if len(args) == 0 {
			words = append(words, source.Name)
		} else if preset, err := app.Resolve(source); err == nil && source.Name == args[0] {
			words = append(words, preset.Catalogue...)
			if len(preset.Catalogue) == 0 {
				words = cobra.AppendActiveHelp(words, preset.Title+" has no list of its events here: any name will do")
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
