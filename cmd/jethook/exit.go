package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
)

// exitCode is what the process ends with, for scripts.
type exitCode int

const (
	exitDone        exitCode = 0
	exitFailed      exitCode = 1
	exitUsage       exitCode = 2 // or a value that the bridge refuses
	exitNotFound    exitCode = 3
	exitNotAllowed  exitCode = 4
	exitConflict    exitCode = 5
	exitUnreachable exitCode = 6 // or timed out
	exitInterrupted exitCode = 130
)

// failure is an error that ends the process with a code of its own. Without err
// the command has already said what there is to say.
type failure struct {
	code exitCode
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return "failed"
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// misused is the failure of a command line that cannot be meant so.
func misused(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// noteBegin makes every command set begun when it is run. Errors before that
// are cobra's, about the command line.
func noteBegin(cmd *cobra.Command, begun *bool) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return inner(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		noteBegin(child, begun)
	}
}

// report writes why cmd failed, if it did, and returns the code to end with.
func report(stderr io.Writer, cmd *cobra.Command, err error, begun bool) exitCode {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var told *failure
	switch {
	case errors.As(err, &told):
		code = told.code
	case !begun:
		code = exitUsage
	case errors.As(err, new(interrupted)):
		code = exitInterrupted
	}
	switch problems := (*config.Problems)(nil); {
	case told != nil && told.err == nil, code == exitInterrupted: // whoever sent the signal knows
	case errors.As(err, &problems):
		fmt.Fprintln(stderr, problems) // one a line, each with its place
	default:
		fmt.Fprintf(stderr, "jethook: %v\n", err)
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "Run '%s --help' for how it is used.\n", cmd.CommandPath())
	}
	return code
}
