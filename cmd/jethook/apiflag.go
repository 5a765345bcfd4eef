package main

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
)

// What names the management API where no flag does.
const (
	serverVariable = "JETHOOK_SERVER"
	keyVariable    = "JETHOOK_KEY"
	defaultServer  = "http://127.0.0.1:8081" // as listen.admin's default
)

// apiFlags say which management API a command asks, with which key, and how its
// answer is written.
type apiFlags struct {
	server string
	key    keyFlag
	format output
}

func (f *apiFlags) bind(cmd *cobra.Command) {
	f.bindAccess(cmd)
	f.format.bind(cmd)
}

// bindAccess is bind for a command whose answer has a form of its own.
func (f *apiFlags) bindAccess(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", "", "`ADDRESS` of the management API (default $"+serverVariable+", else "+defaultServer+")")
	f.key.bind(cmd, "key", "the API key (default $"+keyVariable+")")
}

// client returns the client that the flags and variables describe.
func (f *apiFlags) client() (*api.Client, error) {
	server := f.server
	if server == "" {
		server = os.Getenv(serverVariable)
	}
	if server == "" {
		server = defaultServer
	}
	key := f.key
	if !key.given() {
		if os.Getenv(keyVariable) == "" {
			return nil, misused("no API key: name where it is with --key, or set %s", keyVariable)
		}
		key.reference = "env:" + keyVariable
	}
	text, err := key.read()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(server, text.Reveal())
	if err != nil {
		return nil, misused("--server and --key: %w", err)
	}
	return client, nil
}

// apiCommand is a command that asks the management API. run gets its client, and
// its error tells the code to end with.
func apiCommand(flags *apiFlags, cmd *cobra.Command, run func(ctx context.Context, client *api.Client, cmd *cobra.Command, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := flags.client()
		if err != nil {
			return err
		}
		return apiFailure(run(cmd.Context(), client, cmd, args))
	}
	flags.bind(cmd)
	return cmd
}

// apiFailure gives an error of the client the code that the process ends with.
func apiFailure(err error) error {
	var refused *api.Problem
	switch {
	case err == nil:
		return nil
	case errors.Is(err, api.ErrUnreachable):
		return &failure{exitUnreachable, err}
	case !errors.As(err, &refused):
		return err
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return &failure{exitUsage, err}
	case http.StatusNotFound:
		return &failure{exitNotFound, err}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return &failure{exitNotAllowed, err}
	case http.StatusConflict, http.StatusPreconditionFailed:
		return &failure{exitConflict, err}
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &failure{exitUnreachable, err}
	}
	return err
}

// pageFlags are the part of a list that is asked for.
type pageFlags struct{ api.Page }

func (f *pageFlags) bind(cmd *cobra.Command, limit int) {
	cmd.Flags().IntVar(&f.Limit, "limit", limit, "at most so many, up to 100")
	cmd.Flags().IntVar(&f.Offset, "offset", 0, "leave out so many")
}

// periodFlags bound a list by time.
type periodFlags struct{ since, until string }

func (f *periodFlags) bind(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&f.since, "since", "", what+" from this `TIME` on: RFC 3339, or how long ago, such as 2h")
	cmd.Flags().StringVar(&f.until, "until", "", what+" before this `TIME`")
}
