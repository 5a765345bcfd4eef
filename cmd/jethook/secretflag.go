package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/signature"
)

// maxSecret bounds the file of a key; those of RSA have a few kilobytes.
const maxSecret = 64 << 10

// keyFlag is a flag such as --key: where a key is, never the key itself.
type keyFlag struct{ name, reference string }

func (k *keyFlag) bind(cmd *cobra.Command, name, usage string) {
	k.name = name
	cmd.Flags().StringVar(&k.reference, name, "", usage+": `@FILE` or env:NAME")
}

func (k *keyFlag) given() bool { return k.reference != "" }

// read returns the key's text. No error repeats the reference where it may be a
// key that was written by mistake.
func (k *keyFlag) read() (config.Secret, error) {
	if path, ok := strings.CutPrefix(k.reference, "@"); ok {
		text, err := readFile(path, maxSecret)
		if err != nil {
			return config.Secret{}, fmt.Errorf("reading the key: %w", err)
		}
		// As an editor or echo ends the line.
		return config.NewSecret(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")), nil
	}
	if name, ok := strings.CutPrefix(k.reference, "env:"); ok {
		text := os.Getenv(name)
		if text == "" {
			return config.Secret{}, misused("the variable that --%s names is not set", k.name)
		}
		return config.NewSecret(text), nil
	}
	return config.Secret{}, misused("--%s takes @FILE or env:NAME and never the key itself, which others on this machine could read", k.name)
}

// signingKey reads the key for a scheme, to sign with.
func (k *keyFlag) signingKey(s signature.Scheme) (signature.Key, error) {
	secret, err := k.read()
	if err != nil {
		return signature.Key{}, err
	}
	return signature.ParseSigningKey(s.Algorithm, s.KeyEncoding, secret.Reveal())
}

// verifyingKey reads the key for a scheme, to verify with.
func (k *keyFlag) verifyingKey(s signature.Scheme) (signature.Key, error) {
	secret, err := k.read()
	if err != nil {
		return signature.Key{}, err
	}
	return signature.ParseKey(s.Algorithm, s.KeyEncoding, secret.Reveal())
}

// readFile reads at most limit bytes; a larger file is an error.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	return readAll(file, path, limit)
}

func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", name, config.Size(limit))
	}
	return content, nil
}
