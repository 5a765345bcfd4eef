package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
)

// documentFlags say what the entries of the key's environment shall be.
type documentFlags struct {
	files []string
	prune bool
}

func (f *documentFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.files, "file", "f", nil, "`FILE` with sources, endpoints and subscribers; repeat it for several, the later over the earlier")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete what else was made over the API, of the kinds that the files have")
}

func newPlan() *cobra.Command {
	var flags apiFlags
	var of documentFlags
	var exitWithChanges bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "plan -f FILE", Short: "Show what apply would change",
		Long: `Shows what it takes to have the sources, endpoints and subscribers that files say, as the
bridge finds it, and changes nothing. Secrets are compared and not shown; those that the
files leave out stay. A read-only key does not do, because secrets are compared.`,
		Example: `  jethook plan -f jethook.yaml
  jethook plan -f jethook.yaml --prune --exit-code    # 1 where something would change`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		p, err := of.plan(ctx, client)
		if err != nil {
			return err
		}
		if err := p.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format); err != nil {
			return err
		}
		if exitWithChanges && p.count(api.ActionCreate, api.ActionUpdate, api.ActionDelete, api.ActionConflict) > 0 {
			return &failure{code: exitFailed}
		}
		return nil
	})
	of.bind(cmd)
	cmd.Flags().BoolVar(&exitWithChanges, "exit-code", false, "end with 1 where something would change")
	return cmd
}

// plan is what it takes to have the entries of files.
type plan struct {
	document api.Document // has secrets
	changes  []api.Change
}

// plan reads the files and asks the bridge, whose rules count. What it refuses is
// told with its place in the files.
func (f *documentFlags) plan(ctx context.Context, client *api.Client) (*plan, error) {
	if len(f.files) == 0 {
		return nil, misused("no file: name one with -f")
	}
	entries, err := config.LoadEntries(f.files)
	if err != nil {
		return nil, err
	}
	p := new(plan)
	if err := errors.Join(
		readSpecs(entries, api.KindSources, &p.document.Sources),
		readSpecs(entries, api.KindEndpoints, &p.document.Endpoints),
		readSpecs(entries, api.KindSubscribers, &p.document.Subscribers),
	); err != nil {
		return nil, err
	}
	p.changes, err = client.Plan(ctx, api.Plan{Document: p.document, Prune: f.prune})
	return p, placed(err, entries)
}

// readSpecs reads a list of the files, where they have it.
func readSpecs[T any](entries *config.Entries, kind string, specs *[]T) error {
	if !entries.Has(kind) {
		return nil
	}
	*specs = []T{}
	text, err := json.Marshal(entries.Specs(kind))
	if err == nil && len(entries.Specs(kind)) > 0 {
		err = json.Unmarshal(text, specs)
	}
	return err
}

// placed is a refusal with the places in the files of what is wrong.
func placed(err error, entries *config.Entries) error {
	var refused *api.Problem
	if !errors.As(err, &refused) || len(refused.Errors) == 0 {
		return err
	}
	var problems config.Problems
	for _, field := range refused.Errors {
		problems.Add(entries.Position(field.Field), "%s", field.Message)
	}
	return problems.Err(nil)
}

// count is the number of changes that are one of the actions.
func (p *plan) count(actions ...string) int {
	n := 0
	for _, action := range actions {
		for _, c := range p.changes {
			if c.Action == action {
				n++
			}
		}
	}
	return n
}

// write shows the changes, and on stderr how many there are.
func (p *plan) write(stdout, stderr io.Writer, format output) error {
	if format == outputJSON {
		changes := p.changes
		if changes == nil {
			changes = []api.Change{}
		}
		return writeJSON(stdout, changes)
	}
	for _, c := range p.changes {
		if err := writeChange(stdout, &c); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(stderr, "%d to create, %d to update, %d to delete; %d unchanged, %d left, %d in conflict\n",
		p.count(api.ActionCreate), p.count(api.ActionUpdate), p.count(api.ActionDelete), p.count(api.ActionUnchanged), p.count(api.ActionLeft), p.count(api.ActionConflict))
	return err
}

// writeChange writes what becomes of an entry, and the fields that differ.
func writeChange(w io.Writer, c *api.Change) error {
	why := ""
	switch {
	case c.Action == api.ActionConflict:
		why = "  managed by the configuration file, which says otherwise"
	case c.ManagedBy == "file":
		why = "  managed by the configuration file"
	case c.Action == api.ActionLeft:
		why = "  not in the files"
	}
	if _, err := fmt.Fprintf(w, "%-9s  %s%s\n", c.Action, entryName(c), why); err != nil {
		return err
	}
	for _, f := range c.Fields {
		if f.Field == "name" {
			continue
		}
		text := shownValue(f.To)
		if c.Action != api.ActionCreate {
			text = shownValue(f.From) + " → " + text
		}
		if _, err := fmt.Fprintf(w, "             %s: %s\n", harmless([]string{f.Field})[0], text); err != nil {
			return err
		}
	}
	return nil
}

func entryName(c *api.Change) string { return harmless([]string{c.Kind + "/" + c.Name})[0] }

// maxShown is how much of a value is shown to people, in characters.
const maxShown = 200

// shownValue is a value on one line.
func shownValue(value any) string {
	var text string
	switch value := value.(type) {
	case nil:
	case []any:
		items := make([]string, len(value))
		for i, item := range value {
			items[i] = fmt.Sprint(item)
		}
		text = "[" + strings.Join(items, ", ") + "]"
	default:
		text = fmt.Sprint(value)
	}
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return harmless([]string{text})[0]
}
