package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
)

// kinds are the lists of a file that the API can make, in their order there.
var kinds = []string{api.KindSources, api.KindEndpoints, api.KindSubscribers}

func newExport() *cobra.Command {
	var flags apiFlags
	var file string
	var force bool
	only := map[string]*bool{}
	cmd := &cobra.Command{
		Use: "export", Short: "Print what was made over the API as a configuration file",
		Long: `Prints the sources, endpoints and subscribers of the key's environment that were made
over the API, as a file for plan, apply and serve. Secrets cannot be read over the API:
the file refers to variables in their place, which are listed on stderr.`,
		Example: `  jethook export -o jethook.yaml
  jethook export --endpoints > endpoints.yaml`,
		Args: noArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := flags.client()
		if err != nil {
			return err
		}
		var chosen []string
		for _, kind := range kinds {
			if *only[kind] {
				chosen = append(chosen, kind)
			}
		}
		if chosen == nil {
			chosen = kinds
		}
		text, hidden, err := export(cmd.Context(), client, chosen)
		if err != nil {
			return apiFailure(err)
		}
		if err := writeExport(cmd.OutOrStdout(), file, force, text); err != nil {
			return err
		}
		return hidden.tell(cmd.ErrOrStderr())
	}
	flags.bindAccess(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "-", "write to this `FILE`, - for standard output")
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	for _, kind := range kinds {
		only[kind] = cmd.Flags().Bool(kind, false, "the "+kind+"; all kinds where none is said")
	}
	return cmd
}

// export returns the entries as a file, and what that refers to.
func export(ctx context.Context, client *api.Client, chosen []string) ([]byte, *variables, error) {
	lists := make(map[string][]config.Written)
	hidden := &variables{taken: make(map[string]bool)}
	for _, kind := range chosen {
		lists[kind] = []config.Written{}
		query := api.SpecQuery{Kind: kind, Limit: 100}
		for {
			page, err := client.Specs(ctx, query)
			if err != nil {
				return nil, nil, err
			}
			for _, of := range page.Data {
				lists[kind] = append(lists[kind], hidden.write(of))
				query.After = of.Name
			}
			if !page.HasMore || len(page.Data) == 0 {
				break
			}
		}
	}
	return config.WriteEntries(lists), hidden, nil
}

// writeExport writes to a file, over what it has where force says so, or for - to
// stdout.
func writeExport(stdout io.Writer, path string, force bool, text []byte) error {
	if path == "-" {
		_, err := stdout.Write(text)
		return err
	}
	if force {
		return os.WriteFile(path, text, 0o644)
	}
	file, err := createFile(path, 0o644, "write over it with --force")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// variables are those that stand for what the API does not show.
type variables struct {
	taken map[string]bool
	rows  [][]string
}

// write returns an entry with variables in place of what is masked.
func (v *variables) write(of api.Spec) config.Written {
	w := config.Written{Spec: of.Spec, Variables: make(map[string]config.Variable)}
	if start, ok := of.Spec["start"].(string); ok && strings.Trim(start, "0123456789") == "" {
		delete(of.Spec, "start") // a sequence says nothing on another bridge
	}
	one := strings.TrimSuffix(of.Kind, "s")
	slices.Sort(of.Masked)
	for _, path := range of.Masked {
		variable := config.Variable{Name: v.name(one + "_" + of.Name + "_" + path), Comment: "not shown by the API"}
		switch {
		case strings.HasPrefix(path, "secrets[") && of.Kind == api.KindEndpoints:
			variable.Optional, variable.Comment = true, "signs the deliveries; unset, the bridge keeps what it has, or makes one for a new endpoint"
		case strings.HasPrefix(path, "secrets["):
			variable.Optional, variable.Comment = true, "verifies the requests; unset, the bridge keeps what it has"
		case path == "url":
			variable.Comment = fmt.Sprintf("not shown by the API in whole: %v", of.Spec[path])
		}
		needed := "must be set"
		if variable.Optional {
			needed = "may be unset where the bridge has it"
		}
		w.Variables[path] = variable
		v.rows = append(v.rows, []string{variable.Name, one + " " + of.Name + ": " + path, needed})
	}
	return w
}

// name makes the name of a variable that is not taken.
func (v *variables) name(of string) string {
	of = strings.TrimSuffix(strings.Replace(of, "_secrets[0]", "_secret", 1), "]")
	of = strings.ToUpper(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, of))
	name := of
	for i := 2; v.taken[name]; i++ {
		name = fmt.Sprintf("%s_%d", of, i)
	}
	v.taken[name] = true
	return name
}

// tell lists the variables for people.
func (v *variables) tell(stderr io.Writer) error {
	if v.rows == nil {
		return nil
	}
	fmt.Fprintln(stderr, "The API does not show these values. Set the variables before the file is used:")
	return writeTable(stderr, []string{"VARIABLE", "OF", ""}, v.rows)
}
