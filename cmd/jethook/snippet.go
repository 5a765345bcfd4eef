package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/jethook/jethook/api"
)

//go:embed snippets
var snippetFiles embed.FS

var snippetTemplates = template.Must(template.ParseFS(snippetFiles, "snippets/*.tmpl"))

// snippetKinds are what --snippet takes.
var snippetKinds = []string{"go", "javascript", "python", "nats", "nats-server.conf"}

// snippet is what a template gets.
type snippet struct {
	api.Subscriber
	File  string // with its credentials
	Creds bool   // which are a credentials file
	Keys  []string

	// For nats-server.conf:
	Isolated bool   // jethook is in an account that others can import from
	Own      string // the subscriber's account
	Requests []snippetRequest
}

type snippetRequest struct {
	Subject string
	Many    bool // answers come
}

// writeSnippet writes a program, a command or a configuration for a subscriber.
func writeSnippet(w io.Writer, kind string, s api.Subscriber) error {
	data := snippet{Subscriber: s, Creds: s.JWT != "", File: s.Name + ".nk", Own: "SUBSCRIBER_" + s.Env + "_" + s.Name}
	if data.Creds {
		data.File = s.Name + ".creds"
	}
	if data.URL == "" {
		data.URL = "nats://localhost:4222"
	}
	if s.NKey != "" {
		data.Keys = append([]string{s.NKey}, s.OldNKeys...)
	}
	data.Isolated = s.Account != "" && s.Account != "$G"
	for _, subject := range s.Publish {
		data.Requests = append(data.Requests, snippetRequest{subject, strings.Contains(subject, ".MSG.NEXT.")})
	}
	if kind == "nats-server.conf" {
		switch {
		case len(data.Keys) == 0:
			return fmt.Errorf("%s has no nkey: give it one, and ask again", s.Name)
		case s.JWT != "" || len(s.Account) == 56: // a public key
			return errors.New("the cluster has an operator, and its servers know accounts from that: set nats.signing, and create and rotate show credentials")
		case s.Account == "":
			return fmt.Errorf("%s connects to the embedded server, which admits it by itself; a configuration is for a cluster", s.Name)
		}
	}
	if err := snippetTemplates.ExecuteTemplate(w, kind+".tmpl", data); err != nil {
		return fmt.Errorf("write the snippet: %w", err)
	}
	return nil
}
