package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// requestFlags describe a request and the scheme it is signed by; sign and
// verify share them.
type requestFlags struct {
	files       configFiles
	key         keyFlag
	data        dataFlag
	preset      string
	source      string
	headers     []string
	method, url string
	at          string
}

func (f *requestFlags) bind(cmd *cobra.Command, keyUsage string) {
	flags := cmd.Flags()
	flags.StringVar(&f.preset, "preset", "", "the `PROVIDER` whose way of signing it is")
	flags.StringVar(&f.source, "source", "", "the `SOURCE` of the configuration whose way of signing it is")
	f.files.bind(cmd)
	f.key.bind(cmd, "key", keyUsage)
	f.data.bind(cmd, "the body")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "a header of the request, `'Name: value'`; repeat it for several")
	flags.StringVar(&f.method, "method", http.MethodPost, "the request's method, where it is signed")
	flags.StringVar(&f.url, "url", "", "the request's address, where it is signed")
	flags.StringVar(&f.at, "at", "", "the `TIME` to go by: RFC 3339 or Unix seconds (default now)")
	cmd.MarkFlagsMutuallyExclusive("preset", "source")
	cmd.MarkFlagsOneRequired("preset", "source")
	_ = cmd.RegisterFlagCompletionFunc("preset", among(provider.Names()...)) // fails only for a flag that is not there
}

// scheme returns how the request is signed, and the source where one is named.
func (f *requestFlags) scheme() (signature.Scheme, config.Source, error) {
	source := config.Source{Preset: f.preset}
	if f.source != "" {
		var err error
		if source, _, err = f.files.source(f.source); err != nil {
			return signature.Scheme{}, source, err
		}
	} else if _, err := provider.Lookup(f.preset); err != nil {
		return signature.Scheme{}, source, &failure{exitNotFound, err}
	}
	preset, err := app.Resolve(source)
	if preset.Scheme == nil {
		return signature.Scheme{}, source, err
	}
	// A preset alone may lack what names events; that is no matter here.
	return *preset.Scheme, source, preset.Scheme.Validate()
}

// request returns what is signed, and the time to go by.
func (f *requestFlags) request(stdin io.Reader) (signature.Request, time.Time, error) {
	now, err := f.now()
	if err != nil {
		return signature.Request{}, now, err
	}
	body, err := f.data.read(stdin)
	if err != nil {
		return signature.Request{}, now, err
	}
	header := http.Header{}
	for i, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			// The line is not repeated: it may carry a credential.
			return signature.Request{}, now, misused("--header number %d is not 'Name: value'", i+1)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return signature.Request{Method: f.method, URL: f.url, Header: header, Body: body}, now, nil
}

// now returns the time to go by.
func (f *requestFlags) now() (time.Time, error) {
	if f.at == "" {
		return time.Now(), nil
	}
	if seconds, err := strconv.ParseInt(f.at, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	at, err := time.Parse(time.RFC3339, f.at)
	if err != nil {
		return time.Time{}, misused("--at %q is neither RFC 3339, such as 2026-01-31T09:00:00Z, nor Unix seconds", f.at)
	}
	return at, nil
}
