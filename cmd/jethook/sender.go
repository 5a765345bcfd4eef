package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// postTimeout is longer than the gateway takes to say that it cannot store.
const postTimeout = 30 * time.Second

// maxAnswer bounds what is read of an answer; ours have a few hundred bytes.
const maxAnswer = 64 << 10

// answer is what the gateway said of one request.
type answer struct {
	Status    int
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
	Code      string `json:"code"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
}

// stored reports whether the gateway took the event.
func (a answer) stored() bool { return a.Status >= 200 && a.Status < 300 }

// sender is a provider that signs and posts its events to a gateway.
type sender struct {
	source string // name of the configured source
	url    string // what is posted to
	signed string // what the provider signs as the address, which a proxy may change
	preset provider.Preset
	signer *signature.Signer
	client *http.Client
}

// newSender makes the sender of a source at a gateway.
func newSender(source config.Source, preset provider.Preset, keys []signature.Key, gateway string) (*sender, error) {
	address, err := sourceURL(gateway, source.Name)
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewSigner(*preset.Scheme, keys)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Name, err)
	}
	s := &sender{source: source.Name, url: address, signed: address, preset: preset, signer: signer, client: newClient()}
	if source.PublicURL != "" {
		s.signed = source.PublicURL
	}
	return s, nil
}

// newClient returns a client that follows no redirects, as providers do not.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send posts one event, with body in place of the provider's sample where it is
// not nil. id is the delivery's; a new one makes a new event. An error of the
// connection is a failure with exitUnreachable.
func (s *sender) send(ctx context.Context, event, id string, body []byte) (answer, error) {
	now := time.Now()
	header, sample, err := s.preset.Compose(event, id, now)
	if err != nil {
		return answer{}, err
	}
	if body == nil {
		body = sample
	}
	added, err := s.signer.Sign(signature.Request{Method: http.MethodPost, URL: s.signed, Header: header, Body: body}, now)
	if err != nil {
		return answer{}, err
	}
	for name, values := range added {
		header[name] = values
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header = header
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, &failure{exitUnreachable, err}
	}
	return readAnswer(response)
}

func readAnswer(response *http.Response) (answer, error) {
	defer func() { _ = response.Body.Close() }() // only read
	a := answer{Status: response.StatusCode}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return a, &failure{exitUnreachable, fmt.Errorf("reading the answer: %w", err)}
	}
	// A preset may answer in its provider's way, without a body of ours.
	if json.Unmarshal(text, &a) != nil || a.stored() || a.Code != "" {
		return a, nil
	}
	a.Code = "unknown"
	return a, nil
}

// newLimiter reads a rate such as 50/s; none does not limit.
func newLimiter(text string) (*rate.Limiter, error) {
	r, err := config.ParseRate(text)
	if err != nil {
		return nil, misused("--rate %q is not a rate such as 50/s, 10/m or none", text)
	}
	if r == 0 {
		return rate.NewLimiter(rate.Inf, 1), nil
	}
	return rate.NewLimiter(rate.Limit(r), 1), nil
}

// gatewayURL returns where a gateway that listens on address is reached from
// this machine. One that listens on any port cannot be known.
func gatewayURL(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("listen.ingest: %w", err)
	}
	if port == "0" {
		return "", misused("the gateway listens on any port: name its address with --url")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// sourceURL returns the address of a source at a gateway, whose own address is
// checked.
func sourceURL(gateway, source string) (string, error) {
	base, err := url.Parse(gateway)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return "", misused("--url is not an address such as http://127.0.0.1:8080")
	}
	return strings.TrimSuffix(gateway, "/") + "/in/" + source, nil
}
