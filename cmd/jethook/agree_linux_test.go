package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

func TestASignalEndsTheWaitForAnAnswer(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0) // at which nobody types
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }() // ends the reading
	ctx, interrupt := context.WithCancelCause(t.Context())
	var asked bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetContext(ctx)
	cmd.SetIn(terminal)
	cmd.SetErr(&asked)
	interrupt(interrupted{syscall.SIGINT})
	if err := agree(cmd, "go on? ", errors.New("unasked")); !errors.Is(err, interrupted{syscall.SIGINT}) {
		t.Errorf("error %v, want the signal", err)
	}
	if asked.String() != "go on? " {
		t.Errorf("it asked %q", asked.String())
	}
}
