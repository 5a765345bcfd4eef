package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// newDeleteCommand is a command that deletes what its argument names. It asks a person
// at a terminal first; a script has nobody to ask, and means what it says.
func newDeleteCommand(kind string, remove func(*api.Client, context.Context, string) error, cmd *cobra.Command) *cobra.Command {
	var flags apiFlags
	var yes bool
	apiCommand(&flags, cmd, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if !yes && isTerminal(cmd.InOrStdin()) {
			question := fmt.Sprintf("delete the %s %s? [y/N] ", kind, harmless(args)[0])
			if err := agree(cmd, question, errors.New("nothing was changed")); err != nil {
				return err
			}
		}
		return remove(client, ctx, args[0])
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// agree asks a person at a terminal, and returns nil where the answer is yes. Where
// there is nobody to ask or to answer it returns unasked, and where a signal comes
// first, that.
func agree(cmd *cobra.Command, question string, unasked error) error {
	if !isTerminal(cmd.InOrStdin()) {
		return unasked
	}
	fmt.Fprint(cmd.ErrOrStderr(), question)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() { // ends with the process where nobody answers
		text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-cmd.Context().Done():
		return context.Cause(cmd.Context())
	case got := <-read:
		switch answer := strings.ToLower(strings.TrimSpace(got.text)); {
		case answer == "y" || answer == "yes":
			return nil
		case got.err != nil && answer == "":
			return unasked
		}
		return errors.New("nothing was changed")
	}
}
