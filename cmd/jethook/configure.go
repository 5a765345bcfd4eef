package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

func newConfig() *cobra.Command {
	group := &cobra.Command{
		Use:     "config",
		Short:   "Check, show or describe the configuration",
		Example: "  jethook config validate -c jethook.yaml",
		RunE:    demandCommand("validate, show or schema"),
	}
	group.AddCommand(newConfigValidate(), newConfigShow(), newConfigSchema())
	return group
}

func newConfigValidate() *cobra.Command {
	var files configFiles
	var format output
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Say everything that is wrong with the configuration",
		Long: `Reads the configuration as serve would, and says every problem it has: where it
is, what is wrong and what to do. What may be meant is a warning on stderr, and
no problem. Nothing is opened or changed.`,
		Example: "  jethook config validate -c jethook.yaml -c secrets.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := files.demand(); err != nil {
				return err
			}
			c, err := files.load()
			if err == nil {
				for _, w := range app.Warnings(c) {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", w.Pos, w)
				}
			}
			if format == outputJSON {
				return writeProblems(cmd.OutOrStdout(), err)
			}
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
			}
			return err
		},
	}
	files.bind(cmd)
	format.bind(cmd)
	return cmd
}

// writeProblems writes the problems in err as a list, which is empty for nil.
func writeProblems(w io.Writer, err error) error {
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Key     string `json:"key"`
		Message string `json:"message"`
	}
	list := []problem{}
	if found := (*config.Problems)(nil); errors.As(err, &found) {
		for _, p := range found.List {
			list = append(list, problem{p.File, p.Line, p.Column, p.Key, p.Message})
		}
	} else if err != nil {
		return err
	}
	if writeErr := writeJSON(w, list); writeErr != nil || err == nil {
		return writeErr
	}
	return &failure{code: exitFailed}
}

func newConfigShow() *cobra.Command {
	var files configFiles
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print the configuration in force, with defaults and without secrets",
		Example: "  jethook config show -c jethook.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := files.load()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(c.Show())
			return err
		},
	}
	files.bind(cmd)
	return cmd
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the configuration, for editors",
		Example: "  jethook config schema > jethook.schema.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
