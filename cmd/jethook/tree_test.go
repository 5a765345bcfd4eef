package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls visit with all that a user may call.
func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		if !child.Hidden {
			everyCommand(child, visit)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: short help %q, example %q, want both, and the example to call it", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		got := runCommand(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if got.code != exitDone || !strings.Contains(got.stdout, "Examples:\n"+cmd.Example) {
			t.Errorf("%s --help ends with %d and does not show its example:\n%s", cmd.CommandPath(), got.code, got.stdout)
		}
	})
}

// exercised are the command lines of the scripts with the codes that they must end
// with.
func exercised(t *testing.T) (codes map[string][]exitCode) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	codes = map[string][]exitCode{}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		lines, _, _ := strings.Cut(string(text), "\n-- ")
		for line := range strings.Lines(lines) {
			words := strings.Fields(strings.ReplaceAll(line, "'", ""))
			switch {
			case len(words) == 2 && words[0] == "ends": // the server that serve has started
				words = []string{"exits", words[1], "jethook", "serve"}
			case len(words) < 3 || words[0] != "exits" || words[2] != "jethook":
				continue
			}
			code, err := strconv.Atoi(words[1])
			if err != nil {
				t.Fatalf("%s: %s: %v", script, line, err)
			}
			if cmd, _, err := newRoot().Find(words[3:]); err == nil && !slices.Contains(words, "--help") {
				codes[cmd.CommandPath()] = append(codes[cmd.CommandPath()], exitCode(code))
			}
		}
	}
	return codes
}

// TestTheScriptsRunEveryCommandAndEveryExitCode counts what ends with wrong usage
// for groups alone: a command was not run by that.
func TestTheScriptsRunEveryCommandAndEveryExitCode(t *testing.T) {
	codes := exercised(t)
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		group := cmd.HasSubCommands() && cmd.Name() != "replay"
		if !slices.ContainsFunc(codes[cmd.CommandPath()], func(code exitCode) bool { return group || code != exitUsage }) {
			t.Errorf("no script runs %s; they end it with %v", cmd.CommandPath(), codes[cmd.CommandPath()])
		}
	})
	for _, code := range []exitCode{exitDone, exitFailed, exitUsage, exitNotFound, exitNotAllowed, exitConflict, exitUnreachable, exitInterrupted} {
		found := false
		for _, of := range codes {
			found = found || slices.Contains(of, code)
		}
		if !found {
			t.Errorf("no script ends a command with %d", code)
		}
	}
}
