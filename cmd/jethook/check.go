package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

func newCheck() *cobra.Command {
	var files configFiles
	var format output
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what would keep the bridge from running: configuration, store, bus, ports, endpoints",
		Long: `Looks at what serve needs with this configuration on this machine, and changes
nothing: the configuration itself, the store directory and its volume or the cluster of
nats.url, the ports, and the way to the url of each endpoint of the files, to which it
connects and sends nothing. It may be asked before the first start and beside a running bridge.

Ends with 1 where something is wrong, and with 6 where nothing is but that the bus or an
endpoint does not answer. A warning is of what may be meant.`,
		Example: "  jethook check -c jethook.yaml\n  jethook check -c jethook.yaml -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := files.demand(); err != nil {
				return err
			}
			found, err := check(cmd, &files)
			if err != nil {
				return err
			}
			if err := writeFindings(cmd, found, format); err != nil {
				return err
			}
			return verdictOf(found)
		},
	}
	files.bind(cmd)
	format.bind(cmd)
	return cmd
}

func check(cmd *cobra.Command, files *configFiles) ([]app.Finding, error) {
	c, err := files.load()
	if problems := (*config.Problems)(nil); errors.As(err, &problems) {
		var found []app.Finding
		for _, p := range problems.List {
			found = append(found, app.Finding{Check: "configuration", Name: p.Position.String(), Verdict: app.Faulty, Detail: strings.TrimPrefix(p.Key+": "+p.Message, ": ")})
		}
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := app.Diagnose(cmd.Context(), c)
	if cmd.Context().Err() != nil {
		return nil, context.Cause(cmd.Context())
	}
	return found, err
}

func writeFindings(cmd *cobra.Command, found []app.Finding, format output) error {
	if format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), found)
	}
	var rows [][]string
	for _, f := range found {
		rows = append(rows, []string{string(f.Verdict), f.Check, f.Name, strings.TrimSpace(f.Detail)})
	}
	return writeTable(cmd.OutOrStdout(), []string{"VERDICT", "CHECK", "OF", "DETAIL"}, rows)
}

// verdictOf is the failure that the findings are together, or nil.
func verdictOf(found []app.Finding) error {
	unreachable := false
	for _, f := range found {
		switch f.Verdict {
		case app.Faulty:
			return &failure{code: exitFailed}
		case app.Unreachable:
			unreachable = true
		}
	}
	if unreachable {
		return &failure{code: exitUnreachable}
	}
	return nil
}
