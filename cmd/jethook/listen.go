package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/signature"
)

// listenWaits are those before an event that a local service refused is sent to it
// again; then it is passed over.
var listenWaits = []time.Duration{time.Second, 3 * time.Second}

// localTimeout is how long a local service may take, which somebody may be
// stepping through.
const localTimeout = 30 * time.Second

// localClient follows no redirect, as a delivery does not: the event would be lost on
// the way, for it is not posted there.
var localClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// cursorName is the form of --durable.
var cursorName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// listener passes events on to a service on this machine.
type listener struct {
	forward, cursor string  // the service's URL, and the file with the place; empty for none
	key             keyFlag // what events are signed with; a new one where it is not given
	printBody       bool
	format          output
	signer          *signature.Signer
	follower        *follower
	out, notes      io.Writer
}

func newListen() *cobra.Command {
	var flags apiFlags
	var of followFlags
	var durable string
	var prod bool
	l := &listener{}
	cmd := apiCommand(&flags, &cobra.Command{
		Use: "listen", Short: "See events on this machine as they come, and have them sent to a service here",
		Long: `Shows events as they are stored, and with --forward-to sends each to a service on this
machine, signed with a secret that is printed at the start, or with that of
--forward-key, which is the same the next time. It reads the stream through
the management API and takes nothing away from anybody. With --durable NAME it
remembers where it was, for each environment, and goes on there the next time, with
everything that came meanwhile. What the service refuses is sent twice more and then
passed over.`,
		Example: `  jethook listen --forward-to http://localhost:3000/webhooks
  jethook listen --forward-to http://localhost:3000/webhooks --forward-key env:SECRET --durable laptop
  jethook listen --events 'stripe.invoice.*' --events 'clink.>' --where 'data.object.amount >= 1000'
  jethook listen --events 'stripe.invoice.*' --since 1h --durable laptop --print-body`,
		Args: noArgs,
	}, func(ctx context.Context, client *api.Client, cmd *cobra.Command, _ []string) error {
		l.format, l.out, l.notes = flags.format, cmd.OutOrStdout(), cmd.ErrOrStderr()
		env, err := flags.environment(prod)
		if err != nil {
			return err
		}
		if l.key.given() && l.forward == "" {
			return misused("--forward-key is for --forward-to")
		}
		if err := l.prepare(env, durable); err != nil {
			return err
		}
		if l.follower, err = newFollower(ctx, client, of); err != nil {
			return err
		}
		l.follower.query.Bodies = l.forward != "" || l.printBody
		if err := l.restore(ctx); err != nil {
			return err
		}
		return l.follower.each(ctx, func(err error) { fmt.Fprintln(l.notes, err, "- trying again") }, func(e *api.ReadEvent) error { return l.take(ctx, e) })
	})
	of.bind(cmd)
	cmd.Flags().StringVar(&l.forward, "forward-to", "", "post each event to this `URL`")
	l.key.bind(cmd, "forward-key", "what to sign for that with (default a new secret)")
	cmd.Flags().StringVar(&durable, "durable", "", "remember under this `NAME` where it was")
	cmd.Flags().BoolVar(&l.printBody, "print-body", false, "print the bodies too")
	cmd.Flags().BoolVar(&prod, "prod", false, "listen to production, with its API key")
	return cmd
}

// environment is that of the API key. It refuses a key of production where nobody said
// that it is meant.
func (f *apiFlags) environment(prod bool) (string, error) {
	key := f.key
	if !key.given() {
		key.reference = "env:" + keyVariable
	}
	text, err := key.read()
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(text.Reveal(), "sk_prod_"):
		return "test", nil
	case !prod:
		return "", misused("the API key is one of production: add --prod, or use a key sk_test_…")
	}
	return "prod", nil
}

// prepare checks where events go, and what they are signed with.
func (l *listener) prepare(env, durable string) error {
	if durable != "" {
		if !cursorName.MatchString(durable) {
			return misused("--durable is not a name of letters, digits, - and _")
		}
		dir, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("find where to remember the place: %w", err)
		}
		l.cursor = filepath.Join(dir, "jethook", "listen", env, durable+".json")
	}
	if l.forward == "" {
		return nil
	}
	if u, err := url.Parse(l.forward); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return misused("--forward-to is not an address such as http://localhost:3000/webhooks")
	}
	scheme := signature.StandardWebhooks()
	key, shown, err := l.signingKey(scheme)
	if err != nil {
		return err
	}
	if l.signer, err = signature.NewSigner(scheme, []signature.Key{key}); err != nil {
		return err
	}
	fmt.Fprintf(l.notes, "events are sent to %s, signed as Standard Webhooks with the secret %s\n", l.forward, shown)
	return nil
}

// signingKey is that of the flag, or else a new one, and what people are told of it.
func (l *listener) signingKey(scheme signature.Scheme) (key signature.Key, shown string, err error) {
	if l.key.given() {
		key, err = l.key.signingKey(scheme)
		return key, "of --" + l.key.name, err
	}
	if shown, err = signature.GenerateSecret(scheme.Algorithm); err != nil {
		return key, "", err
	}
	key, err = signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, shown)
	return key, shown, err
}

