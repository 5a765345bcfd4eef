package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/internal/vault"
)

func newKeysRotateKeyset() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "rotate-keyset FILE [STEP]",
		Short: "Take a step in the rotation of the keyset that encrypts what is stored",
		Long: `Changes the keyset in FILE, that of a running bridge too, and prints its keys.
Without STEP it changes nothing and says which step is next:

  add      adds a new key, which decrypts and does not encrypt yet
  promote  has the new key encrypt; the bridge encrypts anew what is stored
  disable  has the old keys decrypt no more; enable takes that back
  remove   destroys the old keys

The bridge takes each step up by itself, within seconds, and refuses a file that
does not decrypt all that is stored. With several replicas, take the step on one
copy of the file and give it to all. Take the next when every replica has the one
before: /readyz?verbose shows its keys, and whether older ones are needed.`,
		Example: `  jethook keys rotate-keyset data/keyset.json
  jethook keys rotate-keyset data/keyset.json add`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("give the FILE of the keyset, and the STEP")
			}
			if len(args) == 2 && !slices.Contains(vault.Steps(), vault.Step(args[1])) {
				return fmt.Errorf("%q is not a step; steps are %v", args[1], vault.Steps())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys []vault.KeyState
			var err error
			if len(args) == 1 {
				keys, err = vault.FileKeys(args[0])
			} else {
				keys, err = vault.Rotate(args[0], vault.Step(args[1]))
			}
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return &failure{exitNotFound, err}
			case errors.Is(err, vault.ErrStep), errors.Is(err, vault.ErrBusy):
				return &failure{exitConflict, err}
			case err != nil:
				return err
			}
			return writeKeyset(cmd, format, keys)
		},
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) (steps []cobra.Completion, _ cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return nil, cobra.ShellCompDirectiveDefault // a file
		case 1:
			for _, step := range vault.Steps() {
				steps = append(steps, string(step))
			}
		}
		return steps, cobra.ShellCompDirectiveNoFileComp
	}
	format.bind(cmd)
	return cmd
}

func writeKeyset(cmd *cobra.Command, format output, keys []vault.KeyState) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "next step: %s\n", vault.Due(keys))
	if format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), keys)
	}
	var rows [][]string
	for _, k := range keys {
		state := "disabled"
		switch {
		case k.Primary:
			state = "encrypts"
		case k.Enabled:
			state = "decrypts"
		}
		rows = append(rows, []string{strconv.FormatUint(uint64(k.ID), 10), state})
	}
	return writeTable(cmd.OutOrStdout(), []string{"KEY", "STATE"}, rows)
}
