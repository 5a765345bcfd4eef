package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot returns the whole command line.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "jethook",
		Short: "Receive webhooks, keep each one, deliver it to your services",
		Long: `jethook receives webhooks, verifies and stores each one, and delivers it to
your services until they have it. To see it work, run: jethook dev

It ends with 0 when done, 1 failed, 2 wrong usage or a wrong value, 3 not found,
4 not allowed, 5 conflict, 6 unreachable or timed out, 130 interrupted.`,
		Example: `  jethook dev
  jethook serve -c jethook.yaml`,
		Version:       thisBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(withoutValue)
	root.AddCommand(
		newServe(), newDev(),
		newEvents(), newListen(), newDead(), newRetries(), newReplay(), newEndpoints(), newSources(), newSubscribers(), newKeys(),
		newExport(), newPlan(), newApply(),
		newTrigger(), newSign(), newVerify(),
		newConfig(), newCheck(), newVersion(),
	)
	root.InitDefaultCompletionCmd()
	for _, group := range root.Commands() {
		if group.Name() == "completion" {
			group.RunE = demandCommand("bash, zsh, fish or powershell")
			group.Example = "  jethook completion bash"
			for _, shell := range group.Commands() {
				shell.Example = "  jethook completion " + shell.Name()
			}
		}
	}
	completeNames(root)
	return root
}

// demandCommand is what a group of commands does when none of them is named.
func demandCommand(commands string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return misused("%s is followed by %s", cmd.Name(), commands)
	}
}

// withoutValue names an unknown flag such as -kSECRET by its letter alone.
func withoutValue(_ *cobra.Command, err error) error {
	text, _, cut := strings.Cut(err.Error(), " in -")
	if cut && strings.HasPrefix(text, "unknown shorthand flag") {
		return errors.New(text)
	}
	return err
}

// noArgs refuses arguments without repeating them: one may be a secret that was
// meant for a flag.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments", cmd.CommandPath())
	}
	return nil
}
