package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// accountFlags say which account at a provider is meant.
type accountFlags struct {
	key  keyFlag
	base string
}

func (f *accountFlags) bind(cmd *cobra.Command) {
	f.key.bind(cmd, "api-key", "where the provider's API key is")
	cmd.Flags().StringVar(&f.base, "base-url", "", "`URL` of the provider's API, such as https://uat-api.clinkbill.com/api")
	_ = cmd.MarkFlagRequired("api-key") // there is such a flag
}

func (f *accountFlags) account(provider string) (api.Account, error) {
	key, err := f.key.read()
	return api.Account{Provider: provider, APIKey: key.Reveal(), BaseURL: f.base}, err
}

func newSourcesConnect() *cobra.Command {
	var flags apiFlags
	var account accountFlags
	var how api.Connect
	var verify dataFlag
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "connect clink|chip|diddo", Short: "Register this gateway with a provider, and keep what that signs with",
		Long: `Has the provider send its events to PUBLIC-URL/in/NAME, through the provider's own API,
and makes the source here with the secret or the public key that the provider answers.
Run again it changes what differs, and repairs what was half done. --rotate has the
provider make a new secret; the one before stays valid beside it. The provider's API
key is used for the request and not kept.`,
		Example: `  jethook sources connect clink --api-key env:CLINK_KEY --base-url https://uat-api.clinkbill.com/api --public-url https://hooks.example.com
  jethook sources connect chip --api-key @chip.key --public-url https://hooks.example.com --dry-run`,
		Args: exactly("clink|chip|diddo"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) (err error) {
		if how.Account, err = account.account(args[0]); err != nil {
			return err
		}
		if how.Verify, err = readVerify(&verify); err != nil {
			return err
		}
		done, err := client.Connect(ctx, how)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), done)
		}
		became := "is registered"
		switch {
		case done.DryRun && done.Webhook.ID == "":
			became = "would be registered"
		case done.DryRun:
			became = "is registered already and would be brought to these events"
		case done.Rotated:
			became = "is registered, with a new secret"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s at %s for %s %s\n", done.Address, became, args[0], quantity(len(done.Events), "event"), done.Webhook.ID)
		return err
	})
	account.bind(cmd)
	cmd.Flags().StringVar(&verify.reference, "verify", "", "how requests are verified, as the file has it but in JSON, for a provider that does not publish it: `@FILE` or the text")
	cmd.Flags().StringVar(&how.Name, "name", "", "`NAME` of the source (default the provider's)")
	cmd.Flags().StringVar(&how.PublicURL, "public-url", "", "`URL` at which the provider reaches listen.ingest")
	cmd.Flags().StringSliceVar(&how.Events, "events", nil, "`NAME` of an event of the provider's (default all); may be repeated")
	cmd.Flags().BoolVar(&how.Rotate, "rotate", false, "have the provider make a new secret")
	cmd.Flags().BoolVar(&how.DryRun, "dry-run", false, "look, and change nothing")
	_ = cmd.MarkFlagRequired("public-url") // there is such a flag
	return cmd
}

// readVerify reads a verify block in JSON, where one is given.
func readVerify(of *dataFlag) (map[string]any, error) {
	if of.reference == "" {
		return nil, nil
	}
	text, err := of.read(nil)
	if err != nil {
		return nil, err
	}
	var block map[string]any
	if err := json.Unmarshal(text, &block); err != nil {
		return nil, misused("--verify is not a JSON object")
	}
	return block, nil
}

func newSourcesRegistered() *cobra.Command {
	var flags apiFlags
	var account accountFlags
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "registered clink|chip|diddo", Short: "List the webhooks that are registered at a provider",
		Example: "  jethook sources registered chip --api-key @chip.key", Args: exactly("clink|chip|diddo"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		of, err := account.account(args[0])
		if err != nil {
			return err
		}
		list, err := client.Registered(ctx, of)
		if err != nil {
			return err
		}
		if flags.format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), list.Data)
		}
		var rows [][]string
		for _, w := range list.Data {
			rows = append(rows, []string{w.ID, w.URL, fmt.Sprint(w.Enabled), strings.Join(w.Events, " ")})
		}
		return writeTable(cmd.OutOrStdout(), []string{"ID", "URL", "ENABLED", "EVENTS"}, rows)
	})
	account.bind(cmd)
	return cmd
}

func newSourcesDisconnect() *cobra.Command {
	var flags apiFlags
	var account accountFlags
	var provider string
	var sure sureFlag
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "disconnect NAME", Short: "Remove a source at its provider, and then here; its events stay",
		Example: "  jethook sources disconnect clink --api-key env:CLINK_KEY --base-url https://uat-api.clinkbill.com/api", Args: exactly("NAME"),
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error {
		if provider == "" {
			provider = args[0]
		}
		of, err := account.account(provider)
		if err != nil {
			return err
		}
		shown := harmless([]string{args[0], provider})
		if err := sure.ask(cmd, fmt.Sprintf("remove the source %s at %s and here?", shown[0], shown[1])); err != nil {
			return err
		}
		return client.Disconnect(ctx, args[0], of)
	})
	account.bind(cmd)
	sure.bind(cmd)
	cmd.Flags().StringVar(&provider, "provider", "", "`clink`, chip or diddo (default the source's name)")
	return cmd
}
