// Command jethook is the bridge and its command line.
package main

import (
	"context"
	"io"
	"os"
)

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(int(code))
}

// run runs one command line and returns the code that the process ends with.
// Data go to stdout, all else to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) exitCode {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	begun := false
	noteBegin(root, &begun)
	cmd, err := root.ExecuteContextC(ctx)
	return report(stderr, cmd, interruption(ctx, err), begun)
}