// place is what is remembered.
type place struct {
	After uint64 `json:"after"` // the sequence of the last event
}

// restore goes on where the last listener of the name was. A place past the end of the
// stream is one of another stream, in which it would wait for events that are there.
func (l *listener) restore(ctx context.Context) error {
	if l.cursor == "" {
		return nil
	}
	text, err := os.ReadFile(l.cursor)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(l.cursor), 0o700); err != nil {
			return fmt.Errorf("remember the place: %w", err)
		}
		if l.follower.query.Since != "" {
			return nil
		}
		return l.remember(l.follower.query.After) // from now on nothing is missed
	}
	var was place
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	if err != nil {
		return fmt.Errorf("read the place: %w; delete %s to begin anew", err, l.cursor)
	}
	last, err := lastSequence(ctx, l.follower.client)
	if err != nil {
		return err
	}
	if was.After > last {
		return &failure{exitConflict, fmt.Errorf("the place is after sequence %d, and this bridge has stored %d: it is one of another bridge. Take another name for --durable, or delete %s to begin anew", was.After, last, l.cursor)}
	}
	l.follower.query.After, l.follower.query.Since = was.After, ""
	return nil
}

func (l *listener) remember(after uint64) error {
	if l.cursor == "" {
		return nil
	}
	text, err := json.Marshal(place{after})
	if err == nil {
		err = os.WriteFile(l.cursor+".next", text, 0o600)
	}
	if err == nil {
		err = os.Rename(l.cursor+".next", l.cursor)
	}
	if err != nil {
		return fmt.Errorf("remember the place: %w", err)
	}
	return nil
}

// heard is an event and what became of it here.
type heard struct {
	api.Event
	Body   string `json:"body,omitempty"`
	Status int    `json:"status,omitempty"` // of the service's answer
	Error  string `json:"error,omitempty"`
}

// take shows an event, sends it on and remembers it.
func (l *listener) take(ctx context.Context, e *api.ReadEvent) error {
	of := heard{Event: e.Event}
	if l.printBody {
		of.Body = string(e.Body)
	}
	if l.forward != "" {
		l.send(ctx, &of, e.Body)
	}
	if ctx.Err() != nil {
		return ctx.Err() // it comes again the next time
	}
	if err := l.print(&of); err != nil {
		return err
	}
	return l.remember(e.Sequence)
}

// send posts an event to the service, again where that refuses it.
func (l *listener) send(ctx context.Context, of *heard, body []byte) {
	for attempt := 1; ; attempt++ {
		of.Status, of.Error = 0, ""
		err := l.post(ctx, of, body, attempt)
		if err == nil && of.Status >= 200 && of.Status < 300 || ctx.Err() != nil {
			return
		}
		if of.Error = http.StatusText(of.Status); err != nil {
			of.Error = err.Error()
		}
		if attempt > len(listenWaits) {
			return
		}
		fmt.Fprintf(l.notes, "%s: %s; again in %s\n", of.ID, of.Error, listenWaits[attempt-1])
		select {
		case <-time.After(listenWaits[attempt-1]):
		case <-ctx.Done():
			return
		}
	}
}

func (l *listener) post(ctx context.Context, of *heard, body []byte, attempt int) error {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.forward, bytes.NewReader(body))
	if err != nil {
		return err
	}
	now := time.Now()
	for name, value := range map[string]string{
		"Content-Type": of.ContentType, "User-Agent": "jethook/" + thisBuild().Version, "Webhook-Id": of.ID, "Webhook-Timestamp": strconv.FormatInt(now.Unix(), 10),
		"Ce-Specversion": "1.0", "Ce-Id": of.ID, "Ce-Type": of.Type, "Ce-Source": "/" + of.Env + "/" + of.Source, "Ce-Time": of.Time.UTC().Format(time.RFC3339Nano),
		"Jethook-Attempt": strconv.Itoa(attempt),
	} {
		request.Header.Set(name, value)
	}
	signed, err := l.signer.Sign(signature.Request{Method: http.MethodPost, URL: l.forward, Header: request.Header, Body: body}, now)
	if err != nil {
		return err
	}
	for name, values := range signed {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	response, err := localClient.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // for the connection's sake
	of.Status = response.StatusCode
	return response.Body.Close()
}

func (l *listener) print(of *heard) error {
	if l.format == outputJSON {
		return writeJSON(l.out, of)
	}
	line := []string{moment(of.Time), of.ID, of.Source, of.Type}
	if of.Status > 0 {
		line = append(line, strconv.Itoa(of.Status))
	}
	if of.Error != "" {
		line = append(line, "passed over: "+of.Error)
	}
	_, err := fmt.Fprintln(l.out, strings.Join(harmless(line), "  "))
	if err == nil && l.printBody {
		_, err = fmt.Fprintln(l.out, harmlessLines(of.Body))
	}
	return err
}
