package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release: -ldflags "-X main.version=1.2.3".
var version string

// build is what this binary was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`   // empty where the build knew none
	Modified bool   `json:"modified"` // the commit had changes beside it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild describes the running binary.
func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	about, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" && about.Main.Version != "(devel)" {
			b.Version = about.Main.Version // as go install sets it
		}
		for _, setting := range about.Settings {
			switch setting.Key {
			case "vcs.revision":
				b.Commit = setting.Value
			case "vcs.modified":
				b.Modified = setting.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

// String is one line for a person.
func (b build) String() string {
	line := fmt.Sprintf("jethook %s (%s, %s", b.Version, b.Go, b.Platform)
	if b.Commit != "" {
		line += ", commit " + b.Commit
	}
	if b.Modified {
		line += " with changes"
	}
	return line + ")"
}

func newVersion() *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built of",
		Example: "  jethook version -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format == outputJSON {
				return writeJSON(cmd.OutOrStdout(), thisBuild())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), thisBuild())
			return err
		},
	}
	format.bind(cmd)
	return cmd
}
