package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/signature"
)

func newSign() *cobra.Command {
	var flags requestFlags
	var format output
	cmd := &cobra.Command{
		Use:   "sign (--preset PROVIDER | --source SOURCE)",
		Short: "Sign a request as a provider would",
		Long: `Prints the headers to add to a request so that it is signed as the provider
would sign it. What else is signed, such as a webhook-id, is given with --header.`,
		Example: `  jethook sign --preset stripe --key @secret.txt --data @body.json
  jethook sign -c jethook.yaml --source clink --data '{"type":"order.succeeded"}'
  jethook sign --preset chip-collect --key @private.pem --data @body.json > headers
  curl -H @headers --data-binary @body.json http://127.0.0.1:8080/in/chip`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			header, err := sign(&flags, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return writeHeader(cmd.OutOrStdout(), header, format)
		},
	}
	flags.bind(cmd, "the secret or private key (default the first secret of the source)")
	format.bind(cmd)
	return cmd
}

func sign(flags *requestFlags, stdin io.Reader) (http.Header, error) {
	scheme, source, err := flags.scheme()
	if err != nil {
		return nil, err
	}
	keys, err := signingKeys(&flags.key, scheme, source)
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewSigner(scheme, keys)
	if err != nil {
		return nil, err
	}
	request, now, err := flags.request(stdin)
	if err != nil {
		return nil, err
	}
	header, err := signer.Sign(request, now)
	if errors.Is(err, signature.ErrMissing) {
		return nil, misused("%w; it is signed too, so give it with --header or in --data", err)
	}
	return header, err
}

// signingKeys is what a source's provider signs with: the key of the flag, or
// else the first of the source's secrets.
func signingKeys(flag *keyFlag, scheme signature.Scheme, source config.Source) ([]signature.Key, error) {
	switch {
	case scheme.Algorithm == signature.None:
		return nil, nil
	case flag.given():
		key, err := flag.signingKey(scheme)
		return []signature.Key{key}, err
	case scheme.Algorithm.Asymmetric():
		return nil, misused("%s is signed with a private key, which the configuration does not have: name it with --key @FILE", scheme.Algorithm)
	case len(source.Secrets) == 0:
		return nil, misused("name the secret with --key @FILE or --key env:NAME")
	}
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, source.Secrets[0].Reveal())
	return []signature.Key{key}, err
}

// writeHeader writes a header a line, as curl -H @FILE reads them, or an object.
func writeHeader(w io.Writer, header http.Header, format output) error {
	if format == outputJSON {
		object := make(map[string]string, len(header))
		for name := range header {
			object[name] = header.Get(name)
		}
		return writeJSON(w, object)
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if _, err := fmt.Fprintf(w, "%s: %s\n", name, header[name][0]); err != nil {
			return err
		}
	}
	return nil
}
