package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

func newKeys() *cobra.Command {
	group := &cobra.Command{
		Use:     "keys",
		Short:   "Make, roll, restrict and delete API keys, and rotate the keyset",
		Example: "  jethook keys list",
		RunE:    demandCommand("list, create, roll, restrict, delete or rotate-keyset"),
	}
	group.AddCommand(newKeysList(), newKeysCreate(), newKeysRoll(), newKeysRestrict(), newKeysDelete(), newKeysRotateKeyset())
	return group
}

func newKeysList() *cobra.Command {
	var flags apiFlags
	var page pageFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "list", Short: "List the API keys of the environment", Example: "  jethook keys list", Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		list, err := client.Keys(ctx, page.Page)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, k := range list.Data {
			may := "all"
			if k.ReadOnly {
				may = "read"
			}
			rows = append(rows, []string{k.ID, k.Name, k.Masked, may, strings.Join(k.Allow, " "), moment(k.CreatedAt), moment(k.LastUsed), moment(k.ExpiresAt), k.ManagedBy})
		}
		noteMore(cmd.ErrOrStderr(), list.HasMore, page.Offset, len(list.Data))
		return writeTable(cmd.OutOrStdout(), []string{"ID", "NAME", "KEY", "MAY", "FROM", "MADE", "USED", "EXPIRES", "MANAGED BY"}, rows)
	})
	page.bind(cmd, 100)
	return cmd
}

// keyFlags are what a key shall be, as far as flags are given.
type keyFlags struct {
	name     string
	allow    []string
	readOnly bool
}

func (f *keyFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "a `NAME` for people")
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil, "an `ADDRESS` or network that it may be used from; may be repeated")
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "it may read and change nothing")
}

func (f *keyFlags) spec(cmd *cobra.Command) (spec api.KeySpec) {
	if cmd.Flags().Changed("name") {
		spec.Name = &f.name
	}
	if cmd.Flags().Changed("allow") {
		spec.Allow = &f.allow
	}
	if cmd.Flags().Changed("read-only") {
		spec.ReadOnly = &f.readOnly
	}
	return spec
}

func newKeysCreate() *cobra.Command {
	var flags apiFlags
	var of keyFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "create", Short: "Make an API key of the same environment, and print it this once",
		Example: `  jethook keys create --name deploy > deploy.key
  jethook keys create --name dashboard --read-only --allow 10.0.0.0/8`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		k, err := client.CreateKey(ctx, of.spec(cmd))
		if err != nil {
			return err
		}
		return writeNewKey(cmd, &flags, &k)
	})
	of.bind(cmd)
	return cmd
}

// writeNewKey prints a key's text alone, so that it can be piped to where it is
// kept; its id is for people.
func writeNewKey(cmd *cobra.Command, flags *apiFlags, k *api.Key) error {
	if flags.format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), k)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, shown this once:\n", k.ID)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), k.Key)
	return err
}

func newKeysRoll() *cobra.Command {
	var flags apiFlags
	var how api.RollKey
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "roll ID", Short: "Replace an API key, and print the new one this once",
		Long: `Makes a key with the name and the restrictions of another, which expires at once or,
with --expires-in, between an hour and seven days later.`,
		Example: "  jethook keys roll key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6 --expires-in 24h",
		Args:    exactly("ID"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		k, err := client.RollKey(ctx, args[0], how)
		if err != nil {
			return err
		}
		return writeNewKey(cmd, &flags, &k)
	})
	cmd.Flags().StringVar(&how.ExpiresIn, "expires-in", "", "keep the old key valid for this `DURATION`: 1h to 168h")
	return cmd
}

func newKeysRestrict() *cobra.Command {
	var flags apiFlags
	var of keyFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "restrict ID", Short: "Change an API key's name, its addresses, or whether it may change things",
		Example: `  jethook keys restrict key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6 --allow 203.0.113.0/24
  jethook keys restrict key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6 --allow ""    # from everywhere again`,
		Args: exactly("ID"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		spec := of.spec(cmd)
		if spec == (api.KeySpec{}) {
			return misused("nothing to change: give --allow, --read-only or --name")
		}
		k, err := client.UpdateKey(ctx, args[0], spec)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), k)
		}
		return writeFields(cmd.OutOrStdout(), "id", k.ID, "name", k.Name, "key", k.Masked, "from", strings.Join(k.Allow, " "),
			"read only", fmt.Sprint(k.ReadOnly), "expires", moment(k.ExpiresAt))
	})
	of.bind(cmd)
	return cmd
}

func newKeysDelete() *cobra.Command {
	return newDeleteCommand("API key", (*api.Client).DeleteKey, &cobra.Command{
		Use: "delete ID", Short: "Delete an API key, unless it is the last full one",
		Example: "  jethook keys delete key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6",
		Args:    exactly("ID"),
	})
}
