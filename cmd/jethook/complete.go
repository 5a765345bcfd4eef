package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/provider"
)

const (
	// completionTimeout bounds what a shell waits for after a press of Tab.
	completionTimeout = 2 * time.Second
	// completionPages bounds the names that are asked for, a hundred in each.
	completionPages = 10
)

// lister reads the names that a shell may offer.
type lister func(context.Context, *api.Client) ([]string, error)

// completeNames has the commands that ask the management API offer what it knows:
// as arguments by the group they are in, and as values of flags by the flag. A
// bridge that does not answer, or an API key that is not set, offers nothing.
func completeNames(root *cobra.Command) {
	arguments := map[string]lister{
		"endpoints": endpointNames, "retries": endpointNames, "sources": sourceNames, "subscribers": subscriberNames,
		"events": eventIDs, "dead": deadIDs, "replay": replayIDs, "keys": keyIDs,
	}
	flags := map[string]lister{"endpoint": endpointNames, "source": sourceNames, "type": eventTypes, "events": eventPatterns, "event": eventPatterns}
	for _, group := range root.Commands() {
		for _, cmd := range append(group.Commands(), group) {
			if cmd.Flags().Lookup("server") == nil {
				continue
			}
			// What is made has a new name, and providers are not in the API.
			if list := arguments[group.Name()]; cmd != group && cmd.Name() != "create" && takes(cmd) {
				cmd.ValidArgsFunction = argument(offer(list))
			} else if cmd.ValidArgsFunction == nil {
				cmd.ValidArgsFunction = cobra.NoFileCompletions
			}
			for name, list := range flags {
				if group.Name() == "dead" && name == "endpoint" {
					list = receiverNames // both have dead events
				}
				if cmd.Flags().Lookup(name) != nil {
					_ = cmd.RegisterFlagCompletionFunc(name, offer(list)) // fails only for a flag that is not there
				}
			}
		}
	}
}

// among offers these words.
func among(words ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// takes reports whether a command's argument names something that is there.
func takes(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{" NAME", " ID", " [ID]", " EVENT"}, func(argument string) bool { return strings.Contains(cmd.Use, argument) })
}

// argument offers names for the first argument, and for further ones of a command
// that takes several.
func argument(names cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !strings.Contains(cmd.Use, "...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, begun)
	}
}

// offer asks for the names that begin with what is written, without those that were
// given before.
func offer(list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		client, err := completionClient(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		names, _ := list(ctx, client) // those that came in time
		names = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(names))), func(name string) bool {
			return !strings.HasPrefix(name, begun) || slices.Contains(args, name)
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completionClient is that of the command's own flags.
func completionClient(cmd *cobra.Command) (*api.Client, error) {
	server, err := cmd.Flags().GetString("server")
	if err != nil {
		return nil, err
	}
	key, err := cmd.Flags().GetString("key")
	if err != nil {
		return nil, err
	}
	return (&apiFlags{server: server, key: keyFlag{reference: key}}).client()
}

// pages reads a list page by page, and returns what came before an error.
func pages[T any](list func(api.Page) (api.List[T], error), name func(T) string) (names []string, err error) {
	for page := range completionPages {
		found, err := list(api.Page{Limit: 100, Offset: 100 * page})
		for _, item := range found.Data {
			names = append(names, name(item))
		}
		if err != nil || !found.HasMore {
			return names, err
		}
	}
	return names, nil
}

func endpointNames(ctx context.Context, client *api.Client) ([]string, error) {
	return pages(func(p api.Page) (api.List[api.Endpoint], error) {
		return client.Endpoints(ctx, api.EndpointQuery{Page: p})
	},
		func(e api.Endpoint) string { return e.Name })
}

func sources(ctx context.Context, client *api.Client) func(api.Page) (api.List[api.Source], error) {
	return func(p api.Page) (api.List[api.Source], error) { return client.Sources(ctx, p) }
}

func sourceNames(ctx context.Context, client *api.Client) ([]string, error) {
	return pages(sources(ctx, client), func(s api.Source) string { return s.Name })
}

func subscriberNames(ctx context.Context, client *api.Client) ([]string, error) {
	return pages(func(p api.Page) (api.List[api.Subscriber], error) { return client.Subscribers(ctx, p) },
		func(s api.Subscriber) string { return s.Name })
}

// receiverNames are those of endpoints and subscribers.
func receiverNames(ctx context.Context, client *api.Client) ([]string, error) {
	names, err := endpointNames(ctx, client)
	if err != nil {
		return names, err
	}
	others, err := subscriberNames(ctx, client)
	return append(names, others...), err
}

func keyIDs(ctx context.Context, client *api.Client) ([]string, error) {
	return pages(func(p api.Page) (api.List[api.Key], error) { return client.Keys(ctx, p) }, func(k api.Key) string { return k.ID })
}

func replayIDs(ctx context.Context, client *api.Client) ([]string, error) {
	return pages(func(p api.Page) (api.List[api.Replay], error) { return client.Replays(ctx, p) }, func(r api.Replay) string { return r.ID })
}

func deadIDs(ctx context.Context, client *api.Client) ([]string, error) {
	list, err := client.DeadEvents(ctx, api.DeadQuery{Page: api.Page{Limit: 100}})
	var ids []string
	for _, d := range list.Data {
		ids = append(ids, d.ID)
	}
	return ids, err
}

// recent are the latest events.
func recent(ctx context.Context, client *api.Client, name func(api.Event) string) ([]string, error) {
	list, err := client.Events(ctx, api.EventQuery{Page: api.Page{Limit: 100}})
	var names []string
	for _, e := range list.Data {
		names = append(names, name(e))
	}
	return names, err
}

func eventIDs(ctx context.Context, client *api.Client) ([]string, error) {
	return recent(ctx, client, func(e api.Event) string { return e.ID })
}

// eventTypes are the names of the latest events, and those that the providers of the
// sources are known to send.
func eventTypes(ctx context.Context, client *api.Client) ([]string, error) {
	names, err := recent(ctx, client, func(e api.Event) string { return e.Type })
	if err != nil {
		return names, err
	}
	all, err := pages(sources(ctx, client), func(s api.Source) string { return s.Preset })
	for _, preset := range slices.Compact(slices.Sorted(slices.Values(all))) {
		if of, err := provider.Lookup(preset); err == nil {
			names = append(names, of.Catalogue...)
		}
	}
	return names, err
}

// eventPatterns are the same names behind those of their sources, and the patterns
// of all events of a source.
func eventPatterns(ctx context.Context, client *api.Client) ([]string, error) {
	patterns, err := recent(ctx, client, func(e api.Event) string { return e.Source + "." + strings.TrimPrefix(e.Type, "jethook.") })
	if err != nil {
		return patterns, err
	}
	presets := map[string]string{}
	all, err := pages(sources(ctx, client), func(s api.Source) string { presets[s.Name] = s.Preset; return s.Name })
	for _, source := range all {
		patterns = append(patterns, source+".>")
		if of, err := provider.Lookup(presets[source]); err == nil {
			for _, name := range of.Catalogue {
				patterns = append(patterns, source+"."+name)
			}
		}
	}
	return patterns, err
}
