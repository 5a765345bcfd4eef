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

// newDeleteCommand is a command that deletes what its argument names, and asks first.
func newDeleteCommand(kind string, remove func(*api.Client, context.Context, string) error, cmd *cobra.Command) *cobra.Command {
	var flags apiFlags
	var sure sureFlag
	apiCommand(&flags, cmd, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if err := sure.ask(cmd, fmt.Sprintf("delete the %s %s?", kind, harmless(args)[0])); err != nil {
			return err
		}
		return remove(client, ctx, args[0])
	})
	sure.bind(cmd)
	return cmd
}

// sureFlag is of a command that takes away what cannot be had back.
type sureFlag struct{ yes bool }

func (f *sureFlag) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
}

// ask asks a person at a terminal; a script has nobody to ask, and means what it says.
func (f *sureFlag) ask(cmd *cobra.Command, question string) error {
	if f.yes || !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	return agree(cmd, question+" [y/N] ", errors.New("nothing was changed"))
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
