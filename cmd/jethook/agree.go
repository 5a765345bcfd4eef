package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

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
