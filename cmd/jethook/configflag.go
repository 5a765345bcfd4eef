package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// configVariable names the files where no flag does, separated by commas.
const configVariable = "JETHOOK_CONFIG"

// configFiles are the files of the flag -c.
type configFiles struct{ flag []string }

func (f *configFiles) bind(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.flag, "config", "c", nil,
		"configuration `FILE`; repeat it for several, the later over the earlier (default $"+configVariable+")")
}

// paths are the files of the flag, or else of the variable.
func (f *configFiles) paths() []string {
	if len(f.flag) > 0 {
		return f.flag
	}
	listed := strings.Split(os.Getenv(configVariable), ",")
	return slices.DeleteFunc(listed, func(path string) bool { return path == "" })
}

// demand refuses to look at the configuration where nobody has named its files.
func (f *configFiles) demand() error {
	if len(f.paths()) == 0 {
		return misused("no configuration: name its file with -c or %s", configVariable)
	}
	return nil
}

// load reads the files and checks all that can be checked without running. The
// error is *config.Problems.
func (f *configFiles) load() (*config.Config, error) {
	return config.Load(f.paths(), app.Check)
}

// source returns the configured source of that name.
func (f *configFiles) source(name string) (config.Source, *config.Config, error) {
	if err := f.demand(); err != nil {
		return config.Source{}, nil, err
	}
	c, err := f.load()
	if err != nil {
		return config.Source{}, nil, err
	}
	i := slices.IndexFunc(c.Sources, func(s config.Source) bool { return s.Name == name })
	if i < 0 {
		return config.Source{}, nil, unknownSource(name, c.Sources)
	}
	return c.Sources[i], c, nil
}
