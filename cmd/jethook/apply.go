package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newApply() *cobra.Command {
	var flags apiFlags
	var of documentFlags
	var yes, dryRun bool
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "apply -f FILE", Short: "Make, change and delete entries until they are as files say",
		Long: `Has the bridge make and change its sources, endpoints and subscribers until they are as
files say, over the API. All is checked by the bridge before anything is changed, and what
somebody else changes in between is a conflict (5). A secret that is generated is shown
this once. Entries of the bridge's own configuration file are never changed. It asks on a
terminal; elsewhere give --yes.`,
		Example: `  jethook apply -f jethook.yaml
  jethook apply -f endpoints.yaml --prune --yes -o json`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		p, err := of.plan(ctx, client)
		if err != nil {
			return err
		}
		if dryRun {
			return p.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format)
		}
		if err := p.free(); err != nil {
			return err
		}
		if todo := p.count(api.ActionCreate, api.ActionUpdate, api.ActionDelete); todo > 0 && !yes {
			if err := p.confirm(cmd, todo); err != nil {
				return err
			}
		}
		return p.apply(ctx, client, cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format)
	})
	of.bind(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, as plan does")
	return cmd
}

// free refuses a plan with entries that the bridge's file says otherwise.
func (p *plan) free() error {
	var names []string
	for _, c := range p.changes {
		if c.Action == api.ActionConflict {
			names = append(names, entryName(&c))
		}
	}
	if names == nil {
		return nil
	}
	return &failure{exitConflict, fmt.Errorf("managed by the configuration file of the bridge, which says otherwise: %s; change it there, or leave it out here. Nothing was changed", strings.Join(names, ", "))}
}

// confirm shows the plan to whoever sits at a terminal and asks.
func (p *plan) confirm(cmd *cobra.Command, todo int) error {
	var question strings.Builder
	if err := p.write(&question, &question, outputTable); err != nil {
		return err
	}
	fmt.Fprintf(&question, "Make %s? [y/N] ", quantity(todo, "change"))
	return agree(cmd, question.String(), misused("it asks before it changes something, and there is no terminal: look at plan, and give --yes"))
}

// apply makes the changes: sources first, which the others name, and deletions last,
// in the opposite order. It tells each that was made, also where one fails.
func (p *plan) apply(ctx context.Context, client *api.Client, stdout, stderr io.Writer, format output) error {
	var todo, deletions []api.Change
	for _, c := range p.changes {
		switch c.Action {
		case api.ActionCreate, api.ActionUpdate:
			todo = append(todo, c)
		case api.ActionDelete:
			deletions = append(deletions, c)
		}
	}
	slices.Reverse(deletions)
	todo = append(todo, deletions...)
	specs := p.document.ByName()
	made := []applied{}
	var failed error
	for _, c := range todo {
		var done applied
		if done, failed = perform(ctx, client, c, specs[c.Kind+"/"+c.Name]); failed != nil {
			failed = fmt.Errorf("%s %s: %w (%d of %s made; apply goes on where it stopped)", c.Action, entryName(&c), failed, len(made), quantity(len(todo), "change"))
			break
		}
		made = append(made, done)
		if format == outputTable {
			if err := writeApplied(stdout, &done); err != nil {
				return err
			}
		}
	}
	if format == outputJSON {
		return errors.Join(writeJSON(stdout, made), failed)
	}
	if failed == nil {
		fmt.Fprintf(stderr, "%s made, %d unchanged\n", quantity(len(made), "change"), p.count(api.ActionUnchanged))
	}
	return failed
}

// applied is a change that was made, and of an endpoint what its receiver verifies
// deliveries with: a secret where that was generated.
type applied struct {
	api.Change
	Secret    string `json:"secret,omitempty"`
	PublicKey string `json:"public_key,omitempty"`
}

// perform makes one change.
func perform(ctx context.Context, client *api.Client, c api.Change, spec any) (applied, error) {
	var e api.Endpoint
	var err error
	switch c.Action {
	case api.ActionCreate:
		e, err = client.Create(ctx, c.Kind, spec)
	case api.ActionUpdate:
		e, err = client.Replace(ctx, c.Kind, c.Name, c.ETag, spec)
	case api.ActionDelete:
		err = client.Delete(ctx, c.Kind, c.Name, c.ETag)
	}
	var refused *api.Problem
	if c.Action != api.ActionCreate && errors.As(err, &refused) && (refused.Status == http.StatusPreconditionFailed || refused.Status == http.StatusNotFound) {
		err = &failure{exitConflict, errors.New("somebody else has changed or deleted it since it was compared")}
	}
	return applied{c, e.Secret, e.PublicKey}, err
}

func writeApplied(w io.Writer, c *applied) error {
	_, err := fmt.Fprintf(w, "%s %s\n", map[string]string{api.ActionCreate: "created", api.ActionUpdate: "updated", api.ActionDelete: "deleted"}[c.Action], entryName(&c.Change))
	if err == nil && c.Secret != "" {
		_, err = fmt.Fprintf(w, "  secret, shown this once: %s\n", c.Secret)
	}
	if err == nil && c.PublicKey != "" {
		_, err = fmt.Fprintf(w, "  public key:\n%s", c.PublicKey)
	}
	return err
}
