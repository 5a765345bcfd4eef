package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/signature"
)

func newVerify() *cobra.Command {
	var flags requestFlags
	var format output
	cmd := &cobra.Command{
		Use:   "verify (--preset PROVIDER | --source SOURCE)",
		Short: "Say whether a request is signed as a provider signs, or why not",
		Long: `Verifies a request as the gateway would. Ends with 0 when the signature is
valid and 1 when it is not. For an old request, --at names the time to go by.`,
		Example: `  jethook verify --preset github --key env:SECRET -H 'X-Hub-Signature-256: sha256=…' --data @body.json
  jethook verify -c jethook.yaml --source clink -H 'X-Clink-Timestamp: …' -H 'X-Clink-Signature: …' --data -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			reason, err := verify(&flags, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return writeVerdict(cmd.OutOrStdout(), reason, format)
		},
	}
	flags.bind(cmd, "the secret or public key (default those of the source)")
	format.bind(cmd)
	return cmd
}

// verify returns why the request is not valid, nil if it is. err is that it
// could not be told.
func verify(flags *requestFlags, stdin io.Reader) (reason, err error) {
	scheme, source, err := flags.scheme()
	if err != nil {
		return nil, err
	}
	keys, err := verifyingKeys(&flags.key, scheme, source)
	if err != nil {
		return nil, err
	}
	verifier, err := signature.NewVerifier(scheme, keys)
	if err != nil {
		return nil, err
	}
	request, now, err := flags.request(stdin)
	if err != nil {
		return nil, err
	}
	return verifier.Verify(request, now), nil
}

// verifyingKeys is the key of the flag, or else all that the source has.
func verifyingKeys(flag *keyFlag, scheme signature.Scheme, source config.Source) ([]signature.Key, error) {
	if scheme.Algorithm == signature.None {
		return nil, nil
	}
	if flag.given() {
		key, err := flag.verifyingKey(scheme)
		return []signature.Key{key}, err
	}
	texts := slices.Clone(source.PublicKeys)
	for _, secret := range source.Secrets {
		texts = append(texts, secret.Reveal())
	}
	if len(texts) == 0 {
		return nil, misused("name the secret or public key with --key @FILE or --key env:NAME")
	}
	keys := make([]signature.Key, len(texts))
	for i, text := range texts {
		var err error
		if keys[i], err = signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, text); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// writeVerdict writes whether the request is valid; one that is not fails.
func writeVerdict(w io.Writer, reason error, format output) error {
	verdict := struct {
		Valid  bool   `json:"valid"`
		Code   string `json:"code,omitempty"` // as the gateway's answer has it
		Detail string `json:"detail,omitempty"`
	}{Valid: reason == nil}
	line := "valid"
	if reason != nil {
		verdict.Code, verdict.Detail = signatureCode(reason), reason.Error()
		line = "not valid: " + reason.Error()
	}
	var err error
	if format == outputJSON {
		err = writeJSON(w, verdict)
	} else {
		_, err = fmt.Fprintln(w, line)
	}
	if err != nil || reason == nil {
		return err
	}
	return &failure{code: exitFailed}
}

func signatureCode(reason error) string {
	switch {
	case errors.Is(reason, signature.ErrMissing):
		return "signature_missing"
	case errors.Is(reason, signature.ErrExpired):
		return "signature_expired"
	}
	return "signature_mismatch"
}
